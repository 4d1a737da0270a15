"""Gradients, Jacobians and Hessians, and what finite differences say of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

DIRECTIONS = """
net Directions {
  input theta: [5]
  input u: [5]
  f = sum(sin(theta) * [1, 2, 3, 4, 5]) + prod(theta)
  slope = grad(f, theta)
  output f
  output slope
  output along = sum(u * slope)
}
"""


@experiment("S15", "002.5.3 002.5.4", where="`grad`")
def test_s15_no_direction_falls_faster_than_minus_the_gradient() -> None:
    """D_u f = uᵀ∇f is the limit of differences; of 10⁴ unit u none falls faster than -∇f/|∇f|."""
    draw = np.random.default_rng(0)
    theta = draw.normal(size=5)
    u = draw.normal(size=(10_000, 5))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    model = compiled(DIRECTIONS)
    found = model.forward(np.broadcast_to(theta, u.shape), u)
    gradient = found["slope"][0]
    step = 1e-6
    ends = [model.forward(theta + s * step * u[:50], u[:50])["f"] for s in (1, -1)]
    np.testing.assert_allclose(found["along"][:50], (ends[0] - ends[1]) / (2 * step), atol=1e-8)
    length = np.linalg.norm(gradient)
    assert found["along"].min() >= -length
    assert found["along"].min() < -0.9 * length
    steepest = model.forward(theta[None], -gradient[None] / length)["along"][0]
    assert steepest == pytest.approx(-length, rel=1e-14)
    still = np.array([[np.pi / 2] * 5])
    alone = compiled(DIRECTIONS.replace(" + prod(theta)", "")).forward(still, still)
    np.testing.assert_allclose(alone["slope"], 0, atol=1e-15)


MATRICES = """
net Matrices {
  input x: [3]
  layer one = dense(2, act=tanh)
  y = one(x)
  f = sum(y^2) + sum(x^3)
  slope = grad(f, x)
  output y
  output byparameters = jacobian(y, params)
  output f
  output slope
  output H = hessian(f, x)
  output again = jacobian(slope, x)
}
"""


@experiment("S16", "002.5.6", where="`jacobian(y, params)`")
def test_s16_the_jacobian_of_a_layer_is_outputs_by_parameters() -> None:
    """J of a dense layer is [2 outputs, 8 parameters] and equals finite differences."""
    x = np.random.default_rng(1).normal(size=(1, 3))
    model = compiled(MATRICES)
    found = model.forward(x)["byparameters"][0]
    assert found.shape == (2, 8)

    def output(w: np.ndarray) -> np.ndarray:
        model.params.flat = w
        return model.forward(x)["y"][0]

    np.testing.assert_allclose(found, differences(output, model.params.flat), atol=1e-9)


@experiment("S16", "002.5.7-5.8", where="`hessian(f, x)`, `jacobian(grad(f, x), x)`")
def test_s16_the_hessian_is_symmetric_and_bounds_the_curvature_of_every_direction() -> None:
    """H = Jᵀ of the gradient = Hᵀ; uᵀHu lies in [λmin, λmax] for unit u, and is λ at a vector."""
    draw = np.random.default_rng(2)
    x = draw.normal(size=(1, 3))
    model = compiled(MATRICES)
    found = model.forward(x)
    hessian = found["H"][0]
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-14)
    np.testing.assert_allclose(hessian, found["again"][0], atol=1e-14)
    numeric = differences(lambda v: model.forward(v[None])["slope"][0], x[0])
    np.testing.assert_allclose(hessian, numeric, atol=1e-8)
    values, vectors = np.linalg.eigh(hessian)
    u = draw.normal(size=(1000, 3))
    unit = u / np.linalg.norm(u, axis=1, keepdims=True)
    curvature = np.einsum("ni,ij,nj->n", unit, hessian, unit)
    assert values[0] <= curvature.min() < curvature.max() <= values[-1]
    np.testing.assert_allclose(np.diag(vectors.T @ hessian @ vectors), values, rtol=1e-9)
    long = np.einsum("ni,ij,nj->n", 3 * unit, hessian, 3 * unit)
    assert long.max() > values[-1], "the printed rule needs unit vectors"


NEWTON = """
net Newton {
  param theta: [2] = [5, 5]
  output H = hessian(objective, theta)
  output g = grad(objective, theta)
  penalty 0.5 * sum(einsum("i,ij,j->", theta, [[3, 1], [1, 2]], theta)) - sum([1, -1] * theta)
}
train { optimizer = sgd(lr=0.2) }
"""


@experiment("S17", "002.5.9", where="`hessian(objective, theta)` and a linear solve")
def test_s17_one_newton_step_solves_a_parabola() -> None:
    """H = [[3, 1], [1, 2]], b = (1, -1): one step from (5, 5) gives (0.6, -0.8)."""
    model = compiled(NEWTON)
    found = model.forward()
    np.testing.assert_allclose(found["H"][0], [[3, 1], [1, 2]], rtol=1e-14)
    model.params["theta"] -= np.linalg.solve(found["H"][0], found["g"][0])
    np.testing.assert_allclose(model.params["theta"], [0.6, -0.8], rtol=1e-13)
    np.testing.assert_allclose(model.forward()["g"], 0, atol=1e-14)
    model.params["theta"] = [5, 5]
    model.step()
    assert np.abs(model.params["theta"] - [0.6, -0.8]).max() > 1, "gradient descent needs more"


CHAIN = """
net Chain {
  input s: [1]
  x = s[0]^2
  y = sin(s[0])
  z = exp(s[0])
  f = x * y + z^2
  g = s[0]^2 + 1
  softplus_of_s = softplus(s[0])
  output single = grad(g, s)
  output several = grad(f, s)
  output parts = stack([grad(f, x) * grad(x, s), grad(f, y) * grad(y, s), grad(f, z) * grad(z, s)])
  output softplus_of_s
  output slope = grad(softplus_of_s, s)
}
"""


@experiment("S28", "002.9.2 002.9.3", where="`grad` by any named value")
def test_s28_chain_rules_of_one_and_of_several_variables() -> None:
    """d/ds (s² + 1) = 2s; df/ds is the sum of ∂f/∂x dx/ds over x(s), y(s), z(s)."""
    s = np.array([[0.7], [-1.2], [3.0]])
    found = compiled(CHAIN).forward(s)
    np.testing.assert_allclose(found["single"], 2 * s, rtol=1e-15)
    exact = 2 * s * np.sin(s) + s**2 * np.cos(s) + 2 * np.exp(2 * s)
    np.testing.assert_allclose(found["several"], exact, rtol=1e-14)
    np.testing.assert_allclose(found["parts"].reshape(3, 3).sum(1), exact[:, 0], rtol=1e-14)


@experiment("S28", "002.9.1", where="`grad` against central differences")
def test_s28_halving_the_step_of_central_differences_quarters_their_error() -> None:
    """Softplus at 0.7: errors 1.242e-4, 3.107e-5, 7.768e-6; two evaluations for each parameter."""
    model = compiled(CHAIN)
    exact = model.forward([[0.7]])["slope"][0]
    calls = 0

    def f(s: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        return model.forward(s[None])["softplus_of_s"][0]

    errors = [abs(differences(f, [0.7], step) - exact)[0] for step in (0.1, 0.05, 0.025)]
    np.testing.assert_allclose(errors, [1.242e-4, 3.107e-5, 7.768e-6], rtol=5e-4)
    assert errors[0] / errors[1] == pytest.approx(4, rel=1e-2)
    assert calls == 3 * 2


NEURON = """
net Neuron {
  input before: [1]
  target y: [1]
  param w = 0.5
  param b = 0.1
  z = w * before + b
  a = sigmoid(z)
  output slope = grad(squared_error(a, y), before)
  output unfinished = before * 2 * (a - y)
  output a
  loss squared_error(a, y)
}
"""


@experiment("S29", "002.8.1 002.9.4 002.9.5 003.4.1", where="`backward`, `grads`, `grad`")
def test_s29_one_neuron_has_the_derived_slopes() -> None:
    """∂C/∂w = -0.1419575, ∂C/∂b = -0.1774469, ∂C/∂a = -0.0887235; printed without σ' it is not."""
    model = compiled(NEURON)
    activation = model.forward([[0.8]], training=True)
    assert activation[0, 0] == pytest.approx(0.6224593, abs=5e-8)
    assert model.backward([[1.0]]) == pytest.approx(0.1425370, abs=5e-8)
    assert float(model.grads["w"]) == pytest.approx(-0.1419575, abs=5e-8)
    assert float(model.grads["b"]) == pytest.approx(-0.1774469, abs=5e-8)
    found = model.evaluate([[0.8]], [[1.0]])
    assert found["slope"][0, 0] == pytest.approx(-0.0887235, abs=5e-8)
    assert found["unfinished"][0, 0] == pytest.approx(-0.6040651, abs=5e-8), "the σ' is missing"


DEEP = """
net Deep {
  input x: [3]
  target y: [2]
  a = x |> dense(4, act=tanh)
  c = a |> dense(3, act=sigmoid)
  p = c |> dense(2)
  output upper = grad(squared_error(p, y), c)
  output lower = grad(squared_error(p, y), a)
  output c
  loss squared_error(p, y)
}
"""


@experiment("S29", "002.9.5 002.6.0", where="`backward` against finite differences")
def test_s29_three_layers_agree_with_differences_and_sum_over_the_units_above() -> None:
    """1e-7 of differences; batch slope = mean of the samples'; ∂C/∂a_k = Σ_j over units above."""
    draw = np.random.default_rng(3)
    x, y = draw.normal(size=(6, 3)), draw.normal(size=(6, 2))
    model = compiled(DEEP)
    model.forward(x, training=True)
    model.backward(y)
    batch = {name: value.copy() for name, value in model.grads.items()}
    for name, value in batch.items():
        numeric = objective_differences(model, name, x, y)
        np.testing.assert_allclose(value, numeric, rtol=1e-7, atol=1e-9)
    single = []
    for i in range(6):
        model.forward(x[i : i + 1], training=True)
        model.backward(y[i : i + 1])
        single.append(model.grads.flat.copy())
    np.testing.assert_allclose(
        np.mean(single, 0), np.concatenate([v.ravel() for v in batch.values()]), rtol=1e-12
    )
    found, c = model.evaluate(x, y), model.forward(x)
    summed = (found["upper"] * c * (1 - c)) @ model.params["c.dense.W"].T
    np.testing.assert_allclose(found["lower"], summed, rtol=1e-12)


LANDSCAPE = """
net Landscape {
  input x: [2]
  input y: [1]
  param w: [3] = [0.3, 0.8, 0.1]
  p = w[2] * tanh(sum(w[0:2] * x))
  output g = grad(objective, w)
  output H = hessian(objective, w)
  loss (p - y[0])^2
}
train { optimizer = sgd(lr=0.3) }
"""


@experiment("S46", "003.7.6", where="`hessian(objective, w)` of a net at stationary points")
def test_s46_saddles_have_mixed_signs_and_minima_positive_ones() -> None:
    """The Hessian at 0 has both signs though its diagonal has none, at the minimum none below 0."""
    draw = np.random.default_rng(4)
    x = draw.normal(size=(30, 2))
    y = 1.5 * np.tanh(x @ [[1.0], [0.5]])
    model = compiled(LANDSCAPE)

    def at(w: list[float]) -> tuple[np.ndarray, np.ndarray]:
        model.params["w"] = w
        found = model.forward(x, y)
        return found["g"][0], found["H"][0]

    gradient, hessian = at([0, 0, 0])
    np.testing.assert_allclose(gradient, 0, atol=1e-15)
    values = np.linalg.eigvalsh(hessian)
    assert values[0] < -0.1
    assert values[-1] > 0.1
    assert (np.diag(hessian) >= 0).all(), "second derivatives alone would not show the saddle"
    w, steps = np.array([0.8, 0.4, 1.3]), 0
    while np.abs(at(list(w))[0]).max() > 1e-10:
        gradient, hessian = at(list(w))
        w, steps = w - np.linalg.solve(hessian, gradient), steps + 1
        assert steps < 20
    np.testing.assert_allclose(w, [1, 0.5, 1.5], atol=1e-8)
    assert np.linalg.eigvalsh(at(list(w))[1])[0] > 1e-3
    model.params["w"], descent = [0.8, 0.4, 1.3], 0
    while np.abs(model.params["w"] - w).max() > 1e-6 and descent < 10_000:
        model.step(x, y)
        descent += 1
    assert 20 * steps < descent < 10_000
