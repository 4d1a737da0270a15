"""Convolution, cross-correlation, and convolutional layers over channels and with many kernels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve, correlate

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

FIGURE = np.array([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
"""The kernel of the figure."""


@experiment(
    "000.6.2a",
    "000.6.2a 000.6.2b 000.6.2c",
    where="`convolve` correlates; `convolve(x, reverse(k, [2, 3]))` convolves",
)
def test_000_6_2a_convolution_is_correlation_with_a_reversed_kernel() -> None:
    """(6.1) and (6.2), over all places where they are not 0, are the cross-correlation (6.3) with
    the reversed kernel, in one and in two dimensions; the kernel itself gives another result, and
    its reverse puts it back.
    """
    model = compiled("""
    net Both {
      input line: [1, 9]
      input image: [1, 7, 6]
      param k: [1, 1, 4] = normal(0, 1)
      param K: [1, 1, 3, 2] = normal(0, 1)
      output convolved = convolve(line, reverse(k, 2), padding=3)
      output correlated = convolve(line, k, padding=3)
      output convolved_2d = convolve(image, reverse(K, [2, 3]), padding=[2, 1])
      output correlated_2d = convolve(image, K, padding=[2, 1])
    }
    """)
    random = np.random.default_rng(0)
    line, image = random.normal(size=9), random.normal(size=(7, 6))
    found = model.forward(line[None, None], image[None, None])
    k, kernel = model.params["k"][0, 0], model.params["K"][0, 0]
    # out of the sums themselves, index by index
    by_hand = [sum(line[a - i] * k[i] for i in range(4) if 0 <= a - i < 9) for a in range(12)]
    np.testing.assert_allclose(found["convolved"][0, 0], by_hand, atol=1e-12)
    for name, data, by in (("", line, k), ("_2d", image, kernel)):
        convolved, correlated = found["convolved" + name][0, 0], found["correlated" + name][0, 0]
        np.testing.assert_allclose(convolved, convolve(data, by), atol=1e-12)
        np.testing.assert_allclose(correlated, correlate(data, by), atol=1e-12)
        assert np.abs(convolved - correlated).max() > 0.1


@experiment("000.6.2d", where="`conv` of the prelude")
def test_000_6_2d_valid_convolutions_have_a_place_for_each_whole_window() -> None:
    """The kernel of the figure on a 5×5 image gives 3×3 outputs, each the sum of its five marked
    pixels; 5×5 on 28×28 gives 24×24, and a rectangular 2×3 kernel 27×26.
    """
    model = compiled("""
    net Valid {
      input x: [1, 5, 5]
      input image: [1, 28, 28]
      output s = x |> conv(1, kernel=3, bias=false)
      large = image |> conv(1, kernel=5)
      long = image |> conv(1, kernel=[2, 3])
      output spread = sum(large) + sum(long)
      assert shape(s) == [1, 3, 3] and shape(large) == [1, 24, 24] and shape(long) == [1, 27, 26]
    }
    """)
    model.params["s.conv.W"] = FIGURE[None, None]
    pixels = 2.0 ** np.arange(25).reshape(5, 5)
    found = model.forward(pixels[None, None], np.zeros((1, 1, 28, 28)))["s"]
    assert found.shape == (1, 1, 3, 3)
    marked = [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]
    for a, b in np.ndindex(3, 3):
        assert found[0, 0, a, b] == sum(pixels[a + i, b + j] for i, j in marked)


CHANNELS = """
net Channels {
  input x: [3, 6, 7]
  layer maps = conv(3, kernel=3, bias=false)
  output s = maps(x)
  output by_channel = convolve(x[0:1], maps.conv.W[0:3, 0:1])
    + convolve(x[1:2], maps.conv.W[0:3, 1:2])
    + convolve(x[2:3], maps.conv.W[0:3, 2:3])
  output by_map = concat(
    convolve(x, maps.conv.W[0:1]), convolve(x, maps.conv.W[1:2]), convolve(x, maps.conv.W[2:3])
  )
}
"""


@experiment("000.6.2e", where="`conv` of the prelude; images are [channels, height, width]")
def test_000_6_2e_channels_are_summed_not_convolved() -> None:
    """A convolution of three channels is the sum of three single-channel ones, and the sum (6.6) of
    the text, whose layout has the channels last.
    """
    model = compiled(CHANNELS)
    x = np.random.default_rng(1).normal(size=(4, 3, 6, 7))
    found = model.forward(x)
    np.testing.assert_allclose(found["s"], found["by_channel"], atol=1e-12)
    last, weights = np.moveaxis(x, 1, -1), np.moveaxis(model.params["maps.conv.W"], 1, -1)
    for a, b in np.ndindex(4, 5):
        window = last[:, a : a + 3, b : b + 3]
        expected = np.einsum("nijc,fijc->nf", window, weights)
        np.testing.assert_allclose(found["s"][:, :, a, b], expected, atol=1e-12)


@experiment("000.6.2f", where="`filters` of `conv`")
def test_000_6_2f_every_kernel_makes_its_own_feature_map() -> None:
    """Three kernels on one image give three maps; map k is that of kernel k alone, and changing
    kernel 1 changes map 1 only.
    """
    model = compiled(CHANNELS)
    x = np.random.default_rng(2).normal(size=(1, 3, 6, 7))
    before = model.forward(x)
    assert before["s"].shape == (1, 3, 4, 5)
    np.testing.assert_allclose(before["s"], before["by_map"], atol=1e-12)
    model.params["maps.conv.W"][1] += 1
    after = model.forward(x)["s"]
    assert np.array_equal(after[:, ::2], before["s"][:, ::2])
    assert np.all(after[:, 1] != before["s"][:, 1])


SIZES = {(6, 3, 2, 0): 2, (28, 5, 1, 0): 24, (32, 5, 1, 0): 28, (17, 3, 1, 1): 17}


@experiment("000.6.8", where="`stride` and `padding` of `conv` and `conv1d`")
def test_000_6_8_sizes_with_stride_and_padding() -> None:
    """⌊(A - R + 2P)/S⌋ + 1 places: 2, 24, 28 and an unchanged 17 for (A, R, S, P) = (6, 3, 2, 0),
    (28, 5, 1, 0), (32, 5, 1, 0), (17, 3, 1, 1). Without the floor, as printed, the first would be
    2.5; its last element is not used.
    """
    lines = [
        f"""
      input x{size}: [1, {size}]
      y{size} = x{size} |> conv1d(1, kernel={kernel}, stride={stride}, padding={padding})
      assert shape(y{size}) == [1, {places}]
      output slope{size} = grad(sum(y{size}), x{size})
        """
        for (size, kernel, stride, padding), places in SIZES.items()
    ]
    text = f"net Sizes {{ {''.join(lines)} output y6; output y17 }}"
    model = compiled(text)
    with pytest.raises(netc.CompileError, match=r"\[1, 2\] == \[1, 2\.5\] is false"):
        compiled(text.replace("shape(y6) == [1, 2]", "shape(y6) == [1, (6 - 3 + 2 * 0) / 2 + 1]"))
    found = model.forward(*(np.zeros((1, 1, size)) for size, *_ in SIZES))
    used = found["slope6"][0, 0] != 0
    assert used.tolist() == [True] * 5 + [False]
    assert np.all(found["slope28"] != 0)
    assert np.all(found["slope17"] != 0)
    # symmetric zero padding: the outer places see a zero
    model.params["y17.conv1d.W"] = np.array([[[1.0, 10, 100]]])
    data = [np.ones((1, 1, size)) for size, *_ in SIZES]
    assert model.forward(*data)["y17"][0, 0, [0, 1, -1]] == pytest.approx([110, 111, 11])
