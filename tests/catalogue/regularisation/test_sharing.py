"""Weights that share: soft sharing by a mixture of normal laws, one tensor at several places."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

MIXTURE = """
const n = 5
net Mixture {
  input x: [1]
  param w: [n]
  param mu: [2]
  param spread: [2]
  param shares: [2]
  output y = x * sum(w)
  loss 0 * sum(y)
  penalty 0.7 * soft_weight_sharing(w, mu, exp(spread), softmax(shares))
}
"""


@experiment("X19", "000.8.3a", where="`soft_weight_sharing`")
def test_x19_the_gradient_of_a_mixture_prior() -> None:
    """The gradients of -λ Σ log p(w_i) by w, μ, log σ and the logits of α are finite differences,
    and that by w is λ Σ_j p(j|w_i) (w_i - μ_j) / σ_j² (8.16) to 1e-12, with the responsibilities
    p(j|w) where the text prints p(w|j), which fails."""
    model = compiled(MIXTURE)
    draw = np.random.default_rng(0)
    for name in model.params:
        model.params[name] = draw.normal(size=model.params[name].shape)
    model.forward([[1.0]], training=True)
    model.backward()
    found = {name: np.array(model.grads[name]) for name in model.params}
    for name, gradient in found.items():
        differences = objective_differences(model, name, [[1.0]])
        assert np.allclose(gradient, differences, rtol=1e-6, atol=1e-8), name
    w, mu = model.params["w"][:, None], model.params["mu"]
    sigma, share = np.exp(model.params["spread"]), np.exp(model.params["shares"])
    density = norm.pdf(w, mu, sigma)
    joint = density * share / share.sum()
    responsible = joint / joint.sum(axis=1, keepdims=True)
    pull = (w - mu) / sigma**2
    assert np.allclose(found["w"], 0.7 * (responsible * pull).sum(axis=1), rtol=1e-12)
    assert not np.allclose(found["w"], 0.7 * (density * pull).sum(axis=1), rtol=0.1)


@experiment("X19", "000.8.3a", where="`soft_weight_sharing`")
def test_x19_a_weight_between_two_groups() -> None:
    """Groups at ±1 with σ = ½ and equal shares give w = 0 the density 0.107982 and no gradient."""
    model = compiled(MIXTURE, defines={"n": 1})
    model.params["mu"] = [-1, 1]
    model.params["spread"] = np.log([0.5, 0.5])
    model.params["w"] = [0]
    model.forward([[1.0]], training=True)
    assert np.exp(-model.backward() / 0.7) == pytest.approx(0.107982, abs=5e-7)
    assert model.grads["w"] == pytest.approx([0], abs=1e-15)


GROUPED = """
const strength = 0
net Grouped {
  input  x: [8]
  target y: [1]
  param w: [8] = normal(0, 0.5)
  param mu: [2] = [-0.5, 0.5]
  param spread: [2] = -0.7
  param shares: [2] = 0
  p = [sum(w * x)]
  output p
  loss half_squared_error(p, y)
  penalty strength * soft_weight_sharing(w, mu, exp(max(spread, -3)), softmax(shares))
}
train {
  optimizer = sgd(lr = 0.05)
  optimizer("mu") = adam(lr = 0.01)
  optimizer("s*") = adam(lr = 0.01)
  batch = 30
  epochs = 1500
}
"""


@cache
def fitted(strength: float) -> netc.Model:
    """Eight weights of a regression, five of 1.5 and three of -1, from thirty noisy samples."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(30, 8))
    y = x @ GROUPS[:, None] + 0.5 * draw.normal(size=(30, 1))
    model = compiled(GROUPED, defines={"strength": strength})
    model.fit(x, y, progress=False)
    return model


GROUPS = np.array([1.5, 1.5, 1.5, 1.5, 1.5, -1, -1, -1])


@experiment("X19", "000.8.3a", where="`soft_weight_sharing` with trained μ, σ and α")
def test_x19_weights_gather_in_groups_that_are_learned() -> None:
    """A mixture with trained centres, widths and shares finds the groups of a noisy regression: its
    centres are within 0.1 of -1 and 1.5, its shares 3/8 and 5/8, the weights of a group differ by
    less than 0.03 (0.1 without it), and all are a third nearer to the true ones."""
    with_prior, without = fitted(0.02), fitted(0)
    assert with_prior.params["mu"] == pytest.approx([-1, 1.5], abs=0.1)
    share = np.exp(with_prior.params["shares"])
    assert share / share.sum() == pytest.approx([3 / 8, 5 / 8], abs=1e-3)
    for group in (slice(5), slice(5, 8)):
        assert np.ptp(with_prior.params["w"][group]) < 0.03
        assert np.ptp(without.params["w"][group]) > 0.1
    off = [np.linalg.norm(m.params["w"] - GROUPS) for m in (with_prior, without)]
    assert off[0] < 2 / 3 * off[1]


SHARED = """
net Shared {
  input left: [3]
  input right: [3]
  layer enc = dense(2, act=tanh)
  output y = enc(left) + 2 * enc(right)
  loss sum(y^2)
}
"""
APART = """
net Apart {
  input left: [3]
  input right: [3]
  layer one = dense(2, act=tanh)
  layer two = dense(2, act=tanh)
  output y = one(left) + 2 * two(right)
  loss sum(y^2)
}
"""


@experiment("X20", "000.8.3b", where="an instance, `layer enc = …`, applied twice")
def test_x20_the_gradient_of_a_shared_tensor_is_the_sum_of_its_uses() -> None:
    """A layer used at two places gets the sum of the gradients that two layers with its values get
    at one place each (1e-12), and it has the parameters of one."""
    shared, apart = compiled(SHARED), compiled(APART)
    for name in ("dense.W", "dense.b"):
        apart.params[f"one.{name}"] = apart.params[f"two.{name}"] = shared.params[f"enc.{name}"]
    draw = np.random.default_rng(2)
    left, right = draw.normal(size=(2, 6, 3))
    for model in (shared, apart):
        model.forward(left, right, training=True)
        model.backward()
    assert list(shared.params) == ["enc.dense.W", "enc.dense.b"]
    for name in ("dense.W", "dense.b"):
        total = apart.grads[f"one.{name}"] + apart.grads[f"two.{name}"]
        assert np.allclose(shared.grads[f"enc.{name}"], total, rtol=1e-12)
        assert np.abs(apart.grads[f"one.{name}"]).min() > 1e-3
