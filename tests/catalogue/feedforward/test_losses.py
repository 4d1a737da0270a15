"""Other risks: absolute weights, Huber's loss of a vector, the logistic loss."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import (
    LEAST_SQUARES,
    gradients,
    network,
    offsets,
    redraw,
    weights,
)
from tests.catalogue.tools import compiled, differences, objective_differences


@experiment("A30", "001.P65.15", where="`penalty 0.05 * l1(weights)`")
def test_a30_absolute_weights():
    """With α Σ‖vec W_l‖₁ a step is W - μα sign(W) - μ y δ', the offsets -μ ∂Q/∂θ alone; a weight
    of exactly 0 feels no penalty (the text leaves sign(0) open)."""
    model = compiled(network((4, 5, 3), extra="penalty 0.05 * l1(weights)"))
    draw = redraw(model, 1)
    h, gamma = draw.normal(size=(1, 4)), draw.normal(size=(1, 3))
    W, theta = weights(model), offsets(model)
    W[0][2, 3] = 0
    model.params["z_2.affine.W"] = W[0]
    kind = ("tanh", "tanh", LEAST_SQUARES)
    by_w, by_theta = listings.risk_gradients(h, gamma, W, theta, kind, 0)
    model.step(h, gamma)
    for found, start, g in zip(weights(model), W, by_w, strict=True):
        expected = start - 0.1 * 0.05 * np.sign(start) - 0.1 * g
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    for found, start, g in zip(offsets(model), theta, by_theta, strict=True):
        np.testing.assert_allclose(found, start - 0.1 * g, rtol=1e-12)


HUBER = """
const D = 1.25
net Huber {
  input z: [2]
  input gamma: [2]
  gamma_hat = tanh(z)
  Q = huber_norm(gamma_hat, gamma, delta=D)
  output value = Q
  output delta_L = grad(Q, z)
}
"""


@experiment("A30", "001.P65.17", where="`huber_norm(p, t, delta=D)`")
def test_a30_huber_of_a_vector():
    """δ_L is f'(z)⊙(γ̂ - γ)/D for errors of length up to D and f'(z)⊙(γ̂ - γ)/‖γ̂ - γ‖ beyond; at
    the boundary D = 5/4, error (3/4, 1), value D/2 and slope are those of both branches."""
    model = compiled(HUBER)
    z = np.array([[0.5, -0.25], [1.5, 1], [0, 0], [0.3, 0.2]])
    error = np.array([[0.3, -0.1], [-2, 3], [0.75, 1], [0, 0]])
    gamma = np.tanh(z) - error
    found = model.forward(z, gamma)
    slope, length = 1 - np.tanh(z) ** 2, np.linalg.norm(error, axis=1)
    inner, outer = length**2 / 2.5, length - 0.625
    np.testing.assert_allclose(found["value"], [inner[0], outer[1], inner[2], 0], rtol=1e-13)
    assert inner[2] == outer[2] == 0.625
    near, far = slope * error / 1.25, slope[:3] * error[:3] / length[:3, None]
    expected = [near[0], far[1], near[2], [0, 0]]
    np.testing.assert_allclose(found["delta_L"], expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["delta_L"][2], far[2], rtol=1e-12)
    for b in (0, 1):

        def value(at, b=b):
            return model.forward(at[None], gamma[[b]])["value"][0]

        np.testing.assert_allclose(found["delta_L"][b], differences(value, z[b]), rtol=1e-6)


@experiment("A30", "001.P65.18", where="`logistic(gamma_hat, gamma)`")
def test_a30_logistic_risk():
    """With one tanh output and Q = ln(1 + exp(-γγ̂)), δ_L = -γ(1 - γ̂²)/(1 + exp(γγ̂)); the gradient
    by W of the last layer is y δ_L' and by W_1 the central difference."""
    model = compiled(network((4, 5, 1), risk="logistic(gamma_hat, gamma)"))
    h = redraw(model, 2).normal(size=(1, 4))
    for gamma in (-1.0, 1.0):
        gamma_hat = model.forward(h, training=True)[0, 0]
        objective = model.backward([[gamma]])
        assert objective == pytest.approx(np.log1p(np.exp(-gamma * gamma_hat)), rel=1e-13)
        by_w, by_theta = gradients(model)
        delta = -gamma * (1 - gamma_hat**2) / (1 + np.exp(gamma * gamma_hat))
        y, _ = listings.forward(h[0], weights(model), offsets(model), "tanh", "tanh")
        np.testing.assert_allclose(by_w[1][:, 0], delta * y[1], rtol=1e-12)
        np.testing.assert_allclose(by_theta[1], [-delta], rtol=1e-12)
        difference = objective_differences(model, "z_2.affine.W", h, [[gamma]])
        np.testing.assert_allclose(by_w[0], difference, rtol=1e-6, atol=1e-10)
