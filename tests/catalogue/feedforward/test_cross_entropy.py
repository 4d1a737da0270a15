"""Cross-entropy, its relation to entropy and divergence, and LogLoss."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import log_loss

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward.networks import labels
from tests.catalogue.tools import compiled

IDENTITIES = """
const bit = 0.6931471805599453
net Identities {
  input p: [5]
  input s: [5]
  output crossed = categorical_cross_entropy(s, p) / bit
  output H = entropy(p) / bit
  output D = kl_divergence(p, s) / bit
}
"""


def distributions(draw, samples, classes):
    rows = draw.uniform(size=(samples, classes)) ** 2
    return rows / rows.sum(1, keepdims=True)


@experiment(
    "A20", "001.65.7-3", where="`categorical_cross_entropy`, `entropy`, `kl_divergence`, in nats"
)
def test_a20_cross_entropy_is_entropy_and_divergence():
    """H(p, s) = H(p) + D(p‖s) in bits for random distributions, each as SciPy computes it; for
    one-hot p, H(p) = 0 and H(p, s) = -log₂ s of the class."""
    draw = np.random.default_rng(0)
    p, s = distributions(draw, 20, 5), distributions(draw, 20, 5)
    model = compiled(IDENTITIES)
    found = model.forward(p, s)
    np.testing.assert_allclose(found["crossed"], found["H"] + found["D"], rtol=1e-13)
    np.testing.assert_allclose(found["H"], entropy(p, base=2, axis=1), rtol=1e-13)
    np.testing.assert_allclose(found["D"], entropy(p, s, base=2, axis=1), rtol=1e-12)
    assert found["D"].min() > 0
    one_hot = labels(draw, 20, 5)
    found = model.forward(one_hot, s)
    np.testing.assert_array_equal(found["H"], 0)
    np.testing.assert_allclose(found["crossed"], -np.log2(s[one_hot == 1]), rtol=1e-13)


TWO = """
net Two {
  input z: [2]
  target gamma: [2]
  p = softmax(z)
  output p
  loss categorical_cross_entropy(p, gamma)
  metric binary = binary_cross_entropy(p[0], gamma[0])
  metric of_logits = binary_cross_entropy_with_logits(z[0] - z[1], gamma[0])
}
"""


@experiment(
    "A20",
    "001.65.7-2 001.65.7-4",
    where="`binary_cross_entropy`, `binary_cross_entropy_with_logits`; `evaluate`",
)
def test_a20_two_classes_and_log_loss():
    """With Q = 2 the binary cross-entropy (65.131), of probabilities and of logits, is (65.127);
    the mean of `evaluate` is LogLoss as scikit-learn computes it."""
    draw = np.random.default_rng(1)
    z, gamma = draw.normal(size=(50, 2)), labels(draw, 50, 2)
    model = compiled(TWO)
    scores = model.evaluate(z, gamma)
    assert scores["binary"] == pytest.approx(scores["loss"], rel=1e-13)
    assert scores["of_logits"] == pytest.approx(scores["loss"], rel=1e-13)
    assert scores["loss"] == pytest.approx(log_loss(gamma[:, 1], model.forward(z)), rel=1e-12)


LOGLOSS = """
net LogLoss {
  input gamma_hat: [3]
  target r: class[3]
  output r_star = argmax(gamma_hat)
  metric loss_of_label = nll(gamma_hat, r)
  metric printed = -gamma_hat[r]
  loss categorical_cross_entropy(gamma_hat, one_hot(r, 3))
}
"""


@experiment("A20", "001.65.7-4", where="`nll(p, label)`, `one_hot(r, Q)`")
def test_a20_log_loss_of_indicators_needs_the_logarithm():
    """-(1/N) Σ Σ I[r = q] ln P(r* = q) is LogLoss; as (65.139) prints it, without the logarithm, it
    is not (E-12)."""
    draw = np.random.default_rng(2)
    gamma_hat, r = distributions(draw, 40, 3), draw.integers(0, 3, 40)
    scores = compiled(LOGLOSS).evaluate(gamma_hat, r)
    reference = log_loss(r, gamma_hat)
    assert scores["loss"] == pytest.approx(reference, rel=1e-12)
    assert scores["loss_of_label"] == pytest.approx(reference, rel=1e-12)
    assert abs(scores["printed"] - reference) > 0.5
