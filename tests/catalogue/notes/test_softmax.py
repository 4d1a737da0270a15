"""Text 004, section 5.2: softmax regression and its likelihood."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import multivariate_normal

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

SOFTMAX = """
const D = 3
const K = 4
net Softmax {
  input  phi: [D]
  target label: class[K]
  param w: [K, D] = normal(0, 1)
  a = w @ phi
  y = softmax(a)
  code = one_hot(label, K)
  error = categorical_cross_entropy(y, code)
  output y
  output a
  output code
  output delta = grad(error, a)
  output decoded = argmax(code)
  loss batch_size * error
  metric fused = cross_entropy(a, label)
  metric likelihood = prod(y^code)
}
"""
"""The loss is (5.22), a sum over the data: the mean over the batch times its size."""


@cache
def model_of(classes: int) -> netc.Model:
    return compiled(SOFTMAX, defines={"K": classes}, seed=1)


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(30, 3)), random.integers(0, 4, 30)


@experiment("E15", "004.5.2.a 004.5.2.b", where="`softmax` of the prelude on `w @ phi`")
def test_e15_softmax_rows_add_up_to_one_and_two_classes_are_the_binary_model() -> None:
    """30 rows of 4 probabilities are positive and add up to 1 to 1e-14, which they do not with the
    denominator exp(Σⱼwₖ·φ) printed in (5.20); with 2 classes the first is σ((w₁ - w₂)·φ) to
    1e-14."""
    phi, _ = data()
    y = model_of(4).forward(phi)["y"]
    assert (y > 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-14)
    a = model_of(4).forward(phi)["a"]
    np.testing.assert_allclose(y, np.exp(a) / np.exp(a).sum(axis=1, keepdims=True), rtol=1e-13)
    assert np.abs(np.exp(a - 4 * a).sum(axis=1) - 1).min() > 0.1
    model = model_of(2)
    w = model.params["w"]
    expected = expit(phi @ (w[0] - w[1]))
    np.testing.assert_allclose(model.forward(phi)["y"][:, 0], expected, atol=1e-14)


@experiment("E15", "004.5.2.a", where="`softmax` of log-densities; densities of SciPy")
def test_e15_softmax_of_log_joint_densities_is_the_posterior() -> None:
    """For 4 normal classes with priors 0.1 … 0.4 the softmax of ln p(x|C)p(C) is the posterior
    p(x|C)p(C) / Σⱼ p(x|Cⱼ)p(Cⱼ) to 1e-12; with the denominator printed in (5.16), Σⱼ p(x|Cⱼ)p(Cₖ),
    the rows do not add up to 1."""
    x, _ = data()
    priors, means = np.arange(1, 5) / 10, np.random.default_rng(1).normal(size=(4, 3))
    p = np.stack([multivariate_normal(m).pdf(x) for m in means], axis=1)
    # ln p(x|C)p(C) is linear in x up to what the classes share
    model = compiled(
        SOFTMAX.replace("w @ phi", "w @ phi + offset - 0.5 * sum(phi^2)").replace(
            "param w", "param offset: [K]\n  param w"
        )
    )
    model.params["w"] = means
    model.params["offset"] = np.log(priors) - 0.5 * (means**2).sum(axis=1)
    y = model.forward(x)["y"]
    np.testing.assert_allclose(y, p * priors / (p @ priors)[:, None], rtol=1e-12)
    printed = p * priors / (p.sum(axis=1, keepdims=True) * priors)
    assert np.abs(printed - y).max() > 0.1


@experiment(
    "E15",
    "004.5.2.c 004.5.2.d 004.5.2.e",
    where="`one_hot`, `categorical_cross_entropy`, `cross_entropy` of the prelude; "
    "`loss batch_size * …` for a sum over the data",
)
def test_e15_the_error_of_softmax_regression_is_y_minus_t() -> None:
    """One-hot codes have a single 1 and decode to their labels; ∂E/∂a = y - t to 1e-14 and the
    gradient of (5.22) is Σ(y - t)φᵀ, also by differences; minus the logarithm of the likelihood
    (5.23) is (5.22), to 1e-13."""
    phi, label = data()
    model = model_of(4)
    found = model.forward(phi, training=True)
    objective = model.backward(label)
    values = model.evaluate(phi, label)
    code = values["code"]
    np.testing.assert_array_equal(code, np.eye(4)[label])
    np.testing.assert_array_equal(values["decoded"], label)
    np.testing.assert_allclose(values["delta"], found["y"] - code, atol=1e-14)
    formula = (found["y"] - code).T @ phi
    np.testing.assert_allclose(model.grads["w"], formula, atol=1e-12)
    np.testing.assert_allclose(formula, objective_differences(model, "w", phi, label), atol=1e-6)
    likelihood = np.prod(found["y"][np.arange(30), label])
    assert objective == pytest.approx(-np.log(likelihood), rel=1e-13)
    assert objective == pytest.approx(30 * values["fused"], rel=1e-13)
    one = model.evaluate(phi[:1], label[:1])
    assert one["likelihood"] == pytest.approx(np.exp(-one["fused"]), rel=1e-13)
    both = model_of(2)
    t = label % 2
    binary = both.evaluate(phi, t)["likelihood"]
    y = both.forward(phi)["y"][:, 1]
    assert binary == pytest.approx(np.mean(y**t * (1 - y) ** (1 - t)), rel=1e-13)  # (5.24)
