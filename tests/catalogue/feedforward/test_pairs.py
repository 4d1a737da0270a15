"""Two branches with the same parameters: Siamese networks and the relation network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import AFFINE, redraw
from tests.catalogue.tools import compiled, objective_differences

PAIR = """
const rho = 0.01
net Pair {
  input left: [4]
  input right: [4]
  target gamma: [1]
  layer enc = affine(5) |> sigmoid |> affine(3) |> sigmoid
  u = enc(left)
  v = enc(right)
"""
END = """
  output u
  output v
  output gamma_hat
  penalty rho * l2(weights)
}
train { optimizer = sgd(lr = 0.5) }
"""
COSINE = AFFINE + PAIR + "gamma_hat = [1 - cosine_distance(u, v)]\n"
COSINE += "loss squared_error(gamma_hat, gamma)" + END
DIFFERENCE = (
    AFFINE
    + PAIR
    + """
  z = abs(u - v) |> affine(1)
  gamma_hat = sigmoid(z)
  loss binary_cross_entropy_with_logits(z, gamma)
  metric accuracy = (z[0] > 0) == gamma[0]
"""
    + END
)
RELATION = (
    AFFINE
    + PAIR
    + """
  d = concat(u, v)
  z = d |> affine(6) |> tanh |> affine(1)
  gamma_hat = sigmoid(z)
  output softmax_of_one = softmax(z)
  loss squared_error(gamma_hat, gamma)
"""
    + END
)


def branch(x, delta, model):
    """The gradients by W_1, W_2, theta_1, theta_2 that one branch adds for its output's delta."""
    W = [np.array(model.params[f"enc.{name}.W"]) for name in ("affine", "affine_2")]
    theta = [np.array(model.params[f"enc.{name}.theta"]) for name in ("affine", "affine_2")]
    y, z = listings.forward(x, W, theta, "sigmoid", "sigmoid")
    d_2, d_3 = listings.backward(delta, z, W, "sigmoid")
    return [np.outer(y[0], d_2), np.outer(y[1], d_3), -d_2, -d_3]


def check_shared(model, pair, deltas):
    """Gradients of the shared parameters are the sums over both branches, and differences."""
    left, right, gamma = pair
    both = [branch(x[0], d, model) for x, d in zip((left, right), deltas, strict=True)]
    names = [f"enc.{layer}.{part}" for part in ("W", "theta") for layer in ("affine", "affine_2")]
    grads = {name: np.array(model.grads[name]) for name in names}
    for name, one, other in zip(names, *both, strict=True):
        decay = 0.02 * np.array(model.params[name]) if name.endswith("W") else 0
        np.testing.assert_allclose(grads[name], one + other + decay, rtol=1e-9, atol=1e-13)
        assert np.abs(grads[name] - one - decay).max() > 1e-5
    difference = objective_differences(model, "enc.affine.W", left, right, gamma)
    np.testing.assert_allclose(grads["enc.affine.W"], difference, rtol=1e-6, atol=1e-9)


def started(text, seed, label):
    """A net with random parameters, a pair, and the outputs of its training forward."""
    model = compiled(text)
    draw = redraw(model, seed)
    left, right, gamma = draw.normal(size=(1, 4)), draw.normal(size=(1, 4)), np.array([[label]])
    found = model.forward(left, right, training=True)
    model.backward(gamma)
    return model, (left, right, gamma), {name: value[0] for name, value in found.items()}


@experiment(
    "A31",
    "001.P65.22",
    where="`layer enc = …` applied twice; `1 - cosine_distance(u, v)`; `examples/siamese.net`",
)
def test_a31_siamese_network_with_cosine():
    """γ̂ is the cosine of the two embeddings; gradients of the shared parameters are the sums over
    both branches with ∂γ̂/∂u = v/(‖u‖‖v‖) - γ̂u/‖u‖². Between logistic embeddings the cosine is
    positive, so that the label -1 is only approached to 0 (E-28)."""
    model, pair, found = started(COSINE, 1, -1.0)
    u, v, gamma_hat = found["u"], found["v"], found["gamma_hat"][0]
    lengths = np.linalg.norm(u) * np.linalg.norm(v)
    assert gamma_hat == pytest.approx(u @ v / lengths, rel=1e-13)
    error = -2 * (-1 - gamma_hat)
    by_u = error * (v / lengths - gamma_hat * u / (u @ u))
    by_v = error * (u / lengths - gamma_hat * v / (v @ v))
    check_shared(model, pair, (by_u * u * (1 - u), by_v * v * (1 - v)))
    far = 50 * np.random.default_rng(0).normal(size=(200, 4))
    cosines = model.forward(far, -far)["gamma_hat"]
    assert 0 < cosines.min() < cosines.max() <= 1 + 1e-12


@experiment(
    "A31", "001.P65.23", where="`abs(u - v) |> affine(1) |> sigmoid` on a shared `layer enc`"
)
def test_a31_siamese_network_with_differences():
    """With r = |u - v|, γ̂ = σ(w_r'r - θ_r) and cross-entropy, δ = γ̂ - γ gives δr + 2ρw_r, -δ and,
    through δ w_r⊙sign(u - v), the sums over both branches. A pair with z = 1/4 matches, γ̂ > 1/2:
    the decision is z against 0, not against 1/2 as printed (E-29)."""
    model, pair, found = started(DIFFERENCE, 2, 1.0)
    u, v = found["u"], found["v"]
    w = np.array(model.params["z.affine.W"])
    r, delta = np.abs(u - v), found["gamma_hat"][0] - 1
    z = r @ w[:, 0] - model.params["z.affine.theta"][0]
    assert found["gamma_hat"][0] == pytest.approx(expit(z), rel=1e-12)
    np.testing.assert_allclose(model.grads["z.affine.W"][:, 0], delta * r + 0.02 * w[:, 0])
    np.testing.assert_allclose(model.grads["z.affine.theta"], [-delta], rtol=1e-12)
    by_u = delta * w[:, 0] * np.sign(u - v)
    check_shared(model, pair, (by_u * u * (1 - u), -by_u * v * (1 - v)))
    model.params["z.affine.theta"] = r @ w - 0.25
    assert model.forward(*pair[:2])["gamma_hat"][0, 0] == pytest.approx(expit(0.25), rel=1e-12)
    assert model.evaluate(*pair[:2], [[1]])["accuracy"] == 1


@experiment(
    "A31",
    "001.P65.24",
    where="`concat(u, v)` of a shared `layer enc`, then a net of its own; `examples/relation.net`",
)
def test_a31_relation_network():
    """Shared branches, their concatenation and a second network with one logistic relation score:
    the sensitivity at the concatenation, of length 2Q, splits into the two branches', whose
    gradients add. A softmax of one output is constant 1 and would learn nothing (E-30)."""
    model, pair, found = started(RELATION, 3, 0.0)
    u, v, score = found["u"], found["v"], found["gamma_hat"][0]
    W = [np.array(model.params[f"z.{name}.W"]) for name in ("affine", "affine_2")]
    theta = [np.array(model.params[f"z.{name}.theta"]) for name in ("affine", "affine_2")]
    d = np.concatenate([u, v])
    y, z = listings.forward(d, W, theta, "tanh", "sigmoid")
    assert score == pytest.approx(y[-1][0], rel=1e-12)
    last = listings.boundary(np.zeros(1), y[-1], z[-1], "sigmoid", "least squares")
    deltas = listings.backward(last, z, W, "tanh")
    np.testing.assert_allclose(
        model.grads["z.affine.W"], np.outer(d, deltas[0]) + 0.02 * W[0], rtol=1e-10
    )
    by_d = W[0] @ deltas[0]
    check_shared(model, pair, (by_d[:3] * u * (1 - u), by_d[3:] * v * (1 - v)))
    assert found["softmax_of_one"] == 1
