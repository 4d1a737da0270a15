"""Text 004, appendix C: information, entropy, divergence and cross-entropy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import entropy, norm

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

FUNCTIONALS = """
net Functionals {
  input p: [6]
  input q: [6]
  output information = -log(q)
  output entropy_p = entropy(p)
  output divergence = kl_divergence(p, q)
  output reverse = kl_divergence(q, p)
  output cross = categorical_cross_entropy(q, p)
}
"""

MATCHING = """
net Matching {
  input p: [6]
  param a: [6] = normal(0, 1)
  q = softmax(a)
  output q
  loss categorical_cross_entropy(q, p)
}
train { optimizer = sgd(lr = 2); batch = 1; epochs = 1500 }
"""

EMPIRICAL = """
net Empirical {
  input  x: [3]
  target t: []
  param w: [3] = normal(0, 1)
  a = sum(w * x)
  y = sigmoid(a)
  # (C.8): q(t | x) = y^t (1 - y)^(1 - t)
  output q = where(t == 1, y, 1 - y)
  output y
  loss binary_cross_entropy(y, t)
  metric minus_log = -log(where(t == 1, y, 1 - y))
  metric misprinted = -(t * log(y) + (1 - t) * log(1 - log(y)))
  metric gaussian = gaussian_nll(a, t, sigma = 0.5)
  metric half = half_squared_error(a, t)
}
"""


@cache
def functionals() -> netc.Model:
    return compiled(FUNCTIONALS)


@cache
def laws() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.dirichlet(np.ones(6), 50), random.dirichlet(np.ones(6), 50)


@experiment("E43", "004.C.1 004.C.2", where="`-log(p)`, `entropy` of the prelude")
def test_e43_information_adds_up_and_entropy_is_its_mean() -> None:
    """-ln p is 0 for a certain event and adds up over independent ones, to 1e-14; the entropy, its
    mean, is 0 for a point mass, ln 6 for the uniform law and less for 50 others; of independent
    pairs it adds up."""
    point, even = np.eye(6)[:1], np.full((1, 6), 1 / 6)
    assert functionals().forward(point, even)["entropy_p"][0] == 0
    assert functionals().forward(even, even)["entropy_p"][0] == pytest.approx(np.log(6), rel=1e-15)
    p, q = laws()
    found = functionals().forward(p, q)
    np.testing.assert_allclose(found["entropy_p"], entropy(p, axis=1), rtol=1e-13)
    np.testing.assert_allclose(
        found["entropy_p"],
        np.sum(p * functionals().forward(q, p)["information"], axis=1),
        rtol=1e-13,
    )
    assert (found["entropy_p"] < np.log(6)).all()
    assert functionals().forward(p[:1], np.ones((1, 6)))["information"].max() == 0
    joint = functionals().forward(p, p * q)["information"]
    apart = functionals().forward(p, p)["information"] + found["information"]
    np.testing.assert_allclose(joint, apart, rtol=1e-13)
    three, two = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.6])
    pairs = functionals().forward(np.outer(three, two).reshape(1, 6), even)["entropy_p"][0]
    assert pairs == pytest.approx(entropy(three) + entropy(two), rel=1e-14)


@experiment("E43", "004.C.3 004.C.4", where="`kl_divergence`, `categorical_cross_entropy`")
def test_e43_the_divergence_is_positive_and_makes_up_the_cross_entropy() -> None:
    """For 50 pairs D(p‖q) > 0, D(p‖q) ≠ D(q‖p), D(p‖p) = 0, and H(p, q) = H(p) + D(p‖q) to 1e-13;
    a softmax that minimises H(p, q) ends at q = p to 1e-6, with H(p) as its loss."""
    p, q = laws()
    found = functionals().forward(p, q)
    np.testing.assert_allclose(found["divergence"], entropy(p, q, axis=1), rtol=1e-12)
    assert (found["divergence"] > 0).all()
    assert np.abs(found["divergence"] - found["reverse"]).min() > 1e-4
    np.testing.assert_array_equal(functionals().forward(p, p)["divergence"], 0)
    total = found["entropy_p"] + found["divergence"]
    np.testing.assert_allclose(found["cross"], total, rtol=1e-13)
    model, one = compiled(MATCHING), p[[p.min(axis=1).argmax()]]
    model.fit(one, progress=False)
    np.testing.assert_allclose(model.forward(one), one, atol=1e-6)
    assert model.history["loss"][-1] == pytest.approx(entropy(one[0]), abs=1e-9)


@experiment("E43", "004.C.5 004.C.6", where="`binary_cross_entropy`, `gaussian_nll`")
def test_e43_the_losses_are_cross_entropies_with_the_empirical_law() -> None:
    """With p = 1/N on 40 data, H(p, q) = -Σ p ln q of (C.8) is (5.13) to 1e-13, where the
    ln(1 - ln y) of (C.9) gives something else; for a normal q of variance 1/4 it is 4 times the
    half squared error plus ln(σ√2π), and SciPy's log-density, to 1e-13."""
    random = np.random.default_rng(1)
    x, t = random.normal(size=(40, 3)), random.integers(0, 2, 40).astype(float)
    model = compiled(EMPIRICAL)
    scores = model.evaluate(x, t)
    assert -np.mean(np.log(scores["q"])) == pytest.approx(scores["loss"], rel=1e-13)
    assert scores["minus_log"] == pytest.approx(scores["loss"], rel=1e-13)
    assert abs(scores["misprinted"] - scores["loss"]) > 0.5
    constant = np.log(0.5 * np.sqrt(2 * np.pi))
    assert scores["gaussian"] == pytest.approx(4 * scores["half"] + constant, rel=1e-13)
    mean = x @ model.params["w"]
    assert scores["gaussian"] == pytest.approx(-norm(mean, 0.5).logpdf(t).mean(), rel=1e-13)
