"""Gradients of the risk and the listings of back-propagation, as one step of compiled nets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import (
    CROSS_ENTROPY,
    LEAST_SQUARES,
    gradients,
    labels,
    network,
    offsets,
    redraw,
    small,
    weights,
)
from tests.catalogue.tools import compiled, objective_differences

RHO = 0.01
KINDS = {
    "least squares, tanh": ("tanh", "tanh", LEAST_SQUARES),
    "least squares, linear": ("tanh", "identity", LEAST_SQUARES),
    "least squares, softmax": ("tanh", "softmax", LEAST_SQUARES),
    "cross-entropy, softmax": ("tanh", "softmax", CROSS_ENTROPY),
}
EQUAL = {"rtol": 1e-11, "atol": 1e-13}


def data(draw, kind, samples):
    h = draw.normal(size=(samples, 4))
    one_hot = labels(draw, samples, 3)
    return h, one_hot if kind[1] == "softmax" else 2 * one_hot - 1


@experiment(
    "A7",
    "001.65.3-1 001.65.4-1 001.65.4-4 001.65.4-5 001.65.7-1",
    where="`backward`; `loss` and `penalty rho * l2(weights)`",
)
@pytest.mark.parametrize("name", KINDS)
def test_a7_gradients_of_the_risk(name):
    """For least squares with tanh, linear and softmax outputs and cross-entropy with softmax the
    gradients of a (4, 5, 3, 3) net are those of listing (65.81), -δ for the offsets and 2ρW
    included, and of central differences to 1e-6.

    The offsets are not in the penalty.
    """
    kind = KINDS[name]
    model = small(*kind, RHO)
    h, gamma = data(redraw(model, 1), kind, 6)
    model.forward(h, training=True)
    model.backward(gamma)
    by_w, by_theta = gradients(model)
    listed = listings.risk_gradients(h, gamma, weights(model), offsets(model), kind, RHO)
    for found, expected in zip([*by_w, *by_theta], [*listed[0], *listed[1]], strict=True):
        np.testing.assert_allclose(found, expected, **EQUAL)
    for parameter in ("z_2.affine.W", "z_3.affine.theta", "z_4.affine.W"):
        difference = objective_differences(model, parameter, h, gamma)
        model.forward(h, training=True)
        model.backward(gamma)
        np.testing.assert_allclose(model.grads[parameter], difference, rtol=1e-6, atol=1e-8)


TABLE = """
net Boundary {
  input z: [3]
  input gamma: [3]
  tanh_out = tanh(z)
  soft_out = softmax(z)
  odd = sum(soft_out[0] * soft_out[1:]^2) + sin(soft_out[2] * gamma[0])
  output ls_tanh = grad(squared_error(tanh_out, gamma), z)
  output ls_soft = grad(squared_error(soft_out, gamma), z)
  output ce_soft = grad(categorical_cross_entropy(soft_out, gamma), z)
  output generic = grad(odd, z)
  output J = jacobian(soft_out, z)
  output slope = grad(odd, soft_out)
}
"""


@experiment(
    "A8",
    "001.65.4-2 001.65.4-3 001.65.7-5 001.P65.11",
    where="`grad(loss, z)` of any loss; `jacobian(softmax(z), z)`",
)
def test_a8_terminal_sensitivities():
    """δ_L is 2(γ̂ - γ)⊙f'(z), 2J(γ̂ - γ) and γ̂ - γ, the three rows of Table 65.2, and J ∂Q/∂γ̂ for
    a loss of any form.

    The boundary value of an elementwise activation does not serve softmax.
    """
    draw = np.random.default_rng(2)
    z, gamma = draw.normal(size=(5, 3)), labels(draw, 5, 3)
    found = compiled(TABLE).forward(z, gamma)
    for b in range(5):
        soft, tanh = listings.softmax(z[b]), np.tanh(z[b])
        J = listings.softmax_jacobian(soft)
        np.testing.assert_allclose(found["J"][b], J, **EQUAL)
        expected = listings.boundary(gamma[b], tanh, z[b], "tanh", LEAST_SQUARES)
        np.testing.assert_allclose(found["ls_tanh"][b], expected, **EQUAL)
        expected = listings.boundary(gamma[b], soft, z[b], "softmax", LEAST_SQUARES)
        np.testing.assert_allclose(found["ls_soft"][b], expected, **EQUAL)
        error = soft - gamma[b]
        entries = 2 * error * soft - (2 * error * soft).sum() * soft
        np.testing.assert_allclose(found["ls_soft"][b], entries, **EQUAL)
        np.testing.assert_allclose(found["ce_soft"][b], error, **EQUAL)
        np.testing.assert_allclose(found["generic"][b], J @ found["slope"][b], **EQUAL)
        assert np.abs(found["ls_soft"][b] - 2 * error * soft * (1 - soft)).max() > 1e-3


VARIANTS = {
    **KINDS,
    "linear everywhere": ("identity", "identity", LEAST_SQUARES),
    "rectifiers everywhere": ("relu", "relu", LEAST_SQUARES),
    "cross-entropy, sigmoid inside": ("sigmoid", "softmax", CROSS_ENTROPY),
}


@experiment(
    "A9",
    "001.65.5-1 001.65.5-2 001.65.5-10 001.65.7-6 001.65.7-7",
    where="`step` with `sgd`, any batch size; the listing is `loss`, `penalty` and `sgd`",
)
@pytest.mark.parametrize("name", VARIANTS)
def test_a9_one_step_is_the_listing(name):
    """One step from fixed parameters is one iteration of (65.82) and (65.149), and with B = 1 of
    (65.87) and (65.150), to rounding; with linear, rectified and logistic units too.

    The backward step takes the old weights: with the updated ones the first layer moves elsewhere.
    """
    kind = VARIANTS[name]
    model = small(*kind, RHO)
    for samples in (1, 4):
        h, gamma = data(redraw(model, 20 + samples), kind, samples)
        start = weights(model), offsets(model)
        model.step(h, gamma)
        listed = listings.mini_batch(h, gamma, *start, kind, mu=0.1, rho=RHO)
        for found, expected in zip(weights(model), listed[0], strict=True):
            np.testing.assert_allclose(found, expected, **EQUAL)
        for found, expected in zip(offsets(model), listed[1], strict=True):
            np.testing.assert_allclose(found, expected, **EQUAL)
        blended = listings.mini_batch(h, gamma, *start, kind, mu=0.1, rho=RHO, fresh=True)
        assert np.abs(weights(model)[0] - blended[0][0]).max() > 1e-6


@experiment("A10", "001.65.4-1", where="`penalty rho * l2(weights)`")
def test_a10_weights_decay_and_offsets_stay():
    """Where the data ask for nothing, a step leaves (1 - 2μρ)W, 0.998 W for μ = 0.1 and ρ = 0.01,
    and the offsets exactly as they are."""
    model = small("tanh", "identity", LEAST_SQUARES, RHO)
    h = redraw(model, 5).normal(size=(3, 4))
    before, kept = weights(model), offsets(model)
    model.step(h, model.forward(h))
    for found, start in zip(weights(model), before, strict=True):
        np.testing.assert_allclose(found, 0.998 * start, rtol=1e-14)
    for found, start in zip(offsets(model), kept, strict=True):
        np.testing.assert_array_equal(found, start)


OWN = """
fn each(z: [3]) = [tanh(z[0]), relu(z[1]), sigmoid(z[2])]
"""


@experiment(
    "001.65.1-14",
    where="`fn each(z: [3]) = [tanh(z[0]), relu(z[1]), sigmoid(z[2])]` as an activation",
)
def test_001_65_1_14_every_node_has_its_own_activation():
    """With tanh, a rectifier and a logistic function on the three nodes of each layer, outputs
    included, f'(z) in the listing becomes the vector of the nodes' own slopes."""
    own = [listings.ACTIVATIONS[name] for name in ("tanh", "relu", "sigmoid")]
    slopes = [listings.SLOPES[name] for name in ("tanh", "relu", "sigmoid")]
    model = compiled(OWN + network((3, 3, 3), "each", "each"))
    draw = redraw(model, 6)
    h, gamma = draw.normal(size=3), draw.normal(size=3)
    (w1, w2), (t1, t2) = weights(model), offsets(model)
    z2 = w1.T @ h - t1
    y2 = np.array([f(v) for f, v in zip(own, z2, strict=True)])
    z3 = w2.T @ y2 - t2
    y3 = np.array([f(v) for f, v in zip(own, z3, strict=True)])
    delta3 = 2 * (y3 - gamma) * np.array([f(v) for f, v in zip(slopes, z3, strict=True)])
    delta2 = np.array([f(v) for f, v in zip(slopes, z2, strict=True)]) * (w2 @ delta3)
    np.testing.assert_allclose(model.forward(h[None], training=True)[0], y3, **EQUAL)
    model.backward(gamma[None])
    by_w, by_theta = gradients(model)
    for found, expected in zip(by_w, [np.outer(h, delta2), np.outer(y2, delta3)], strict=True):
        np.testing.assert_allclose(found, expected, **EQUAL)
    for found, expected in zip(by_theta, [-delta2, -delta3], strict=True):
        np.testing.assert_allclose(found, expected, **EQUAL)
