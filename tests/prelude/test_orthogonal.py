"""Orthogonal initial values: which rows or columns are orthonormal, and with which signs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.prelude.harness import model, stored


@pytest.mark.parametrize("shape", [(4, 4), (9, 5), (5, 9), (6, 2, 2, 2), (3, 2, 2, 2), (1, 7)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    """Whichever are fewer; of a convolution all axes after the first are one."""
    text = f"net T {{ input x: [1]; param w: {list(shape)} = orthogonal(gain=2) }}"
    w = stored(model(text).parameters)["w"].reshape(shape[0], -1)
    short = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(short, 4 * np.eye(len(short)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_orthonormalise_is_the_decomposition_with_positive_diagonal(seed: int) -> None:
    text = "net T {{ input x: [1]; param q: [6, 5] = {} }}"
    drawn = stored(model(text.format("normal(0, 1)")).parameters, seed)["q"]
    q = stored(model(text.format("orthonormalise(normal(0, 1))")).parameters, seed)["q"]
    r = q.T @ drawn
    assert (np.diag(r) > 0).all()
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-13)
    np.testing.assert_allclose(q @ r, drawn, rtol=1e-11)
