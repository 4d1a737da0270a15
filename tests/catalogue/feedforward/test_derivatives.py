"""Input sensitivities in both directions, and the diagonal of the second derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import (
    CROSS_ENTROPY,
    LEAST_SQUARES,
    labels,
    network,
    offsets,
    redraw,
    weights,
)
from tests.catalogue.tools import compiled, differences

KINDS = {
    "least squares, tanh": ("tanh", "tanh", LEAST_SQUARES),
    "least squares, softmax": ("tanh", "softmax", LEAST_SQUARES),
    "cross-entropy, softmax": ("tanh", "softmax", CROSS_ENTROPY),
    "rectifiers, linear": ("relu", "identity", LEAST_SQUARES),
}
SECOND = """
  output slope_2 = grad(objective, z_2.affine.W)
  output by_W_1 = hessian(objective, z_2.affine.W)
  output by_theta_1 = hessian(objective, z_2.affine.theta)
  output by_theta_2 = hessian(objective, z_3.affine.theta)
  output delta_3 = grad({risk}, z_3)
  output delta_4 = grad({risk}, z_4)
  output H_3 = hessian({risk}, z_3)
  output H_4 = hessian({risk}, z_4)
"""


def curvature(hidden, z):
    """f''(z)."""
    return -2 * np.tanh(z) * (1 - np.tanh(z) ** 2) if hidden == "tanh" else np.zeros_like(z)


@experiment(
    "A28",
    "001.65.4-6 001.P65.12-14",
    where="`hessian(objective, z_2.affine.W)`, `hessian(loss, z_3)`",
)
@pytest.mark.parametrize("name", KINDS)
def test_a28_diagonal_second_derivatives(name):
    """The diagonals of the Hessians by W_1, θ_1 and θ_2 are y²(f'' w'δ + f'² w'Hw) + 2ρ with the
    Hessian H of the layer after the next, and central differences of gradients; as Problems 65.12
    to 65.14 print them, without the second term, they are wrong by more than 0.25 of the largest
    entry (E-18)."""
    hidden, head, risk = KINDS[name]
    rho = 0.01
    text = network((3, 4, 3, 2), hidden, head, risk, port="input", extra=SECOND.format(risk=risk))
    model = compiled(text, defines={"rho": rho})
    draw = redraw(model, 3)
    h, gamma = draw.normal(size=(1, 3)), labels(draw, 1, 2)
    found = {name: value[0] for name, value in model.forward(h, gamma).items()}
    W, (y, z) = weights(model), listings.forward(h[0], weights(model), offsets(model), hidden, head)
    for layer, name_of in ((1, "theta_1"), (2, "theta_2")):
        back = W[layer]
        delta, H = found[f"delta_{layer + 2}"], found[f"H_{layer + 2}"]
        slope = listings.SLOPES[hidden](z[layer])
        printed = curvature(hidden, z[layer]) * (back @ delta)
        exact = printed + slope**2 * np.einsum("jk,kl,jl->j", back, H, back)
        diagonal = np.diagonal(found[f"by_{name_of}"])
        np.testing.assert_allclose(diagonal, exact, rtol=1e-10, atol=1e-12)
        assert np.abs(printed - exact).max() > 0.25 * np.abs(exact).max()
        if layer == 1:
            by_W = np.einsum("ijij->ij", found["by_W_1"])
            np.testing.assert_allclose(by_W, np.outer(y[0] ** 2, exact) + 2 * rho, rtol=1e-10)
            _check_differences(model, h, gamma, by_W)


def _check_differences(model, h, gamma, diagonal):
    start = np.array(model.params["z_2.affine.W"])

    def slope(W):
        model.params["z_2.affine.W"] = W
        return model.forward(h, gamma)["slope_2"][0]

    difference = differences(slope, start)
    model.params["z_2.affine.W"] = start
    np.testing.assert_allclose(np.einsum("ijij->ij", difference), diagonal, rtol=1e-6, atol=1e-8)


JACOBIANS = """
  output J = jacobian(gamma_hat, h)
  output forward_2 = jacobian(y_2, h)
  output forward_3 = jacobian(y_3, h)
  output reverse_3 = jacobian(gamma_hat, z_3)
  output reverse_2 = jacobian(gamma_hat, z_2)
"""


@experiment(
    "A29", "001.P65.9 001.P65.10", where="`jacobian(gamma_hat, h)`, `jacobian(gamma_hat, z_2)`"
)
@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_a29_jacobians_in_both_directions(hidden):
    """∂γ̂/∂h of a softmax classifier is the same by the reverse recursion λ_l = f'⊙(Wλ) from
    γ̂(q)(e_q - γ̂), by the forward recursion Λ_(l+1) = diag(f')W'Λ_l from I, by `jacobian` and by
    central differences; so are the matrices between the layers."""
    model = compiled(network((4, 5, 3, 3), hidden, "softmax", extra=JACOBIANS))
    h = redraw(model, 2).normal(size=(2, 4))
    found, W, theta = model.forward(h), weights(model), offsets(model)
    for b in range(2):
        y, z = listings.forward(h[b], W, theta, hidden, "softmax")
        f = listings.SLOPES[hidden]
        J = listings.softmax_jacobian(y[-1])
        forward_2 = f(z[1])[:, None] * W[0].T
        forward_3 = f(z[2])[:, None] * (W[1].T @ forward_2)
        reverse_3 = f(z[2])[:, None] * (W[2] @ J)
        reverse_2 = f(z[1])[:, None] * (W[1] @ reverse_3)
        expected = {
            "forward_2": forward_2,
            "forward_3": forward_3,
            "reverse_3": reverse_3.T,
            "reverse_2": reverse_2.T,
            "J": J @ W[2].T @ forward_3,
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][b], value, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(found["J"][b], (W[0] @ reverse_2).T, rtol=1e-10, atol=1e-13)
        difference = differences(lambda x: model.forward(x[None])["gamma_hat"][0], h[b])
        np.testing.assert_allclose(found["J"][b], difference, rtol=1e-6, atol=1e-9)


@experiment("A32", "001.P65.3", where="`model.params[name] = -W`")
def test_a32_signs_of_a_hidden_layer():
    """In a tanh net, -W_l, -θ_l and -W_(l+1) leave the outputs as they are, for every hidden layer;
    with -θ_(l+1) too, as the problem is printed, they change (E-31)."""
    model = compiled(network((4, 5, 3, 6, 2), "tanh", "identity"))
    h = redraw(model, 4).normal(size=(7, 4))
    before = model.forward(h)
    for layer in (2, 3, 4):
        for name in (f"z_{layer}.affine.W", f"z_{layer}.affine.theta", f"z_{layer + 1}.affine.W"):
            model.params[name] = -np.array(model.params[name])
        np.testing.assert_allclose(model.forward(h), before, rtol=1e-12, atol=1e-14)
        theta = f"z_{layer + 1}.affine.theta"
        model.params[theta] = -np.array(model.params[theta])
        assert np.abs(model.forward(h) - before).max() > 1e-2
        model.params[theta] = -np.array(model.params[theta])
