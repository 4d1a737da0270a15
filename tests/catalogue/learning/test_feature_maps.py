"""What convolutional layers rest on: local receptive fields, shared weights, pools, and blocks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import enlarged_digits


@experiment("000.6.4", "000.6.4", where="`conv` of the prelude, `stride=2`")
def test_000_6_4_a_neuron_sees_its_receptive_field_only() -> None:
    """5×5 fields on 28×28 pixels make 24×24 neurons, with stride 2 12×12. A changed pixel changes
    the 5×5 neurons whose fields hold it, at most, and leaves all others as they were to the bit.
    """
    model = compiled("""
    net Fields {
      input image: [1, 28, 28]
      output near = image |> conv(1, kernel=5)
      output sparse = image |> conv(1, kernel=5, stride=2)
      assert shape(near) == [1, 24, 24] and shape(sparse) == [1, 12, 12]
    }
    """)
    image = np.random.default_rng(0).random((1, 1, 28, 28))
    before = model.forward(image)
    for row, column in ((0, 0), (13, 17), (27, 27)):
        changed = image.copy()
        changed[0, 0, row, column] += 1
        after = model.forward(changed)
        for name, stride in (("near", 1), ("sparse", 2)):
            starts = stride * np.arange(before[name].shape[-1])
            rows, columns = ((starts <= at) & (at < starts + 5) for at in (row, column))
            moved = after[name][0, 0] != before[name][0, 0]
            assert np.array_equal(moved, rows[:, None] & columns)


def tied(size: int, kernel: int) -> str:
    """The net of a convolution, and of dense layers with its weights in the right places."""
    places = size - kernel + 1
    table = np.full((size, size, places, places), kernel**2)
    for a, b, i, j in np.ndindex(places, places, kernel, kernel):
        table[a + i, b + j, a, b] = kernel * i + j
    rows = table.reshape(size**2, places**2).tolist()
    return f"""
    const places = {rows}
    net Tied {{
      input x: [1, {size}, {size}]
      input delta: [1, {places}, {places}]
      param w: [1, 1, {kernel}, {kernel}] = normal(0, 1)
      param b = 0.3
      dense = gather(concat(flatten(w), [0]), places)
      output s = convolve(x, w) + b
      output d = reshape(flatten(x) @ dense + b, [1, {places}, {places}])
      e = sum(delta * s)
      f = sum(delta * d)
      output by_w = grad(e, w)
      output by_b = grad(e, b)
      output tied_by_w = grad(f, w)
      output by_dense = grad(f, dense)
    }}
    """


@experiment("000.6.5", where="one `param` used at many places: `gather` of it, or `convolve`")
def test_000_6_5_a_shared_weight_gets_the_sum_over_its_places() -> None:
    """A 25→9 dense layer whose weights are the nine of a kernel, 0 elsewhere, is the convolution;
    the gradient of a shared weight is the sum over the entries where it stands, that of the shared
    bias the sum of the errors.
    """
    model = compiled(tied(5, 3))
    random = np.random.default_rng(3)
    x, delta = random.normal(size=(1, 1, 5, 5)), random.normal(size=(1, 1, 3, 3))
    found = model.forward(x, delta)
    np.testing.assert_allclose(found["d"], found["s"], atol=1e-12)
    np.testing.assert_allclose(found["tied_by_w"], found["by_w"], atol=1e-12)
    np.testing.assert_allclose(found["by_b"][0], delta.sum(), atol=1e-12)
    each = np.zeros(9)
    entries = found["by_dense"][0].reshape(5, 5, 3, 3)
    for a, b, i, j in np.ndindex(3, 3, 3, 3):
        each[3 * i + j] += entries[a + i, b + j, a, b]
    np.testing.assert_allclose(found["by_w"][0].ravel(), each, atol=1e-12)


@experiment("000.6.6", where="`act` of `conv`")
def test_000_6_6_a_rectifier_after_the_convolution_works_by_element() -> None:
    """conv(…, act=relu) is max(0, s) of the convolution, in the same shape, and errors pass only
    where s > 0.
    """
    model = compiled("""
    net Detector {
      input x: [2, 8, 8]
      layer plain = conv(4, kernel=3)
      s = plain(x)
      a = relu(s)
      output s
      output a
      output layered = x |> conv(4, kernel=3, act=relu)
      output slope = grad(sum(a), s)
    }
    """)
    for name in ("W", "b"):
        model.params[f"layered.conv.{name}"] = model.params[f"plain.conv.{name}"]
    found = model.forward(np.random.default_rng(1).normal(size=(3, 2, 8, 8)))
    assert np.array_equal(found["a"], np.maximum(found["s"], 0))
    assert np.array_equal(found["layered"], found["a"])
    assert np.array_equal(found["slope"], (found["s"] > 0).astype(float))
    assert 0.2 < (found["s"] > 0).mean() < 0.8


@experiment("000.6.7", where="`max_pool` of the prelude")
def test_000_6_7_a_pool_takes_maxima_and_sends_errors_to_them() -> None:
    """2×2 windows of a 4×4 map give its four maxima, on each map by itself; errors go to the place
    of the maximum, the first of equals, and all others get 0. Where in a window the maximum stands
    makes no difference.
    """
    model = compiled("""
    net Pool {
      input x: [2, 4, 4]
      input delta: [2, 2, 2]
      p = x |> max_pool(2)
      output p
      output slope = grad(sum(delta * p), x)
    }
    """)
    first = np.array([[1, 2, 7, 3], [4, 3, 1, 0], [-5, -1, 2, 2], [-2, -9, 2, 2]])
    delta = np.arange(1, 9).reshape(1, 2, 2, 2)
    found = model.forward(np.stack([first, -first])[None], delta)
    assert found["p"][0].tolist() == [[[4, 7], [-1, 2]], [[-1, 0], [9, -2]]]
    slopes = np.zeros((2, 4, 4))
    for at, error in zip(((1, 0), (0, 2), (2, 1), (2, 2)), (1, 2, 3, 4), strict=True):
        slopes[0][at] = error
    for at, error in zip(((0, 0), (1, 3), (3, 1), (2, 2)), (5, 6, 7, 8), strict=True):
        slopes[1][at] = error
    assert np.array_equal(found["slope"][0], slopes)
    turned = first.reshape(2, 2, 2, 2)[:, ::-1, :, ::-1].reshape(4, 4)
    again = model.forward(np.stack([turned, -turned])[None], delta)["p"]
    assert np.array_equal(again, found["p"])


BLOCK = """
layer block(x, filters) { return x |> conv(filters, kernel=5, act=relu) |> max_pool(2) }

net Block {
  input image: [1, 16, 16]
  target digit: class[10]
  layer detect = conv(8, kernel=5, act=relu)
  output maps = detect(image)
  output pooled = max_pool(maps, 2)
  output coarse = max_pool(maps, 4)
  logits = pooled |> flatten |> dense(10)
  loss cross_entropy(logits, digit)
  blocks = image |> block(8)
  assert shape(blocks) == shape(pooled)
}

train { optimizer = adam(lr=2e-3); batch = 50; epochs = 3 }
"""


@experiment(
    "000.6.10", "000.6.10 000.6.1c", where="a `layer` of `conv`, an activation and `max_pool`"
)
def test_000_6_10_pooled_maps_change_less_when_the_image_moves() -> None:
    """Digits moved by one pixel change the maps of a trained block by 41 % of their length, pooled
    over 2×2 by 30 % and over 4×4 by 20 %.
    """
    images, labels = enlarged_digits((1, 16, 16))
    model = compiled(BLOCK, precision="f32")
    model.fit(images[:1000], labels[:1000], progress=False)
    seen = images[1000:]
    at_rest, moved = model.forward(seen), model.forward(np.roll(seen, 1, axis=-1))
    change = {
        name: np.linalg.norm(moved[name] - at_rest[name]) / np.linalg.norm(at_rest[name])
        for name in ("maps", "pooled", "coarse")
    }
    assert change["coarse"] < change["pooled"] < change["maps"]
    assert list(change.values()) == pytest.approx([0.41, 0.30, 0.20], abs=0.02)
