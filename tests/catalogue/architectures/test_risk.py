"""Losses, the risk by enumeration, quadrature and a test set, and how complexity changes it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.metrics import accuracy_score

from netc.procedures import newton
from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

NOISE = 0.3

DATA = """
const sigma = 0.3

## The target function, and what is seen of it.
fn f(x) = sin(3 * x)

net Data {
  input  x: []
  target y: []
  seen = f(x) + normal(0, sigma, [])
  param slope = 0.5
  g = slope * x
  output seen
  output f_of_x = f(x)
  output g
  output quadratic = squared_error(g, y)
  metric risk_of_g = squared_error(g, y)
  metric risk_of_f = squared_error(f(x), y)
  loss squared_error(g, y)
}
"""


@cache
def source():
    """The net that draws labels, and 100,000 of its samples with x uniform in [-1, 1]."""
    model = compiled(DATA, seed=5)
    x = np.random.default_rng(1).uniform(-1, 1, 100_000)
    return model, x, model.forward(x)["seen"]


@experiment("000.5.1a", where="`squared_error`, `half_squared_error`")
def test_000_5_1a_the_quadratic_loss_with_and_without_the_half():
    """(y - g)² and ½ (y - g)² have one minimiser, and gradients that differ by exactly 2."""
    text = """
    net Square {
      input  x: [3]
      target y: []
      param  w: [3] = normal(0, 1)
      output H = hessian(objective, params)
      loss squared_error(x @ w, y)
    }"""
    whole, half = compiled(text), compiled(text.replace("squared_error", "half_squared_error"))
    random = np.random.default_rng(2)
    x, y = random.normal(size=(30, 3)), random.normal(size=30)
    (risk, one), (other, two) = gradients(whole, x, y), gradients(half, x, y)
    assert risk == pytest.approx(2 * other, rel=1e-14)
    np.testing.assert_allclose(one["w"], 2 * two["w"], rtol=1e-14)
    newton.minimise(whole, x, y)
    newton.minimise(half, x, y)
    np.testing.assert_allclose(whole.params["w"], half.params["w"], rtol=1e-12)


@experiment("000.5.1b", where="`metric error = zero_one(argmax(z), t)`")
def test_000_5_1b_the_zero_one_loss_is_one_minus_the_accuracy():
    """The mean of `zero_one` over 500 samples is 1 - accuracy, also by scikit-learn; it has no
    slope, so it is a metric beside the loss that is trained."""
    model = compiled("""
    net Classes {
      input  x: [4]
      target t: class[3]
      z = x |> dense(3)
      output label = argmax(z)
      loss cross_entropy(z, t)
      metric error = zero_one(argmax(z), t)
      metric accuracy = argmax(z) == t
    }""")
    random = np.random.default_rng(3)
    x, t = random.normal(size=(500, 4)), random.integers(0, 3, 500)
    found = model.evaluate(x, t)
    assert found["error"] == pytest.approx(1 - found["accuracy"], rel=1e-12)
    assert found["accuracy"] == pytest.approx(accuracy_score(t, model.forward(x)), rel=1e-12)


@experiment("000.5.1c", where="`model.evaluate` over all z with their probabilities")
def test_000_5_1c_the_risk_of_a_known_distribution():
    """For 6 pairs z = (x, y) of known probability, the sum Σ L(y, g(x)) p(z) of the compiled losses
    and the mean over 100,000 draws agree within three standard errors."""
    model, _, _ = source()
    random = np.random.default_rng(4)
    x, y = random.normal(size=6), random.normal(size=6)
    p = random.dirichlet(np.ones(6))
    losses = model.evaluate(x, y)["quadratic"]
    np.testing.assert_allclose(losses, (0.5 * x - y) ** 2, rtol=1e-12)
    risk = losses @ p
    drawn = random.choice(6, 100_000, p=p)
    error = np.sqrt(p @ (losses - risk) ** 2 / len(drawn))
    assert abs(model.evaluate(x[drawn], y[drawn])["risk_of_g"] - risk) < 3 * error


@experiment("000.5.1d", where="`f(x) + normal(0, sigma, [])` in a net that draws its own labels")
def test_000_5_1d_a_target_function_with_additive_noise():
    """The risk of g = x/2 for labels sin 3x + ε is ∫ p(x) (f - g)² dx + σ² by quadrature, and so
    the mean over 100,000 compiled draws within three standard errors; without noise it is the
    integral alone. The noise itself has mean 0 and variance 0.09."""
    model, x, y = source()
    found = model.forward(x)
    np.testing.assert_allclose(found["f_of_x"], np.sin(3 * x), rtol=1e-12)
    distance = quad(lambda v: 0.5 * (np.sin(3 * v) - 0.5 * v) ** 2, -1, 1)[0]
    losses = model.evaluate(x, y)["quadratic"]
    error = losses.std() / np.sqrt(len(x))
    assert abs(losses.mean() - distance - NOISE**2) < 3 * error
    bare = model.evaluate(x, found["f_of_x"])["quadratic"]
    assert abs(bare.mean() - distance) < 3 * bare.std() / np.sqrt(len(x))
    noise = y - found["f_of_x"]
    assert abs(noise.mean()) < 3 * NOISE / np.sqrt(len(x))
    assert abs(noise.var() - NOISE**2) < 3 * NOISE**2 * np.sqrt(2 / len(x))


@experiment("000.5.2.1", where="`model.evaluate` on data kept apart")
def test_000_5_2_1_a_test_set_estimates_the_risk():
    """The mean loss of the true f over M = 10, 1000 and 100,000 test samples is σ² = 0.09 within
    three standard errors √(2/M) σ². The loss of a polynomial on the 20 samples that it was
    trained on is below σ², its risk above."""
    model, x, y = source()
    for M in (10, 1000, 100_000):
        loss = model.evaluate(x[:M], y[:M])["risk_of_f"]
        assert abs(loss - NOISE**2) < 3 * np.sqrt(2 / M) * NOISE**2
    fitted = polynomial(7, x[:20], y[:20])
    assert fitted.evaluate(powers(x[:20], 7), y[:20])["loss"] < NOISE**2
    assert fitted.evaluate(powers(x[20:], 7), y[20:])["loss"] > NOISE**2


@cache
def features():
    return compiled("""
    net Polynomial {
      input  x: [13]
      target y: []
      param  w: [13] = zeros
      output H = hessian(objective, params)
      loss squared_error(x @ w, y)
    }""")


def powers(x, degree):
    """1, x, …, x^degree, and zeros up to 13 features."""
    return np.where(np.arange(13) <= degree, x[:, None] ** np.arange(13), 0)


def polynomial(degree, x, y):
    """The least squares polynomial; coefficients without a feature stay 0."""
    model = features()
    model.params["w"] = np.zeros(13)
    newton.minimise(model, powers(x, degree), y, steps=3)
    return model


@experiment("000.5.2.2e", where="one net of 13 powers; `newton` leaves absent features alone")
def test_000_5_2_2e_the_best_complexity_lies_inside():
    """Polynomials of degree 0 … 12 through 20 noisy points of sin 3x: the training loss never
    rises, the test loss is least at a degree between 3 and 7, and more than twice that at degree
    0 and at degree 12."""
    _, x, y = source()
    train, test = [], []
    for degree in range(13):
        model = polynomial(degree, x[:20], y[:20])
        assert not np.any(model.params["w"][degree + 1 :])
        train.append(model.evaluate(powers(x[:20], degree), y[:20])["loss"])
        test.append(model.evaluate(powers(x[20:2000], degree), y[20:2000])["loss"])
    assert np.all(np.diff(train) < 1e-9)
    best = int(np.argmin(test))
    assert 3 <= best <= 7
    assert test[0] > 2 * test[best]
    assert test[12] > 2 * test[best]
