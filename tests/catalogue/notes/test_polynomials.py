"""Text 004, sections 3.2 and 3.3: polynomials of degree 1 to 300, with and without penalties."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

DEGREES = (1, 3, 5, 300)

POLYNOMIAL = """
const degree = 300

## x, x^2, …, x^degree, for x of any sign.
fn monomials(x, degree) {
  j = iota(degree) + 1
  half = floor(j / 2)
  return where(j == 2 * half, 1, x) * (x^2)^half
}

net Polynomial {
  input  x: []
  target t: []
  phi = monomials(x / 2, degree) |> standardize
  param w0 = 0
  param w: [degree] = 0
  y = w0 + sum(w * phi)
  output phi
  output y
  loss (y - t)^2
}
train { optimizer = sgd(lr = 0) }
"""

PENALISED = """
const degree = 300
const lambda1 = 0
const lambda2 = 0

## Accelerated proximal gradient steps for a penalty l1 sum |w|, which shrinks to exact zeros.
## `last` is the solution; w runs ahead of it.
optimizer fista(lr = 0.01, l1 = 0) {
  state last = 0
  state t: [] = 1
  v = w - lr * g
  next = sign(v) * max(abs(v) - lr * l1, 0)
  later = (1 + sqrt(1 + 4 * t^2)) / 2
  w <- next + (t - 1) / later * (next - last)
  last <- next
  t <- later
}

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


def cubic(x: np.ndarray) -> np.ndarray:
    return 0.5 * x**3 + 0.3 * x**2 - 0.25 * x + 1


def noisy_cubic(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The data (3.12), with the range and the noise that Table 1 implies."""
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, samples)
    return x, cubic(x) + 2 * random.normal(size=samples)


@cache
def polynomial() -> netc.Model:
    return compiled(POLYNOMIAL)


def standardised(x: np.ndarray) -> np.ndarray:
    """The 300 monomials of the net, standardised over these numbers from now on."""
    model = polynomial()
    mu, sigma = (next(n for n in model.state if n.endswith(end)) for end in ("mu", "sigma"))
    model.state[mu], model.state[sigma] = np.zeros(300), np.ones(300)
    raw = model.predict(x)["phi"]
    model.state[mu], model.state[sigma] = raw.mean(0), raw.std(0)
    return model.predict(x)["phi"]


def losses(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared losses [degree, (train, test)] of least squares, and the largest weights."""
    model = polynomial()
    x, t = noisy_cubic(samples, seed)
    train, test = slice(None, samples * 4 // 5), slice(samples * 4 // 5, None)
    phi = standardised(x[train])
    found, largest = [], []
    for degree in DEGREES:
        w = np.linalg.lstsq(np.c_[np.ones(len(phi)), phi[:, :degree]], t[train])[0]
        model.params["w0"], model.params["w"] = w[0], np.pad(w[1:], (0, 300 - degree))
        found.append([model.evaluate(x[p], t[p])["loss"] for p in (train, test)])
        largest.append(np.abs(w).max())
    return np.array(found), np.array(largest)


def least_squares(phi: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The least-squares weights of least norm, w0 first."""
    return np.linalg.lstsq(np.c_[np.ones(len(phi)), phi], t)[0]


@experiment(
    "E6",
    "004.3.a 004.3.2.a 004.3.2.b 004.3.2.c",
    where="an `fn` of monomials and `standardize`; `examples/experiments/polynomial_degrees.py`",
)
def test_e6_degree_300_fits_best_and_predicts_worst() -> None:
    """Noisy cubics of 500 points (x within ±2, noise of standard deviation 2), 3 seeds: the printed
    losses of degrees 1, 3 and 5 (4.11/4.88, 3.63/4.15, 3.61/4.12) are within 2 standard deviations
    of a run from the means, and the gain from degree 1 to 3 is the printed 0.48 ± 0.05. Degree 300
    has the least train loss and, in each seed, a test loss more than 1,000 times as large. With the
    printed deviation of 1, degree 3 has 0.9 ± 0.1 instead of 3.63."""
    found = np.array([losses(500, seed)[0] for seed in range(3)])
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
    x, t = noisy_cubic(500, 0)
    calm = cubic(x) + (t - cubic(x)) / 2
    model, phi = polynomial(), standardised(x)
    w = least_squares(phi[:, :3], calm)
    model.params["w0"], model.params["w"] = w[0], np.pad(w[1:], (0, 297))
    assert model.evaluate(x, calm)["loss"] == pytest.approx(0.9, abs=0.1)


@cache
def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standardised monomials and targets of 160 training and 2,000 test points."""
    x, t = noisy_cubic(160, 0)
    x_test, t_test = noisy_cubic(2000, 1)
    phi = standardised(x)
    return phi, t, polynomial().predict(x_test)["phi"], t_test


@cache
def sparse() -> netc.Model:
    return compiled(PENALISED)


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
    where="`penalty` with `l1` and `l2` of the prelude; an `optimizer` of one's own with proximal "
    "steps for exact zeros",
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
    model = compiled(PENALISED, defines={"degree": 9, "lambda2": 0.05})
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
    model = compiled(PENALISED, defines={"degree": 9, "lambda1": 0.1, "lambda2": 0.01})
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
