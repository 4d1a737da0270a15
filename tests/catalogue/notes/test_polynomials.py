"""Text 004, sections 3.2 and 3.3: polynomials of degree 1 to 300, with and without penalties."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

EXAMPLE = Path(__file__).parents[3] / "examples" / "experiments"
SCRIPT = runpy.run_path(str(EXAMPLE / "polynomial_degrees.py"))
cubic, noisy_cubic, monomials = (SCRIPT[name] for name in ("cubic", "noisy_cubic", "monomials"))

PENALISED = """
import "fista.net"

const degree = 300
const lambda1 = 0
const lambda2 = 0

net Penalised {
  input  phi: [degree]
  target t: []
  param w0 = 0
  param w: [degree] = 0
  y = w0 + sum(w * phi)
  output y
  loss    half_squared_error(y, t)
  penalty lambda1 * l1(w) + lambda2 * l2(w)
}
train {
  optimizer       = if lambda1 + lambda2 == 0 then fista() else sgd()
  optimizer("w0") = sgd(lr = 0.1)
  batch  = 1000
}
"""


@pytest.fixture(autouse=True)
def _one_thread():
    """Several threads of a linear algebra library are slower on matrices of this size."""
    with threadpool_limits(1):
        yield


def losses(seed: int, noise: float = 2) -> list[tuple[float, float]]:
    """Mean squared losses, train and test, of degrees 1, 3, 5 and 300."""
    train, test = SCRIPT["split"](500, seed, noise)
    fits = [SCRIPT["least_squares"](*train, degree) for degree in (1, 3, 5, 300)]
    return [SCRIPT["losses"](train, test, w) for w in fits]


@experiment(
    "E6",
    "004.3.a 004.3.2.a 004.3.2.b 004.3.2.c",
    where="an `fn` of monomials, `standardize`; `examples/experiments/polynomial_degrees.py`",
)
def test_e6_degree_300_fits_best_and_predicts_worst() -> None:
    """Noisy cubics of 500 points (x within ±2, noise of standard deviation 2), 3 seeds: the printed
    losses of degrees 1, 3 and 5 (4.11/4.88, 3.63/4.15, 3.61/4.12) are within 2 standard deviations
    of a run from the means, and the gain from degree 1 to 3 is the printed 0.48 ± 0.05. Degree 300
    has the least train loss and, in each seed, a test loss more than 1,000 times as large. With the
    printed deviation of 1, degree 3 has 0.9 ± 0.1 instead of 3.63."""
    found = np.array([losses(seed) for seed in range(3)])
    train, test = found[..., 0], found[..., 1]
    assert (np.diff(train, axis=1) < 0).all()
    assert (test[:, 3] > 1000 * train[:, 3]).all()
    assert (test[:, 3] > 1000 * test[:, :3].max(axis=1)).all()
    assert (test[:, 1] < test[:, 0]).all()
    assert (np.abs(test[:, 2] / test[:, 1] - 1) < 0.05).all()
    printed = np.array([[4.11, 4.88], [3.63, 4.15], [3.61, 4.12]])
    deviation = 4 * np.sqrt([2 / 400, 2 / 100])  # of the mean of 400 or 100 squares of noise
    assert (np.abs(found.mean(axis=0)[:3] - printed) < 2 * deviation).all()
    assert (train[:, 0] - train[:, 1]).mean() == pytest.approx(0.48, abs=0.05)
    assert losses(0, noise=1)[1][0] == pytest.approx(0.9, abs=0.1)


@cache
def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standardised monomials and targets of 160 training and 2,000 test points."""
    (x, t), (x_test, t_test) = noisy_cubic(160, 0), noisy_cubic(2000, 1)
    return monomials(x, like=x), t, monomials(x_test, like=x), t_test


def least_squares(phi: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The least-squares weights of least norm, w0 first."""
    return np.linalg.lstsq(np.c_[np.ones(len(phi)), phi], t)[0]


@cache
def sparse() -> netc.Model:
    return compiled(PENALISED, root=EXAMPLE)


def lasso(strength: float, steps: int = 3000) -> netc.Model:
    """The net of degree 300 after proximal steps with a penalty `strength` sum |w|."""
    phi, t, _, _ = split()
    model = sparse()
    model.params.flat = np.zeros(301)
    model.optimizer_state.flat = np.zeros(301)
    model.optimizer_state["w.t"] = 1.0
    rate = len(t) / np.linalg.norm(phi, 2) ** 2
    model.scalars["l1"], model.scalars["lr"] = strength, rate
    model.fit(phi, t, epochs=steps, progress=False)
    model.params["w"] = model.optimizer_state["w.last"]
    return model


@experiment(
    "E7",
    "004.3.3.a 004.3.3.b 004.3.3.d",
    where="`penalty` with `l1` and `l2`; an `optimizer` of one's own for exact zeros, "
    "`examples/experiments/fista.net`",
)
def test_e7_a_penalty_of_absolute_values_tames_degree_300() -> None:
    """Least squares of degree 300 has weights above 10⁸ and a test loss above 1,000; with λ₁ = 0.1
    at most 8 of the 300 weights are not 0, none is above 2, train and test loss are those of degree
    3 to 0.25, and the solution is optimal to 10⁻⁴; λ₁ = 1 underfits."""
    phi, t, phi_test, t_test = split()
    model = sparse()
    w = least_squares(phi, t)
    model.params["w0"], model.params["w"] = w[0], w[1:]
    assert np.abs(w).max() > 1e8
    assert model.evaluate(phi_test, t_test)["loss"] > 1000
    model = lasso(0.1)
    w = np.array(model.params["w"])
    sets = ((phi, t), (phi_test, t_test))
    risks = [2 * model.evaluate(*data)["loss"] for data in sets]
    assert np.count_nonzero(w) <= 8
    assert np.abs(w).max() < 2
    degree_3 = least_squares(phi[:, :3], t)
    level = [np.mean((d[:, :3] @ degree_3[1:] + degree_3[0] - u) ** 2) for d, u in sets]
    assert risks == pytest.approx(level, abs=0.25)
    model.forward(phi, training=True)
    model.backward(t)
    slope = np.array(model.grads["w"])
    assert np.abs(slope[w == 0]).max() < 0.1
    np.testing.assert_allclose(slope[w != 0], -0.1 * np.sign(w[w != 0]), atol=1e-4)
    model = lasso(1.0, steps=300)
    assert 2 * model.evaluate(phi, t)["loss"] > risks[0] + 0.8


@experiment("E7", "004.3.3.b", where="`penalty l2(w)`, which leaves out w0; `sgd`")
def test_e7_ridge_descent_ends_at_the_closed_form_and_does_not_penalise_w0() -> None:
    """Of degree 9 with λ₂ = 0.05 in (3.13), gradient descent ends at (ΦᵀΦ/N + 2λ₂I')⁻¹Φᵀt/N to 1e-8
    and the objective is (3.13); adding 5 to t adds 5 to w₀ and nothing to the others."""
    phi, t, _, _ = split()
    phi = phi[:, :9]
    model = compiled(PENALISED, root=EXAMPLE, defines={"degree": 9, "lambda2": 0.05})
    found = []
    for shift in (0, 5):
        model.fit(phi, t + shift, epochs=3000, lr=0.15, progress=False)
        found.append(model.params.flat)
    design = np.c_[np.ones(160), phi]
    matrix = design.T @ design / 160 + 0.1 * np.diag([0, *np.ones(9)])
    np.testing.assert_allclose(found[0], np.linalg.solve(matrix, design.T @ t / 160), atol=1e-8)
    np.testing.assert_allclose(found[1] - found[0], [5, *np.zeros(9)], atol=1e-8)
    model.params.flat = found[0]
    model.forward(phi, training=True)
    squares = np.mean((design @ found[0] - t) ** 2)
    expected = squares / 2 + 0.05 * np.sum(found[0][1:] ** 2)
    assert model.backward(t) == pytest.approx(expected, rel=1e-13)


@experiment("E7", "004.3.3.b", where="`penalty lambda1 * l1(w) + lambda2 * l2(w)`")
def test_e7_sub_gradient_steps_make_weights_small_but_not_zero() -> None:
    """The gradient of the elastic net is (1/N)Φᵀ(Φw - t) + λ₁sign(w) + 2λ₂w without w₀, to 1e-12;
    2,000 steps along it leave all 9 weights different from 0, where proximal steps leave at most
    4."""
    phi, t, _, _ = split()
    phi = phi[:, :9]
    model = compiled(
        PENALISED, root=EXAMPLE, defines={"degree": 9, "lambda1": 0.1, "lambda2": 0.01}
    )
    w = np.array([0.3, -1, 2, -0.5, 0.1, 0.2, -0.3, 1, -1])
    model.params["w"], model.params["w0"] = w, 0.7
    model.forward(phi, training=True)
    model.backward(t)
    residual = 0.7 + phi @ w - t
    slope = residual @ phi / 160 + 0.1 * np.sign(w) + 0.02 * w
    np.testing.assert_allclose(model.grads["w"], slope, rtol=1e-12)
    assert model.grads["w0"] == pytest.approx(residual.mean(), rel=1e-12)
    model.fit(phi, t, epochs=2000, lr=0.15, progress=False)
    assert (model.params["w"] != 0).all()
