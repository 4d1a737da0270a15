"""Noise on inputs, units and weights, and the penalty on derivatives that it stands for."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

NOISY = """
const input_noise = 0
const unit_noise = 0
const weight_noise = 0

layer noisy_dense(x: [n], units, std) {
  param W: [n, units]
  noisy = if training then W + normal(0, std, shape(W)) else W
  return x @ noisy
}

net Noisy {
  input x: [3]
  output p = x |> gaussian_noise(input_noise) |> noisy_dense(4, weight_noise)
    |> gaussian_noise(unit_noise) |> noisy_dense(2, weight_noise)
}
"""
"""A linear net, so that the mean over all noise is the output without noise."""

KINDS = {
    "none": {},
    "input": {"input_noise": 0.3},
    "unit": {"unit_noise": 0.3},
    "weight": {"weight_noise": 0.3},
}
X = np.array([[0.5, -1, 2]])


@cache
def noisy(kind: str) -> netc.Model:
    return compiled(NOISY, defines=KINDS[kind])


@experiment("X18", "000.8.2a", where="`gaussian_noise`; `normal(0, std, shape(W))` on weights")
def test_x18_noise_of_scale_0_is_no_noise() -> None:
    """With scale 0 the training output is bit for bit that of inference."""
    model = noisy("none")
    assert model.forward(X, training=True).tobytes() == model.forward(X).tobytes()


@experiment("X18", "000.8.2a", where="`gaussian_noise`; `normal(0, std, shape(W))` on weights")
@pytest.mark.parametrize("kind", ["input", "unit", "weight"])
def test_x18_noise_averages_out_and_is_repeatable(kind: str) -> None:
    """The mean of 20,000 noisy outputs of a linear net is that without noise within 4 standard
    errors; the same seed draws the same noise, another seed and another step others, and inference
    has none."""
    model, plain = noisy(kind), noisy("none").forward(X)[0]
    many = np.repeat(X, 20_000, axis=0)
    found = model.forward(many, training=True)
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (found.std(axis=0) > 0.1).all()
    assert (np.abs(found.mean(axis=0) - plain) < 4 * error).all()
    assert model.forward(X).tobytes() == plain.tobytes()
    assert model.forward(many, training=True).tobytes() == found.tobytes()
    model.seed = 1
    assert not (model.forward(many, training=True) == found).any(axis=1).all()
    model.seed = 0


SMOOTH = """
const strength = 0
net Smooth {
  input  x: [2]
  target y: [1]
  h = x |> dense(5, act=tanh)
  p = h |> dense(1)
  output p
  e = 0.5 * sum((p - y)^2)
  slope = grad(sum(p), x)
  bend  = einsum("ii->", hessian(sum(p), x))
  loss e
  loss strength * sum(slope^2)
  output smooth = 0.5 * (sum(slope^2) + sum(p - y) * bend)
  output error = e
}
"""


@experiment("X18", "000.8.2d", where="`grad` and `hessian` by an input")
@pytest.mark.parametrize("size", [0.5, 2])
def test_x18_small_noise_is_a_penalty_on_derivatives(size: float) -> None:
    """The expected half squared error under input noise of variance s² exceeds that without by
    s² (‖∇f‖² + (f - y) Δf) / 2: halving s divides the rest by 16, for small and for large weights.
    What has to be small is the noise, not the weights, as the text prints."""
    model = compiled(SMOOTH)
    draw = np.random.default_rng(1)
    model.params.flat = size * draw.normal(size=model.params.flat.size)
    x, y = np.array([[0.3, -0.2]]), np.array([[0.4]])
    values = model.evaluate(x, y)
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    noise = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    share = np.outer(weights, weights).ravel() / (2 * np.pi)
    rest = []
    for s in (0.02, 0.01):
        errors = model.evaluate(x + s * noise, np.repeat(y, len(noise), axis=0))["error"]
        rest.append(share @ errors - values["error"][0] - s**2 * values["smooth"][0])
    assert 15 < rest[0] / rest[1] < 17
    assert abs(rest[1]) < 0.02 * abs(0.01**2 * values["smooth"][0])


@experiment("X18", "000.8.2d", where="`loss strength * sum(grad(p, x)^2)`")
def test_x18_a_penalty_on_slopes_is_trained_and_smooths() -> None:
    """The gradient of λ ‖∂f/∂x‖² by the weights is the finite difference (1e-6), and training with
    λ = 0.1 leaves less than half the mean squared slope of training without."""
    draw = np.random.default_rng(2)
    x = draw.normal(size=(20, 2))
    y = np.sign(x[:, :1]) + 0.2 * draw.normal(size=(20, 1))
    slopes = {}
    for strength in (0, 0.1):
        train = "\ntrain { optimizer = rprop(); batch = 20; epochs = 150 }"
        model = compiled(
            SMOOTH.replace("output smooth", "metric steep = sum(slope^2)\n  output s") + train,
            defines={"strength": strength},
        )
        if strength:
            model.forward(x, training=True)
            model.backward(y)
            found = np.array(model.grads["h.dense.W"])
            assert np.allclose(found, objective_differences(model, "h.dense.W", x, y), rtol=1e-6)
        model.fit(x, y, progress=False)
        slopes[strength] = model.evaluate(x, y)["steep"]
    assert slopes[0.1] < 0.5 * slopes[0]
