"""Text 004, sections 8.1 and 8.2: edges, filters and windows."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import pytest
from scipy.signal import correlate2d

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

FILTERS = """
const H = 6
const W = 6

## A filter at every place of a grey image, without turning it round.
fn by(image, f: [h, w]) = convolve(image, reshape(f, [1, 1, h, w]))

net Filters {
  input image: [1, H, W]
  const edge   = [[1, 0, -1], [1, 0, -1], [1, 0, -1]]
  const sobel  = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
  const scharr = [[3, 0, -3], [10, 0, -10], [3, 0, -3]]
  const misprinted = [[3, 0, -3], [10, 0, 10], [3, 0, -3]]
  output difference = image[.., :-1] - image[.., 1:]
  output pair       = by(image, [[1, -1]])
  output vertical   = by(image, edge)
  output third      = by(image, edge / 3)
  output steep      = by(image, sobel)
  output steepest   = by(image, scharr)
  output wrong      = by(image, misprinted)
  output horizontal = by(image, edge')
  output level      = by(image, sobel')
}
"""

WINDOWS = """
net Windows {
  input A: [4, 4]
  input B: [4, 4]
  input P: [2, 3, 3]
  input Q: [2, 3, 3]
  output frobenius = sum(A * B)
  output trace     = einsum("ii->", A @ B')
  output contracted = einsum("ij,ij->", A, B)
  output unrolled  = flatten(A) @ flatten(B)
  output a21 = A[1:3, 0:2]
  output a12 = A[0:3, 1:4]
  output deep = sum(P * Q)
  output planes = stack(sum(P[0] * Q[0]), sum(P[1] * Q[1]))
  # (8.9) as it stands: a window's inner product with a filter at every place
  filter = B[0:2, 0:2]
  output by_windows = [
    [sum(A[0:2, 0:2] * filter), sum(A[0:2, 1:3] * filter), sum(A[0:2, 2:4] * filter)],
    [sum(A[1:3, 0:2] * filter), sum(A[1:3, 1:3] * filter), sum(A[1:3, 2:4] * filter)],
    [sum(A[2:4, 0:2] * filter), sum(A[2:4, 1:3] * filter), sum(A[2:4, 2:4] * filter)]]
}
"""

LEARNED = """
net Learned {
  input  image: [1, 8, 8]
  target edges: [1, 6, 6]
  y = image |> conv(1, 3)
  output y
  loss mean_squared_error(y, edges)
}
train { optimizer = adam(lr = 0.05 * exponential_decay(0.99)); batch = 50; epochs = 500 }
"""

EDGE = np.array([[1, 0, -1]] * 3)
SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


@cache
def digits() -> np.ndarray:
    """1,797 grey images of 8 by 8 in 0 … 1."""
    with (files("netc.runtime") / "digits.npz").open("rb") as file:
        return np.load(file)["images"].reshape(-1, 1, 8, 8) / 16.0


@cache
def filters(side: int) -> netc.Model:
    return compiled(FILTERS, defines={"H": side, "W": side})


@experiment("E31", "004.8.1 004.8.2.f", where="primitive `convolve` with constant weights")
def test_e31_filters_find_the_edge_of_the_6x6_image() -> None:
    """Of rows `10 10 10 0 0 0` the difference of neighbours and the 1x2 filter (1 -1) give rows
    `0 0 10 0 0`; (8.11) gives `0 30 30 0`, where (8.12) prints 10, which is the filter divided by
    3; Sobel `0 40 40 0`, Scharr `0 160 160 0`, as printed in (8.13) `200 160 160 0`; horizontal
    filters give 0."""
    image = np.tile([10, 10, 10, 0, 0, 0], (1, 1, 6, 1))
    found = filters(6).forward(image)
    expected = {
        "vertical": [0, 30, 30, 0],
        "third": [0, 10, 10, 0],
        "steep": [0, 40, 40, 0],
        "steepest": [0, 160, 160, 0],
        "wrong": [200, 160, 160, 0],
        "horizontal": [0, 0, 0, 0],
        "level": [0, 0, 0, 0],
    }
    for name, row in expected.items():
        np.testing.assert_allclose(found[name][0, 0], [row] * 4, atol=1e-13)
    for name in ("difference", "pair"):
        np.testing.assert_array_equal(found[name][0, 0], [[0, 0, 10, 0, 0]] * 6)


@experiment("E31", "004.8.2.f", where="primitive `convolve` on the digits that come with netc")
def test_e31_vertical_and_horizontal_filters_on_real_images() -> None:
    """On 50 digits all filters equal SciPy's cross-correlation to 1e-13; a vertical bar answers to
    the vertical filter 3 times as strongly as to the horizontal one, its transpose the reverse."""
    images = digits()[:50]
    found = filters(8).forward(images)
    weights = {"vertical": EDGE, "horizontal": EDGE.T, "steep": SOBEL, "level": SOBEL.T}
    for name, weight in weights.items():
        expected = [correlate2d(image[0], weight, "valid") for image in images]
        np.testing.assert_allclose(found[name][:, 0], expected, atol=1e-13)
    bar = np.zeros((1, 1, 8, 8))
    bar[..., 2:, 3:5] = 1
    for image, strong, weak in (
        (bar, "vertical", "horizontal"),
        (bar.swapaxes(2, 3), "horizontal", "vertical"),
    ):
        answers = filters(8).forward(image)
        assert np.abs(answers[strong]).sum() > 3 * np.abs(answers[weak]).sum()


@experiment(
    "E32",
    "004.8.2.a 004.8.2.b",
    where="`sum(A * B)`, `einsum`, slices `A[1:3, 0:2]`",
)
def test_e32_frobenius_products_and_windows() -> None:
    """(A, B)_F is Tr(ABᵀ) and the dot product of the unrollings, to 1e-14, in 3-D the sum over the
    channels; of a matrix with entries 10i + j the windows a^(21;2) and a^(12;3) are those of (8.8);
    inner products of windows with a filter are its convolution."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(5, 4, 4)), random.normal(size=(5, 4, 4))
    p, q = random.normal(size=(5, 2, 3, 3)), random.normal(size=(5, 2, 3, 3))
    model = compiled(WINDOWS)
    found = model.forward(a, b, p, q)
    expected = [np.trace(one @ two.T) for one, two in zip(a, b, strict=True)]
    for name in ("frobenius", "trace", "contracted", "unrolled"):
        np.testing.assert_allclose(found[name], expected, atol=1e-13)
    np.testing.assert_allclose(found["deep"], found["planes"].sum(axis=1), atol=1e-13)
    np.testing.assert_allclose(found["deep"], np.einsum("bcij,bcij->b", p, q), atol=1e-13)
    for image, weight, result in zip(a, b, found["by_windows"], strict=True):
        expected = correlate2d(image, weight[:2, :2], "valid")
        np.testing.assert_allclose(result, expected, atol=1e-13)
    indices = 10 * np.arange(1, 5)[:, None] + np.arange(1, 5)
    windows = model.forward(indices[None], b[:1], p[:1], q[:1])
    assert windows["a21"][0].tolist() == [[21, 22], [31, 32]]
    assert windows["a12"][0].tolist() == [[12, 13, 14], [22, 23, 24], [32, 33, 34]]


@experiment("E35", "004.8.2.f", where="`conv` trained on the answers of a fixed filter")
def test_e35_a_convolution_learns_the_edge_filter() -> None:
    """Trained on 200 digits to give what (8.11) gives, a random 3x3 filter becomes (8.11) to 0.01
    and its bias 0, and 100 other digits have an error below 1e-4 where the targets' mean square is
    above 0.5."""
    images = digits()[:300]
    edges = np.array([correlate2d(image[0], EDGE, "valid") for image in images])[:, None]
    model = compiled(LEARNED)
    model.fit(images[:200], edges[:200], progress=False)
    weight, bias = model.params["y.conv.W"], model.params["y.conv.b"]
    np.testing.assert_allclose(weight[0, 0], EDGE, atol=0.01)
    assert bias[0] == pytest.approx(0, abs=0.01)
    assert model.evaluate(images[200:], edges[200:])["loss"] < 1e-4
    assert np.mean(edges[200:] ** 2) > 0.5
