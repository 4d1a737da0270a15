"""Text 004, section 8.2 to 8.6: convolutional layers, pools, and dense layers as convolutions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

SHAPES = """
net Shapes {
  input six: [2, 6, 6]
  input seven: [2, 7, 9]
  valid   = six |> conv(4, 3)
  strided = six |> conv(4, 3, stride=2)
  odd     = seven |> conv(4, 3, stride=2)
  halved  = six[.., 0:4, 0:4] |> conv(4, 2, stride=2)
  same    = six |> conv(4, 5, padding="same")
  padded  = six |> conv(4, 3, padding=2)
  output valid
  output strided
  output odd
  output halved
  output same
  output padded
  assert shape(valid) == [4, 6 - 3 + 1, 6 - 3 + 1]
  assert shape(strided) == [4, 2, 2] and shape(odd) == [4, 3, 4] and shape(halved) == [4, 2, 2]
  assert shape(same) == [4, 6, 6] and shape(padded) == [4, 6 + 2 * 2 - 3 + 1, 8]
}
"""

GRADIENTS = """
net Gradients {
  input  image: [2, 5, 5]
  target t: [3, 3, 3]
  y = image |> conv(3, 3, stride=2, padding=1, act=tanh)
  error = half_squared_error(y, t)
  output y
  output by_image = grad(error, image)
  loss error
}
"""

COUNT = """
const side = 8
const channels = 3
net Count {
  input image: [channels, side, side]
  output y = image |> conv(10, 3, padding="same")
  assert count(params) == 10 * (3 * 3 * channels + 1)
  assert size(y) == size(image) * 10 / channels
}
"""

POOLS = """
net Pools {
  input  image: [3, 6, 6]
  target t: [3, 3, 3]
  near = image |> max_pool(2, stride=1)
  far  = image |> max_pool(2)
  mean_near = image |> avg_pool(2, stride=1)
  mean_far  = image |> avg_pool(2)
  depth = image |> depth_max_pool
  error = half_squared_error(far, t) + sum(near^2) + sum(mean_near^2) + sum(depth^3)
  output near
  output far
  output mean_near
  output mean_far
  output depth
  value = error + sum(mean_far^2)
  output slope = grad(value, image)
  loss value
}
"""

FIELD = """
net Field {
  input image: [1, 16, 16]
  thin = image |> conv(1, 3, padding="same") |> conv(1, 3, padding="same")
  wide = image |> conv(1, 3, padding="same") |> avg_pool(2) |> conv(1, 3, padding="same")
  output thin_field = grad(thin[0, 7, 7], image)
  output wide_field = grad(wide[0, 3, 3], image)
}
"""

ORIENTED = """
net Oriented {
  input image: [1, 5, 5]
  const level  = [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
  const steep  = [[0, 1, 0], [0, 1, 0], [0, 1, 0]]
  const skew   = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
  maps = convolve(image, reshape([level, steep, skew], [3, 1, 3, 3]))
  output maps
  output any = maps |> depth_max_pool
  output strongest = max(maps |> depth_max_pool)
}
"""


def windows(x: np.ndarray, f: int, stride: int) -> np.ndarray:
    """All f by f windows of images [.., h, w]: [.., i, j, f, f]."""
    return sliding_window_view(x, (f, f), axis=(-2, -1))[..., ::stride, ::stride, :, :]


@experiment(
    "E33",
    "004.8.a 004.8.2.c 004.8.2.d 004.8.2.e 004.8.2.g 004.8.2.h",
    where="`conv` of the prelude: `stride`, `padding`; images are [channels, height, width]",
)
def test_e33_sizes_and_values_of_convolutions() -> None:
    """4 filters on 2 channels: valid 6 -> 4, stride 2: 6 -> 2, 7 -> 3, 4 -> 2 for a 2x2 filter,
    "same" 6 -> 6 with (f - 1)/2 zeros around, padding 2: 6 -> 8; each equals the matrix product of
    its windows with the filters, summed over channels, plus a bias for each filter, to 1e-13."""
    random = np.random.default_rng(0)
    six, seven = random.normal(size=(3, 2, 6, 6)), random.normal(size=(3, 2, 7, 9))
    model = compiled(SHAPES)
    for name in model.params:
        model.params[name] = random.normal(size=model.params[name].shape)
    found = model.forward(six, seven)
    padded = {p: np.pad(six, [(0, 0), (0, 0), (p, p), (p, p)]) for p in (0, 2)}
    cases = {
        "valid": (padded[0], 1),
        "strided": (padded[0], 2),
        "odd": (seven, 2),
        "halved": (six[..., :4, :4], 2),
        "same": (padded[2], 1),
        "padded": (padded[2], 1),
    }
    for name, (image, stride) in cases.items():
        w, b = model.params[f"{name}.conv.W"], model.params[f"{name}.conv.b"]
        patches = windows(image, w.shape[-1], stride)
        matrix = np.moveaxis(patches, 1, 3).reshape(*patches.shape[:1], *patches.shape[2:4], -1)
        expected = np.moveaxis(matrix @ w.reshape(4, -1).T + b, -1, 1)
        np.testing.assert_allclose(found[name], expected, atol=1e-13)


@experiment("E33", "004.8.2.g", where="`grad(error, image)`, `model.grads`")
def test_e33_gradients_of_a_convolution_by_input_filters_and_bias() -> None:
    """With stride 2, padding 1 and tanh the gradients by 2 channels, 3 filters and their biases
    agree with differences to 1e-8."""
    random = np.random.default_rng(1)
    x, t = random.normal(size=(2, 2, 5, 5)), random.normal(size=(2, 3, 3, 3))
    model = compiled(GRADIENTS)
    model.forward(x, training=True)
    model.backward(t)
    for name, value in {n: np.array(model.grads[n]) for n in model.grads}.items():
        np.testing.assert_allclose(value, objective_differences(model, name, x, t), atol=1e-8)
    by_image = differences(lambda at: 2 * model.evaluate(at, t)["loss"], x)
    np.testing.assert_allclose(model.evaluate(x, t)["by_image"], by_image, atol=1e-8)


@experiment("E34", "004.8.2.i", where="`assert count(params) == …`, `size(y)`")
def test_e34_ten_filters_have_280_parameters_on_any_image() -> None:
    """10 filters of 3x3x3 with biases are 280 parameters on images of side 8 and of side 32; their
    output is 10/3 times the size of the input, 10 times for grey images only, where the text says
    n_f times."""
    for side, channels, expected in ((8, 3, 280), (32, 3, 280), (8, 1, 100)):
        model = compiled(COUNT, defines={"side": side, "channels": channels})
        assert len(model.params.flat) == expected
    with pytest.raises(netc.CompileError):
        compiled(COUNT.replace("* 10 / channels", "* 10"))


@experiment("E36", "004.8.3.a 004.8.3.b", where="`max_pool`, `avg_pool`, `depth_max_pool`")
def test_e36_pools_and_their_gradients() -> None:
    """Largest and mean of 2x2 windows of [3, 6, 6] with stride 1 are [3, 5, 5], with stride 2
    [3, 3, 3], each channel for itself; the largest over channels is [1, 6, 6]; the gradients agree
    with differences to 1e-7."""
    random = np.random.default_rng(2)
    x, t = random.permutation(108).reshape(1, 3, 6, 6) / 50, random.normal(size=(1, 3, 3, 3))
    model = compiled(POOLS)
    found = model.forward(x)
    near, far = windows(x, 2, 1), windows(x, 2, 2)
    assert found["near"].shape == (1, 3, 5, 5)
    assert found["far"].shape == (1, 3, 3, 3)
    np.testing.assert_array_equal(found["near"], near.max(axis=(-2, -1)))
    np.testing.assert_array_equal(found["far"], far.max(axis=(-2, -1)))
    np.testing.assert_allclose(found["mean_near"], near.mean(axis=(-2, -1)), atol=1e-15)
    np.testing.assert_allclose(found["mean_far"], far.mean(axis=(-2, -1)), atol=1e-15)
    np.testing.assert_array_equal(found["depth"], x.max(axis=1, keepdims=True))
    slope = differences(lambda at: model.evaluate(at, t)["loss"], x)
    np.testing.assert_allclose(model.evaluate(x, t)["slope"], slope, atol=1e-7)


@experiment("E36", "004.8.3.c", where="`grad(y[0, 7, 7], image)` is the receptive field")
def test_e36_pooling_widens_the_field_of_later_filters() -> None:
    """Two 3x3 convolutions see 5x5 pixels; with a 2x2 pool between them the filters see 8x8."""
    found = compiled(FIELD).forward(np.zeros((1, 1, 16, 16)))
    for name, side in (("thin_field", 5), ("wide_field", 8)):
        seen = found[name][0, 0] != 0
        assert seen.sum() == side**2
        assert (seen.any(axis=0).sum(), seen.any(axis=1).sum()) == (side, side)


@experiment("E37", "004.8.3.b", where="`depth_max_pool` behind three fixed filters")
def test_e37_the_largest_over_oriented_filters_does_not_know_the_orientation() -> None:
    """A level, a steep and a skew line each answer to their own filter with 3 and to the two others
    with less; the largest over the channels is 3 for all three."""
    lines = np.zeros((3, 1, 5, 5))
    lines[0, 0, 2], lines[1, 0, :, 2], lines[2, 0] = 1, 1, np.fliplr(np.eye(5))
    found = compiled(ORIENTED).forward(lines)
    centre = found["maps"][:, :, 1, 1]
    np.testing.assert_array_equal(centre, 3 * np.eye(3) + (1 - np.eye(3)))
    np.testing.assert_array_equal(found["any"][:, 0, 1, 1], [3, 3, 3])
    np.testing.assert_array_equal(found["strongest"], [3, 3, 3])


POINTWISE = """
net Pointwise {
  input image: [4, 4, 4]
  convolved = image |> conv(3, 1, act=tanh)
  dense_at = transpose(image, [1, 2, 0]) |> dense_last(3, act=tanh)
  output convolved
  output dense_at
  assert shape(convolved) == [3, 4, 4] and count(params("convolved.*")) == 15
}
"""


@experiment("E39", "004.8.5", where="`conv(3, 1)`, and `dense_last` along the channels")
def test_e39_a_1x1_convolution_is_a_dense_layer_at_every_pixel() -> None:
    """3 filters of 1x1x4 take [4, 4, 4] to [3, 4, 4], with 12 weights and 3 biases, and equal a
    dense layer along the channels of each pixel to 1e-15."""
    random = np.random.default_rng(3)
    model = compiled(POINTWISE)
    w, b = random.normal(size=(4, 3)), random.normal(size=3)
    model.params["dense_at.dense_last.W"], model.params["dense_at.dense_last.b"] = w, b
    model.params["convolved.conv.W"] = w.T.reshape(3, 4, 1, 1)
    model.params["convolved.conv.b"] = b
    found = model.forward(random.normal(size=(10, 4, 4, 4)))
    expected = np.moveaxis(found["dense_at"], -1, 1)
    np.testing.assert_allclose(found["convolved"], expected, atol=1e-15)


DENSE = """
net Dense {
  input  image: [1, 6, 6]
  target t: class[3]
  maps = image |> conv(2, 3) |> max_pool(2)
  h = maps |> flatten |> dense(5, act=tanh)
  y = h |> dense(3)
  output maps
  output order = flatten(maps)
  output y
  loss cross_entropy(y, t)
}
train { optimizer = sgd(lr = 0.1); epochs = 3 }
"""

CONVOLUTIONAL = """
const height = 6
const width = 6
net Convolutional {
  input image: [1, height, width]
  maps = image |> conv(2, 3) |> max_pool(2)
  h = maps |> conv(5, 2, act=tanh)
  output y = h |> conv(3, 1)
}
"""


@cache
def trained() -> netc.Model:
    random = np.random.default_rng(4)
    model = compiled(DENSE)
    model.fit(random.normal(size=(60, 1, 6, 6)), random.integers(0, 3, 60), progress=False)
    return model


@experiment(
    "E40",
    "004.8.6",
    where="`flatten` has the order of (8.24); `conv(n, 2)` and `conv(n, 1)` with reshaped weights",
)
def test_e40_dense_layers_are_convolutions_that_slide_over_larger_images() -> None:
    """Maps [2, 2, 2] are unrolled channel by channel, row by row, as in (8.24). A net trained on
    6x6 images, with its two dense layers turned into 2x2 and 1x1 convolutions, gives the same 3
    numbers to 1e-14; on 10x8 images it gives [3, 3, 2], those of the dense net at shifts by 2."""
    small = trained()
    image = np.random.default_rng(5).normal(size=(4, 1, 10, 8))
    found = small.forward(image[..., :6, :6])
    maps = found["maps"][0]
    order = [maps[c, i, j] for c in range(2) for i in range(2) for j in range(2)]
    np.testing.assert_array_equal(found["order"][0], order)
    for size in ((6, 6), (10, 8)):
        model = compiled(CONVOLUTIONAL, defines={"height": size[0], "width": size[1]})
        for part in ("W", "b"):
            model.params[f"maps.conv.{part}"] = small.params[f"maps.conv.{part}"]
        for name, shape in (("h", (5, 2, 2, 2)), ("y", (3, 5, 1, 1))):
            model.params[f"{name}.conv.W"] = small.params[f"{name}.dense.W"].T.reshape(shape)
            model.params[f"{name}.conv.b"] = small.params[f"{name}.dense.b"]
        y = model.forward(image[..., : size[0], : size[1]])
        assert y.shape == (4, 3, (size[0] - 4) // 2, (size[1] - 4) // 2)
        for i, j in np.ndindex(y.shape[2:]):
            window = image[..., 2 * i : 2 * i + 6, 2 * j : 2 * j + 6]
            np.testing.assert_allclose(y[..., i, j], small.forward(window)["y"], atol=1e-14)
