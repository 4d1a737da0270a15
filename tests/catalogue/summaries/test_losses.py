"""Losses as negative log-likelihoods, and what constants learn from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

PIXELS = """
net Pixels {
  input logits: [2, 4, 3]
  target map: class[3][2, 4]
  p = softmax(logits)
  output p
  output slope = grad(cross_entropy(logits, map), logits)
  output decision = argmax(logits, axis=-1)
  loss cross_entropy(logits, map) / 8
  metric likelihood = nll(p, map) / 8
  metric first = cross_entropy(logits[0, 0], map[0, 0])
}
"""


@experiment(
    "S9",
    "002.3.9 002.3.10 002.3.11",
    where="`cross_entropy` of the prelude on logits `[h, w, classes]` and labels `class[k][h, w]`",
)
def test_s9_pixel_loss_is_the_mean_of_the_losses_of_the_pixels() -> None:
    """Cross entropy = NLL of softmax; a map's loss is the mean of its pixels; slope p - one-hot."""
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(5, 2, 4, 3)), draw.integers(0, 3, (5, 2, 4))
    model = compiled(PIXELS)
    scores = model.evaluate(logits, labels)
    p = model.forward(logits)["p"]
    chosen = np.take_along_axis(p, labels[..., None], -1)[..., 0]
    assert scores["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-13)
    assert scores["likelihood"] == pytest.approx(scores["loss"], rel=1e-13)
    assert scores["first"] == pytest.approx(-np.log(chosen[:, 0, 0]).mean(), rel=1e-13)
    np.testing.assert_allclose(scores["slope"], p - np.eye(3)[labels], atol=1e-15)
    one = differences(lambda z: 8 * model.evaluate(z[None], labels[:1])["loss"], logits[0])
    np.testing.assert_allclose(scores["slope"][0], one, atol=1e-8)
    np.testing.assert_array_equal(model.forward(logits)["decision"], logits.argmax(-1))


TASKS = """
## Constants as models of three tasks at once.
net Tasks {
  target kind: class[3]
  target y: [1]
  target x: [1]
  param logits: [3]
  param level: [1]
  param mu: [1]
  param s: [1]
  loss cross_entropy(logits, kind) + half_squared_error(level, y) + gaussian_nll(mu, x, exp(s))
}
train { optimizer = sgd(lr=0.5) }
"""


@experiment(
    "S10",
    "002.1.1 002.3.6 002.4.0",
    where="`loss` of a label, of a number, of a density with learned parameters",
)
def test_s10_constants_learn_classes_a_regression_and_a_density() -> None:
    """Likelihood makes constants the class frequencies, the mean, and mean and deviation."""
    draw = np.random.default_rng(2)
    kind = np.array([0, 0, 0, 1, 1, 2] * 5)
    y, x = draw.normal(3, 1, (30, 1)), draw.normal(-1, 1.5, (30, 1))
    model = compiled(TASKS)
    for _ in range(2000):
        model.step(kind, y, x)
    e = np.exp(model.params["logits"])
    np.testing.assert_allclose(e / e.sum(), [1 / 2, 1 / 3, 1 / 6], rtol=1e-9)
    assert float(model.params["level"][0]) == pytest.approx(y.mean(), rel=1e-9)
    assert float(model.params["mu"][0]) == pytest.approx(x.mean(), rel=1e-9)
    assert float(np.exp(model.params["s"])[0]) == pytest.approx(x.std(), rel=1e-9)


CONSTANT = """
net Constant {
  target y: [1]
  param square: [1]
  param absolute: [1]
  loss half_squared_error(square, y) + absolute_error(absolute, y)
}
train {
  optimizer = sgd(lr=1)
  optimizer("absolute") = sgd(lr=inverse_time(0.02, t=step))
}
"""


@experiment(
    "S10",
    "002.3.12 002.3.13",
    where="`half_squared_error`, `absolute_error` of the prelude",
)
def test_s10_the_squared_error_finds_the_mean_and_the_absolute_one_the_median() -> None:
    """On {1, 2, 3, 4, 100} a constant goes to 22 by the squared error, to 3 by the absolute."""
    y = np.array([[1.0], [2.0], [3.0], [4.0], [100.0]])
    model = compiled(CONSTANT)
    for _ in range(20_000):
        model.step(y)
    assert float(model.params["square"][0]) == pytest.approx(22, rel=1e-12)
    assert float(model.params["absolute"][0]) == pytest.approx(3, abs=2.6e-3)


DENSITIES = """
fn printed(p, t, sigma) = sum(3.141592653589793 * sigma^2 + 0.5 * ((t - p) / sigma)^2)

net Densities {
  target y: [1]
  param mu: [1] = 3.5
  param s: [1]
  param median: [1] = 4
  param b: [1]
  param wrong: [1]
  loss gaussian_nll(mu, y, exp(s)) + laplace_nll(median, y, exp(b))
  loss printed(stop_gradient(mu), y, exp(wrong))
}
train {
  optimizer = sgd(lr=0.05)
  freeze("median")
}
"""


@experiment(
    "S10",
    "002.3.12 002.3.13",
    where="`gaussian_nll`, `laplace_nll` of the prelude with a learned sigma",
)
def test_s10_learned_scales_are_the_deviation_and_the_mean_absolute_deviation() -> None:
    """Full NLLs learn σ = 2 and b = 8/5; the printed Gaussian one learns (σ²/2π)^¼, not σ."""
    y = np.array([[1.0], [3.0], [4.0], [5.0], [7.0]])
    model = compiled(DENSITIES)
    for _ in range(4000):
        model.step(y)
    value = {name: float(v[0]) for name, v in model.params.items()}
    assert value["mu"] == pytest.approx(4, rel=1e-9)
    assert np.exp(value["s"]) == pytest.approx(2, rel=1e-9)
    assert np.exp(value["b"]) == pytest.approx(1.6, rel=1e-9)
    printed = minimize_scalar(lambda s: np.pi * s**2 + 2 / s**2, bounds=(0.1, 3), method="bounded")
    assert np.exp(value["wrong"]) == pytest.approx(printed.x, rel=1e-4)
    assert np.exp(value["wrong"]) < 1


POSTERIOR = """
## A line under a normal prior of the weights: the penalty is the negative logarithm of the prior.
const deviation = 0.7
net Posterior {
  input x: [3]
  target y: [1]
  param prior: [3]
  param half: [3]
  param printed: [3]
  loss half_squared_error(sum(x * prior), y) + half_squared_error(sum(x * half), y)
  loss half_squared_error(sum(x * printed), y)
  penalty gaussian_nll(prior, 0, deviation) / batch_size
  penalty 1 / deviation^2 * 0.5 * l2(half) / batch_size
  penalty 1 / (2 * deviation^2) * 0.5 * l2(printed) / batch_size
}
train { optimizer = sgd(lr=0.3) }
"""

LAPLACE = """
const b = 0.3
net Laplace {
  input x: [4]
  target y: [1]
  param prior: [4] = 0.1
  param l: [4] = 0.1
  loss half_squared_error(sum(x * prior), y) + half_squared_error(sum(x * l), y)
  penalty laplace_nll(0, prior, b) / batch_size
  penalty 1 / b * l1(l) / batch_size
}
train { optimizer = sgd(lr=0.5 * inverse_time(0.1, t=step)) }
"""


@experiment(
    "S11",
    "002.3.14 002.10.15",
    where="`penalty`: `gaussian_nll`, `laplace_nll` of the weights, `l2`, `l1`",
)
def test_s11_a_normal_prior_is_weight_decay_with_one_over_its_variance() -> None:
    """MAP with N(0, σ²) = (α/2)‖w‖² for α = 1/σ² (summed NLL), not for the printed 1/(2σ²)."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(12, 3))
    y = x @ [[1.0], [-2.0], [0.5]] + draw.normal(0, 1, (12, 1))
    model = compiled(POSTERIOR)
    for _ in range(1500):
        model.step(x, y)
    exact = np.linalg.solve(x.T @ x + np.eye(3) / 0.49, x.T @ y)[:, 0]
    np.testing.assert_allclose(model.params["prior"], exact, rtol=1e-10)
    np.testing.assert_allclose(model.params["half"], exact, rtol=1e-10)
    assert np.abs(model.params["printed"] - exact).max() > 0.02


@experiment("S11", "002.10.15", where="`laplace_nll` of the weights, `l1`")
def test_s11_a_laplace_prior_is_the_sum_of_absolute_values_over_b() -> None:
    """A Laplace prior of scale b moves weights as (1/b)‖w‖₁ does, to the soft threshold."""
    x = np.sqrt(5) * np.linalg.qr(np.random.default_rng(4).normal(size=(20, 4)))[0]
    y = x @ [[2.0], [-1.0], [0.5], [0.0]]
    model = compiled(LAPLACE)
    for _ in range(20_000):
        model.step(x, y)
    np.testing.assert_array_equal(model.params["prior"], model.params["l"])
    plain = (x.T @ y)[:, 0] / 5
    soft = np.sign(plain) * np.maximum(np.abs(plain) - 1 / 0.3 / 5, 0)
    np.testing.assert_allclose(model.params["prior"], soft, atol=1e-4)


LOGISTIC = """
net Logistic {
  input x: [2]
  target y: [1]
  param w: [2]
  param b: [1]
  z = sum(x * w) + b
  p = sigmoid(z)
  output p
  output slope = grad(objective, w)
  loss binary_cross_entropy(p, y)
  metric likelihood = -log(p^y * (1 - p)^(1 - y))[0]
  metric half = half_squared_error(p, y)
  metric error = mean((p > 0.5) != y)
}
train { optimizer = sgd(lr=1) }
"""


@experiment(
    "S39",
    "003.3.1 003.3.2 003.3.3 003.3.5 003.2.6",
    where="`half_squared_error`, `binary_cross_entropy` of the prelude; `loss` is averaged",
)
def test_s39_logistic_regression_separates_and_its_cost_is_the_averaged_likelihood() -> None:
    """Cost = NLL/m, slope (1/m) Σ (p - y) x, hand values ln 2 and 1/8; separable data: error 0."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(40, 2))
    y = (x @ [[1.0], [2.0]] > 0.1) * 1.0
    model = compiled(LOGISTIC)
    start = model.evaluate(x, y)
    assert start["loss"] == pytest.approx(np.log(2), rel=1e-13)
    assert start["half"] == pytest.approx(1 / 8, rel=1e-13)
    model.params["w"] = [0.3, -0.4]
    scores, p = model.evaluate(x, y), model.forward(x)
    assert scores["loss"] == pytest.approx(scores["likelihood"], rel=1e-12)
    np.testing.assert_allclose(scores["slope"].reshape(-1, 2)[0], ((p - y) * x).mean(0), rtol=1e-12)

    def cost(w: np.ndarray) -> float:
        model.params["w"] = w
        return model.evaluate(x, y)["loss"]

    numeric = differences(cost, [0.3, -0.4])
    np.testing.assert_allclose(scores["slope"].reshape(-1, 2)[0], numeric, rtol=1e-7)
    for _ in range(3000):
        model.step(x, y)
    assert model.evaluate(x, y)["error"] == 0
