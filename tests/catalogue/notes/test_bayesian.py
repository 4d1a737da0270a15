"""Text 004, appendix B: linear regression with Gaussian noise and a Gaussian prior."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import netc
from netc.procedures import newton
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

ALPHA, BETA = 2.0, 6.25

LIKELIHOOD = """
net Likelihood {
  input  x: []
  target t: []
  param w: [4] = 0
  param beta = 1  # the precision of the noise
  phi = stack(1, x, x^2, x^3)
  y = sum(w * phi)
  output phi
  output y
  loss gaussian_nll(y, t, sigma = rsqrt(beta))
  output H = hessian(objective, params)
}
"""

POSTERIOR = """
const alpha = 2
const beta = 6.25
net Posterior {
  input  x: []
  target t: []
  param w: [4] = 0
  phi = stack(1, x, x^2, x^3)
  y = sum(w * phi)
  output y
  # (B.15), up to a constant: the mean over the batch times its size
  loss    batch_size * 0.5 * beta * (y - t)^2
  penalty 0.5 * alpha * l2(w)
  output H = hessian(objective, params)
}
"""


def design(x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones(len(x)), x, x**2, x**3], axis=1)


@cache
def data(samples: int = 30) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, 400)[:samples]
    return x, 1 - x + 0.5 * x**3 + 0.4 * random.normal(size=400)[:samples]


@cache
def posterior() -> netc.Model:
    return compiled(POSTERIOR)


def normal_posterior(
    x: np.ndarray, t: np.ndarray, mean: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and precision after data, from a normal prior: (B.19), (B.20) for any prior."""
    phi = design(x)
    after = precision + BETA * phi.T @ phi
    return np.linalg.solve(after, precision @ mean + BETA * phi.T @ t), after


@experiment(
    "E42", "004.B.0 004.B.1", where="`gaussian_nll` of the prelude, `netc.procedures.newton`"
)
def test_e42_maximum_likelihood_is_least_squares() -> None:
    """The loss is -ln N(t | y, 1/β) of SciPy to 1e-13, with the exponent -(β/2)(t - y)² where (B.4)
    prints β/2π; its minimum, a maximum of the likelihood, is least squares to 1e-8 and 1/β the mean
    squared residual to 1e-8: β is a precision, the variance of the prediction is 1/β."""
    x, t = data()
    model = compiled(LIKELIHOOD)
    phi = model.forward(x)["phi"]
    model.params["w"], model.params["beta"] = [1, 0, -1, 0.5], 3.0
    y = model.forward(x)["y"]
    expected = -norm(y, 3**-0.5).logpdf(t)
    assert model.evaluate(x, t)["loss"] == pytest.approx(expected.mean(), rel=1e-13)
    printed = 0.5 * np.log(2 * np.pi / 3) + 3 / (2 * np.pi) * (t - y) ** 2
    assert abs(printed.mean() - expected.mean()) > 0.1
    best = np.linalg.lstsq(phi, t)[0]
    model.params["w"] = best + 0.05
    newton.minimise(model, x, t, steps=30)
    np.testing.assert_allclose(model.params["w"], best, atol=1e-8)
    variance = np.mean((t - phi @ best) ** 2)
    assert 1 / model.params["beta"] == pytest.approx(variance, rel=1e-8)
    least = model.evaluate(x, t)["loss"]
    model.params["w"] = best + 0.01
    assert model.evaluate(x, t)["loss"] > least


@experiment(
    "E42",
    "004.3.3.c 004.B.2",
    where="`penalty 0.5 * alpha * l2(w)` with `loss batch_size * …`, `netc.procedures.newton`",
)
def test_e42_the_maximum_of_the_posterior_is_ridge_regression() -> None:
    """With prior precision α and noise precision β the minimum of (B.15) is ridge regression: with
    λ = α/β in (1/2)SSE + (λ/2)|w|², with λ₂ = α/(2βN) in the scale of (3.13), where λ₂ = α/β as the
    text says is off by more than 0.1; w₀ is penalised too. (B.15) is minus the log posterior up to
    a constant."""
    x, t = data()
    model = posterior()
    model.params["w"] = np.zeros(4)
    newton.minimise(model, x, t, steps=3)
    w, phi = np.array(model.params["w"]), design(x)
    ridge = np.linalg.solve(phi.T @ phi + ALPHA / BETA * np.eye(4), phi.T @ t)
    np.testing.assert_allclose(w, ridge, atol=1e-12)
    for strength, right in ((ALPHA / (2 * BETA * 30), True), (ALPHA / BETA, False)):
        scaled = np.linalg.solve(phi.T @ phi / 30 + 2 * strength * np.eye(4), phi.T @ t / 30)
        assert (np.abs(scaled - w).max() < 1e-12) == right
        assert right or np.abs(scaled - w).max() > 0.1
    free = np.diag([0, 1, 1, 1])
    assert np.abs(np.linalg.solve(phi.T @ phi + ALPHA / BETA * free, phi.T @ t) - w).max() > 0.01
    values = []
    for at in (w, w + 0.3, np.zeros(4)):
        model.params["w"] = at
        model.forward(x, training=True)
        log = norm(phi @ at, BETA**-0.5).logpdf(t).sum() + norm(0, ALPHA**-0.5).logpdf(at).sum()
        values.append(model.backward(t) + log)
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


@experiment("E42", "004.B.3", where="`output H = hessian(objective, params)` is S_N⁻¹")
def test_e42_the_posterior_is_normal_and_may_be_found_step_by_step() -> None:
    """The compiled Hessian of (B.15) is S_N⁻¹ = αI + βΦᵀΦ to 1e-12 and its minimum the mean
    m_N = βS_NΦᵀt, which (B.20) prints without S_N; it is the normalised product of prior and
    likelihood; 10 and then 20 data give the posterior of 30 to 1e-12."""
    x, t = data()
    model, phi = posterior(), design(x)
    newton.minimise(model, x, t, steps=3)
    inverse = newton.curvature(model, x, t)
    np.testing.assert_allclose(inverse, ALPHA * np.eye(4) + BETA * phi.T @ phi, rtol=1e-12)
    mean = BETA * np.linalg.solve(inverse, phi.T @ t)
    np.testing.assert_allclose(model.params["w"], mean, atol=1e-12)
    assert np.abs(BETA * phi.T @ t - mean).max() > 1
    law, random = multivariate_normal(mean, np.linalg.inv(inverse)), np.random.default_rng(1)
    logs = []
    for w in mean + 0.2 * random.normal(size=(5, 4)):
        joint = norm(phi @ w, BETA**-0.5).logpdf(t).sum() + norm(0, ALPHA**-0.5).logpdf(w).sum()
        logs.append(joint - law.logpdf(w))
    np.testing.assert_allclose(logs, logs[0], rtol=1e-10)
    first = normal_posterior(x[:10], t[:10], np.zeros(4), ALPHA * np.eye(4))
    both = normal_posterior(x[10:], t[10:], *first)
    np.testing.assert_allclose(both[0], model.params["w"], atol=1e-12)
    np.testing.assert_allclose(both[1], inverse, rtol=1e-12)


@experiment("E42", "004.B.3", where="`hessian(objective, params)` and `jacobian`")
def test_e42_the_predictive_variance_falls_to_that_of_the_noise() -> None:
    """σ_N²(x) = 1/β + φᵀS_Nφ is never below 1/β = 0.16, falls at every x as N goes from 5 to 30 to
    400, and is then within 10 % of 1/β; 20,000 draws of w and noise have this variance to 4
    standard errors."""
    at, model = design(np.linspace(-1, 1, 21)), posterior()
    before = np.full(21, np.inf)
    for samples in (5, 30, 400):
        x, t = data(samples)
        newton.minimise(model, x, t, steps=3)
        spread = np.linalg.inv(newton.curvature(model, x, t))
        variance = 1 / BETA + np.einsum("ai,ij,aj->a", at, spread, at)
        assert (variance >= 1 / BETA).all()
        assert (variance < before).all()
        before = variance
    assert (variance < 1.1 / BETA).all()
    x, t = data(30)
    newton.minimise(model, x, t, steps=3)
    spread = np.linalg.inv(newton.curvature(model, x, t))
    random = np.random.default_rng(2)
    w = random.multivariate_normal(model.params["w"], spread, size=20_000)
    drawn = w @ at[3] + BETA**-0.5 * random.normal(size=20_000)
    expected = 1 / BETA + at[3] @ spread @ at[3]
    assert drawn.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / 20_000))
