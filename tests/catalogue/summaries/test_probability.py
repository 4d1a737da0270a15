"""Probability tables, entropies, estimators and likelihoods."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

TABLES = """
fn given(joint, axis) = joint / sum(joint, axis=axis, keepdims=true)

net Tables {
  input p: [2, 3]
  px = sum(p, axis=1)
  py = sum(p, axis=0)
  likelihood = given(p, 0)
  posterior = given(p, 1)
  output px
  output py
  output likelihood
  output posterior
  output bayes = given(likelihood * py, 1)
  output both = stack(likelihood * py, posterior * reshape(px, [2, 1]))
  output dependence = max(abs(p - reshape(px, [2, 1]) * py))
}
"""

MIXTURE = """
## x is continuous, y one of two: p(x, y) = p(y) N(x; mu_y, sigma_y).
net Mixture {
  input x: [1]
  prior = [0.3, 0.7]
  mu = [-1, 2]
  sigma = [0.5, 1.5]
  joint = prior * exp(-0.5 * ((x - mu) / sigma)^2) / (sigma * 2.5066282746310002)
  output joint
  output density = sum(joint)
}
"""


@experiment("S4", "002.2.3-2.6 002.2.7-2.10", where="reductions along an `axis`")
def test_s4_a_joint_table_has_marginals_conditionals_and_bayes_rule() -> None:
    """Marginals sum to 1, p(x|y) p(y) = p(y|x) p(x), Bayes' posterior is the one of the table."""
    joint = np.array([[[0.1, 0.25, 0.15], [0.3, 0.05, 0.15]]])
    product = np.array([0.4, 0.6])[:, None] * np.array([0.2, 0.5, 0.3])
    model = compiled(TABLES)
    found = model.forward(joint)
    np.testing.assert_allclose(found["px"], [[0.5, 0.5]], rtol=1e-12)
    np.testing.assert_allclose(found["py"], [[0.4, 0.3, 0.3]], rtol=1e-12)
    np.testing.assert_allclose(found["likelihood"].sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(found["bayes"], found["posterior"], rtol=1e-12)
    np.testing.assert_allclose(found["both"][0, 0], joint[0], rtol=1e-12)
    np.testing.assert_allclose(found["both"][0, 1], joint[0], rtol=1e-12)
    assert found["posterior"][0, 1, 0] == pytest.approx(0.6, rel=1e-12)
    assert found["dependence"][0] == pytest.approx(0.1, rel=1e-12)
    assert model.forward(product[None])["dependence"][0] < 1e-16


@experiment("S4", "002.2.3-2.6", where="`sum` over the discrete variable")
def test_s4_mixed_variables_sum_the_discrete_and_integrate_the_continuous_one() -> None:
    """p(x) = Σ_y p(x, y) integrates to 1, ∫ p(x, y) dx = p(y); printed the other way round."""
    model = compiled(MIXTURE)

    def at(name: str, x: float) -> np.ndarray:
        return model.forward([[x]])[name][0]

    assert quad(lambda x: at("density", x), -15, 20, epsabs=1e-10)[0] == pytest.approx(1, abs=1e-9)
    for y, prior in enumerate((0.3, 0.7)):
        total = quad(lambda x, y=y: at("joint", x)[y], -15, 20, epsabs=1e-10)[0]
        assert total == pytest.approx(prior, abs=1e-9)
    first = quad(lambda x: at("joint", x)[0], -15, 20, epsabs=1e-10)[0]
    assert abs(first - at("density", 0.0)) > 0.1


DIE = """
net Die {
  input outcome: [1]
  faces = 1 + iota(6)
  p = 0 * faces + 1 / 6
  even = faces - 2 * floor(faces / 2) == 0
  mean = sum(faces * p)
  output total = sum(p)
  output event = sum(where(even, p, 0))
  output expected = mean
  output variance = sum((faces - mean)^2 * p)
  output other = sum(faces^2 * p) - mean^2
  output deviation = sqrt(sum((faces - mean)^2 * p))
  output rolled = sum(p * (faces == outcome))
}
"""


@experiment("S5", "002.2.1 002.2.11 002.2.12", where="`sum` of constants")
def test_s5_a_die_has_mean_three_and_a_half_and_both_forms_of_the_variance_agree() -> None:
    """Die: Σp = 1, P({2, 4, 6}) = 1/2, E = 3.5, Var = 35/12 in both forms, σ = √(35/12)."""
    found = compiled(DIE).forward([[4.0], [7.0]])
    for name, value in {
        "total": 1,
        "event": 0.5,
        "expected": 3.5,
        "variance": 35 / 12,
        "other": 35 / 12,
        "deviation": np.sqrt(35 / 12),
    }.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-13)
    np.testing.assert_allclose(found["rolled"], [1 / 6, 0], atol=1e-16)


ENTROPIES = """
const bit = 0.6931471805599453
net Entropies {
  input p: [6]
  input q: [6]
  output h = entropy(p) / bit
  output cross = categorical_cross_entropy(q, p) / bit
  output kl = kl_divergence(p, q) / bit
}
"""


@experiment(
    "S6",
    "002.2.13 002.2.14 002.2.15",
    where="`entropy`, `categorical_cross_entropy`, `kl_divergence` of the prelude, over log 2",
)
def test_s6_entropy_cross_entropy_and_divergence_in_bits() -> None:
    """Coin 1 bit, die 2.584963; H(p, q) = 1.207519, D(p‖q) = 0.207519, their difference is H(p)."""
    coin = [0.5, 0.5, 0, 0, 0, 0]
    p = np.array([coin, [1 / 6] * 6, coin])
    q = np.array([coin, [1 / 6] * 6, [0.25, 0.75, 0, 0, 0, 0]])
    found = compiled(ENTROPIES).forward(p, q)
    np.testing.assert_allclose(found["h"], [1, np.log2(6), 1], rtol=1e-13)
    assert found["h"][1] == pytest.approx(2.584963, abs=5e-7)
    assert found["cross"][2] == pytest.approx(1.207519, abs=5e-7)
    assert found["kl"][2] == pytest.approx(0.207519, abs=5e-7)
    np.testing.assert_allclose(found["kl"][:2], 0, atol=1e-15)
    np.testing.assert_allclose(found["cross"] - found["h"], found["kl"], atol=1e-15)


ESTIMATORS = """
const truth = 2

## The mean of n draws, shrunk towards 0, and how far means of the first few draws lie from it.
net Estimators {
  input x: [256]
  input shrink: [1]
  guess = shrink * mean(x[:16])
  middle = batch_mean(guess)
  output bias = middle - truth
  output variance = batch_mean((guess - middle)^2)
  output mse = batch_mean((guess - truth)^2)
  output off4 = batch_mean(abs(mean(x[:4]) - truth) > 0.25)
  output off16 = batch_mean(abs(mean(x[:16]) - truth) > 0.25)
  output off64 = batch_mean(abs(mean(x[:64]) - truth) > 0.25)
  output off256 = batch_mean(abs(mean(x) - truth) > 0.25)
}
"""


@experiment(
    "S7",
    "002.3.1 002.3.2 002.3.3 002.3.4 002.3.5",
    where="`batch_mean` over repeated data sets",
)
def test_s7_the_error_of_an_estimator_is_bias_squared_plus_variance() -> None:
    """MSE = bias² + variance to 1e-12; shrinking trades them; P(|mean - μ| > ε) → 0 as for N."""
    trials = 4000
    x = np.random.default_rng(0).normal(2, 1, (trials, 256))
    model = compiled(ESTIMATORS)
    biases, variances = [], []
    for shrink in (1.0, 0.9, 0.6):
        found = model.forward(x, np.full((trials, 1), shrink))
        bias, variance, mse = (float(found[n].flat[0]) for n in ("bias", "variance", "mse"))
        assert mse == pytest.approx(bias**2 + variance, rel=1e-12)
        assert variance == pytest.approx(shrink**2 / 16, rel=5 * np.sqrt(2 / trials))
        assert bias == pytest.approx(2 * shrink - 2, abs=5 * shrink / 4 / np.sqrt(trials))
        biases.append(abs(bias))
        variances.append(variance)
    assert biases == sorted(biases)
    assert variances == sorted(variances, reverse=True)
    for m in (4, 16, 64, 256):
        expected = 2 * norm.cdf(-0.25 * np.sqrt(m))
        error = np.sqrt(expected * (1 - expected) / trials)
        assert float(found[f"off{m}"].flat[0]) == pytest.approx(expected, abs=4 * error + 1e-6)


LIKELIHOOD = """
const n = 10_000

net Likelihood {
  input x: [n]
  param mu: [1] = 0.5
  output product = prod(exp(-0.5 * (x - mu)^2) / 2.5066282746310002)
  output average = gaussian_nll(mu, x) / n
  output few = gaussian_nll(mu, x[:100]) / 100
  loss gaussian_nll(mu, x)
}
train { optimizer = sgd(lr = 1 / n) }
"""


@experiment(
    "S8",
    "002.3.6 002.3.7 002.3.8",
    where="`gaussian_nll` of the prelude: the sum of logarithms as a `loss`",
)
def test_s8_the_sum_of_logarithms_is_finite_where_the_product_is_zero() -> None:
    """10⁴ factors multiply to 0, the log-sum trains to the mean; its average nears H(p, q)."""
    x = np.random.default_rng(1).normal(0, 1, (1, 10_000))
    model = compiled(LIKELIHOOD)
    found = model.forward(x, training=True)
    assert found["product"][0] == 0
    cross_entropy = 0.5 * np.log(2 * np.pi) + 0.5 * (1 + 0.5**2)
    spread = np.sqrt(0.5 + 0.25)
    assert float(found["average"][0]) == pytest.approx(cross_entropy, abs=4 * spread / 100)
    assert float(found["few"][0]) == pytest.approx(cross_entropy, abs=4 * spread / 10)
    assert np.isfinite(model.backward())
    np.testing.assert_allclose(model.grads["mu"], (0.5 - x).sum(), rtol=1e-11)
    model.update()
    np.testing.assert_allclose(model.params["mu"], x.mean(), rtol=1e-10)
