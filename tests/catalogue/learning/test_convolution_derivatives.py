"""Derivatives of the convolution: by its kernel, by its input, and the transposed convolution."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.signal import correlate

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

H, W, R = 6, 5, 3


@cache
def single() -> netc.Model:
    """One channel, one kernel, and cotangents δ of the outputs as an input."""
    return compiled(f"""
    net Single {{
      input x: [1, {H}, {W}]
      input delta: [1, {H - R + 1}, {W - R + 1}]
      param w: [1, 1, {R}, {R}] = normal(0, 1)
      s = convolve(x, w)
      e = sum(delta * s)
      output e
      output by_kernel = grad(e, w)
      output by_input = grad(e, x)
      output transposed = convolve_transpose(delta, w)
      output padded = convolve(delta, reverse(w, [2, 3]), padding={R - 1})
      output forward_kernel = convolve(delta, w, padding={R - 1})
      output local = jacobian(s, x)
    }}
    """)


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.normal(size=(1, 1, H, W)), random.normal(size=(1, 1, H - R + 1, W - R + 1))


@experiment("000.6.3a", where="`grad(e, w)` of a `convolve`")
def test_000_6_3a_the_gradient_of_a_kernel_correlates_errors_and_inputs() -> None:
    """∂L/∂w = δ * x, the cross-correlation (6.10), to 1e-12, and finite differences to 1e-8."""
    model, (x, delta) = single(), data()
    found = model.forward(x, delta)["by_kernel"][0, 0, 0]
    np.testing.assert_allclose(found, correlate(x[0, 0], delta[0, 0], "valid"), atol=1e-12)
    start = np.array(model.params["w"])

    def error(w: np.ndarray) -> float:
        model.params["w"] = w
        return model.forward(x, delta)["e"][0]

    np.testing.assert_allclose(differences(error, start)[0, 0], found, atol=1e-8)
    model.params["w"] = start


@experiment("000.6.3b", where="`conv_transpose` of the prelude, `convolve_transpose`")
def test_000_6_3b_the_gradient_of_the_input_is_a_transposed_convolution() -> None:
    """∂L/∂x is the correlation (6.11) of δ, padded with R - 1 zeros, with the reversed kernel, and
    the transposed convolution of δ: shape (A + R - 1, B + R - 1). Differences agree to 1e-8; with
    the kernel not reversed it is another result.
    """
    model, (x, delta) = single(), data()
    found = model.forward(x, delta)
    slope = found["by_input"]
    assert slope.shape == (1, 1, H, W)
    numeric = differences(lambda at: model.forward(at, delta)["e"][0], x)
    np.testing.assert_allclose(numeric, slope, atol=1e-8)
    np.testing.assert_allclose(found["padded"], slope, atol=1e-12)
    np.testing.assert_allclose(found["transposed"], slope, atol=1e-12)
    assert np.abs(found["forward_kernel"] - slope).max() > 0.1


@experiment(
    "000.6.3c", where="`jacobian(s, x)` of a `convolve` along one axis, `convolve_transpose`"
)
def test_000_6_3c_the_table_of_a_transposed_convolution() -> None:
    """∂s/∂x of seven inputs and a kernel of three is the 7×5 table with w0 at s_i, w1 at s_{i-1}
    and w2 at s_{i-2} in row x_i; the padding s_-2, s_-1, s_5, s_6 only adds zeros to the gradient.
    """
    model = compiled("""
    net Line {
      input x: [1, 7]
      input delta: [1, 5]
      param w: [1, 1, 3]
      s = convolve(x, w)
      output table = jacobian(s, x)
      output by_input = convolve_transpose(delta, w)
    }
    """)
    model.params["w"] = np.array([[[2.0, 3, 5]]])
    delta = np.random.default_rng(7).normal(size=5)
    found = model.forward(np.zeros((1, 1, 7)), delta[None, None])
    # columns s_-2 … s_6: row i holds w2, w1, w0 from column i on
    full = np.zeros((7, 9))
    for row in range(7):
        full[row, row : row + 3] = 5, 3, 2
    assert np.array_equal(found["table"][0, 0, :, 0].T, full[:, 2:7])
    padded = np.pad(delta, 2)
    np.testing.assert_allclose(found["by_input"][0, 0], full @ padded, atol=1e-14)
    shifted = [2 * padded[i + 2] + 3 * padded[i + 1] + 5 * padded[i] for i in range(7)]
    np.testing.assert_allclose(found["by_input"][0, 0], shifted, atol=1e-14)


@experiment("000.6.3d", where="`jacobian(s, x)`")
def test_000_6_3d_the_local_derivative_has_the_index_a_minus_i() -> None:
    """∂s_ij/∂x_ab is w_{a-i,b-j} where 0 ≤ a - i, b - j ≤ R - 1 and 0 elsewhere, for all 12×30
    pairs; w_{i-a,j-b}, as (6.21) prints, is not, and it is 0 for i > a, not for i < a as (6.19).
    """
    model, (x, delta) = single(), data()
    local = model.forward(x, delta)["local"][0, 0, :, :, 0]
    w = model.params["w"][0, 0]
    right, printed = np.zeros_like(local), np.zeros_like(local)
    for i, j, a, b in np.ndindex(local.shape):
        if 0 <= a - i < R and 0 <= b - j < R:
            right[i, j, a, b] = w[a - i, b - j]
        if 0 <= i - a < R and 0 <= j - b < R:
            printed[i, j, a, b] = w[i - a, j - b]
    assert np.array_equal(local, right)
    assert not np.allclose(local, printed)
    above = np.arange(H - R + 1)[:, None] > np.arange(H)
    below = np.arange(H - R + 1)[:, None] < np.arange(H)
    by_rows = np.abs(local).sum(axis=(1, 3))
    assert np.all(by_rows[above] == 0)
    assert np.any(by_rows[below] != 0)
