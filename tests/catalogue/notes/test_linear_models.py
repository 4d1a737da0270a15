"""Text 004, sections 3.1 and 4: generalised linear models and their normal equations."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

FEATURES = """
const kind = "line"
const M = 1
const D = 1

## The functions phi_0 … phi_M of x [D].
fn phi(x) = if kind == "line" then stack(1, x[0]) else
            if kind == "cubic" then stack(1, x[0], x[0]^2, x[0]^3) else
            if kind == "plane" then concat([1], x) else
            stack(1, sin(x[0]), exp(-x[0]^2))

net Linear {
  input  x: [D]
  target t: []
  param w: [M + 1] = 0
  features = phi(x)
  output features
  y = sum(w * features)
  output y
  output slope = jacobian(y, w)
  loss batch_size * half_squared_error(y, t)
}
train { optimizer = sgd(lr = 0.002); batch = 1000; epochs = 4000 }
"""
"""The loss is (3.5), half the sum of squares: the mean over the batch times its size."""

LAWS = {
    "line": (1, [1.5, -2.0]),
    "cubic": (1, [1, -0.25, 0.3, 0.5]),
    "plane": (4, [0.5, 1, -1, 2, 0.25]),
    "waves": (1, [0.3, 2, -1]),
}


@cache
def model_of(kind: str) -> netc.Model:
    inputs, w = LAWS[kind]
    return compiled(FEATURES, defines={"kind": kind, "D": inputs, "M": len(w) - 1})


def exact(kind: str) -> tuple[netc.Model, np.ndarray, np.ndarray, np.ndarray]:
    """The net, inputs, targets without noise, and the weights of the law."""
    inputs, w = LAWS[kind]
    model = model_of(kind)
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (60, inputs))
    model.params["w"] = w
    t = model.forward(x)["y"]
    model.params["w"] = np.zeros(len(w))
    return model, x, t, np.array(w)


@pytest.mark.parametrize("kind", LAWS)
@experiment(
    "E4",
    "004.3.1.a 004.3.1.c 004.3.1.d 004.3.1.e 004.4.a",
    where="an `fn` of features and `sum(w * phi(x))`; the design matrix is an output",
)
def test_e4_least_squares_recovers_the_law_without_noise(kind: str) -> None:
    """From 60 exact values of a line, the cubic (3.12), a plane of 4 variables and a law in sin and
    exp, (ΦᵀΦ)⁻¹Φᵀt recovers the weights to 1e-12 and gradient descent to 1e-8; w₀ is the intercept
    and w₁ the slope, where the text has them the other way round."""
    model, x, t, w = exact(kind)
    design = model.forward(x)["features"]
    np.testing.assert_allclose(design, model.forward(x)["slope"], atol=0)
    np.testing.assert_allclose(np.linalg.solve(design.T @ design, design.T @ t), w, atol=1e-12)
    np.testing.assert_allclose(np.linalg.pinv(design) @ t, w, atol=1e-12)
    model.fit(x, t, progress=False)
    np.testing.assert_allclose(model.params["w"], w, atol=1e-8)
    if kind == "line":
        at = model.forward([[0.0], [1.0]])["y"]
        np.testing.assert_allclose([at[0], at[1] - at[0]], w, atol=1e-8)


@experiment("E5", "004.3.1.b 004.4.a", where="`model.backward` and `model.grads`")
def test_e5_the_gradient_vanishes_at_the_solution_of_the_normal_equations() -> None:
    """The gradient of (3.5) is Σ(w·φ - t)φ: equal to the compiled one to 1e-12 and to differences,
    and 0 at the solution of the M + 1 normal equations; the sign printed in (4.1) is wrong."""
    model, x, t, _ = exact("cubic")
    t = t + np.random.default_rng(1).normal(size=60)
    design = model.forward(x)["features"]
    w = np.array([0.4, -1, 0.2, 2])
    model.params["w"] = w
    model.forward(x, training=True)
    objective = model.backward(t)
    assert objective == pytest.approx(np.sum((design @ w - t) ** 2) / 2, rel=1e-13)
    found = np.array(model.grads["w"])
    formula = (design @ w - t) @ design
    np.testing.assert_allclose(found, formula, rtol=1e-12)
    np.testing.assert_allclose(found, objective_differences(model, "w", x, t), rtol=1e-6)
    printed = (t - design @ w) @ design
    assert np.abs(found - printed).min() > 1
    model.params["w"] = np.linalg.solve(design.T @ design, design.T @ t)
    model.forward(x, training=True)
    model.backward(t)
    assert np.abs(model.grads["w"]).max() < 1e-11
