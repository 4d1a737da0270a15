"""Section 10.1: batch normalisation, its inference, its invariance and its gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

ONE = """
net One {
  input a: [1]
  b = a |> batch_norm(eps=0)
  output b
  loss sum(b)
}
"""


@experiment("X45", "000.10.1a", where="`batch_norm`, with its `gamma`, `beta` and `eps`")
def test_x45_batch_normalisation_by_hand() -> None:
    """(1, 2, 3, 4) becomes ±1.341641, ±0.447214 with the biased variance 1.25; γ = √1.25 and
    β = 2.5 give it back.
    """
    model = compiled(ONE)
    a = np.array([[1.0], [2], [3], [4]])
    found = model.forward(a, training=True)[:, 0]
    assert found == pytest.approx([-1.341641, -0.447214, 0.447214, 1.341641], abs=1e-6)
    model.params["b.batch_norm.gamma"] = [np.sqrt(1.25)]
    model.params["b.batch_norm.beta"] = [2.5]
    assert model.forward(a, training=True) == pytest.approx(a, abs=1e-12)
    model.params["b.batch_norm.gamma"] = [np.sqrt(5 / 3)]
    assert model.forward(a, training=True) != pytest.approx(a, abs=1e-2), "not the unbiased one"


LINES = """
net Lines {
  input a: [3]
  input r: [3]
  param gamma: [3] = uniform(0.5, 2)
  param beta: [3] = normal(0, 1)
  mu = batch_mean(a)
  var = batch_mean((a - mu)^2)
  hat = (a - mu) / sqrt(var + 1e-3)
  b = gamma * hat + beta
  L = batch_sum(sum(r * b + b^3))
  output delta = grad(L, b)
  output hat_of = hat
  output by_hat = grad(L, hat)
  output by_var = grad(L, var)
  output by_mu = grad(L, mu)
  output by_a = grad(L, a)
  output by_gamma = grad(L, gamma)
  output by_beta = grad(L, beta)
  output total = L
  output library = a |> batch_norm(eps=1e-3)
}
"""


@experiment("X46", "000.10.1d", where="`grad(L, mu)` of named values on the way")
def test_x46_every_line_of_the_backward_pass() -> None:
    """All six formulas of 10.12 are the compiler's gradients to 1e-10 and finite differences to
    1e-6, for six samples; the second term of the derivative by the mean is 0.
    """
    model = compiled(LINES, seed=2)
    draws = np.random.default_rng(1)
    a, r = draws.normal(size=(2, 6, 3)) * [[[2]], [[1]]]
    out = model.forward(a, r, training=True)
    gamma, delta, hat = np.array(model.params["gamma"]), out["delta"], out["hat_of"]
    mu, var = a.mean(0), a.var(0)
    deviation = np.sqrt(var + 1e-3)
    by_hat = delta * gamma
    by_var = (by_hat * (a - mu)).sum(0) * -0.5 * deviation**-3
    second = by_var * (-2 * (a - mu)).sum(0) / 6
    by_mu = (by_hat * -1 / deviation).sum(0) + second
    by_a = by_hat / deviation + by_var * 2 * (a - mu) / 6 + by_mu / 6
    expected = {
        "by_hat": by_hat,
        "by_var": by_var,
        "by_mu": by_mu,
        "by_a": by_a,
        "by_gamma": (delta * hat).sum(0),
        "by_beta": delta.sum(0),
    }
    for name, value in expected.items():
        assert out[name] == pytest.approx(np.broadcast_to(value, (6, 3)), abs=1e-10), name
    assert second == pytest.approx(0, abs=1e-12)
    found = differences(lambda a: model.forward(a, r, training=True)["total"][0], a)
    assert out["by_a"] == pytest.approx(found, rel=1e-6, abs=1e-6)
    assert out["library"] == pytest.approx(hat, abs=1e-12)


RUNNING = """
net Running {
  input a: [2]
  b = a |> batch_norm(momentum=0.99)
  output b
}
"""


@experiment(
    "X47", "000.10.1b", where="states `mean` and `var` of `batch_norm`, `forward(training=…)`"
)
def test_x47_inference_uses_running_averages() -> None:
    """The averages decay as m ← 0.99 m + 0.01 μ and come to the population's moments within their
    sampling error; a single sample is normalised with them. In training it becomes β.
    """
    model = compiled(RUNNING)
    draws = np.random.default_rng(4)
    center, spread, size, steps = np.array([2.0, -1]), np.array([3.0, 0.5]), 64, 1500
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(steps):
        a = center + spread * draws.normal(size=(size, 2))
        model.forward(a, training=True)
        mean = 0.99 * mean + 0.01 * a.mean(0)
        var = 0.99 * var + 0.01 * a.var(0)
    state = model.state
    assert state["b.batch_norm.mean"] == pytest.approx(mean, abs=1e-12)
    assert state["b.batch_norm.var"] == pytest.approx(var, abs=1e-12)
    kept = np.sqrt(0.01 / 1.99 / size)  # of the variance of one batch's mean, in an average
    assert np.abs(mean - center).max() < 4 * (kept * spread).max()
    population = spread**2 * (1 - 1 / size)
    assert np.abs(var / population - 1).max() < 4 * np.sqrt(2) * kept

    one = np.array([[5.0, 0]])
    normalised = (one - mean) / np.sqrt(var + 1e-5)
    assert model.forward(one) == pytest.approx(normalised, abs=1e-12)
    model.params["b.batch_norm.beta"] = [7, 8]
    assert model.forward(one, training=True) == pytest.approx(np.array([[7.0, 8]]), abs=0)


SCALES = """
net Scales {
  input x: [4]
  param W: [4, 5] = normal(0, 1)
  param c = 1
  output linear = x @ (c * W) |> batch_norm(eps=0)
  output rectified = relu(x @ (c * W)) |> batch_norm(eps=0)
  output mean_of = batch_mean(relu(x @ (c * W)))
  output square_of = batch_mean(relu(x @ (c * W))^2)
}
"""


@experiment("X48", "000.10.1c", where="`relu(x @ W) |> batch_norm(eps=0)`")
def test_x48_weights_may_be_scaled() -> None:
    """c = 0.1, 3, 100 times the weights: means scale with c, second moments with c², the normalised
    values are the same to 1e-12 behind linear units and ReLU; c = -1 changes them.
    """
    model = compiled(SCALES, seed=1)
    x = np.random.default_rng(0).normal(size=(30, 4))
    one = model.forward(x, training=True)
    for c in (0.1, 3, 100):
        model.params["c"] = c
        scaled = model.forward(x, training=True)
        for name in ("linear", "rectified"):
            assert scaled[name] == pytest.approx(one[name], abs=1e-12)
        assert scaled["mean_of"] == pytest.approx(c * one["mean_of"], rel=1e-12)
        assert scaled["square_of"] == pytest.approx(c**2 * one["square_of"], rel=1e-12)
    model.params["c"] = -1
    assert model.forward(x, training=True)["linear"] == pytest.approx(-one["linear"], abs=1e-12)
