"""What the history of the field names: deep nets of polynomials, recurrent nets, approximation."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

from netc.procedures import newton
from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences


@experiment("000.1f", where="a net of one unit, `netc.procedures.newton`, outputs as inputs")
def test_000_1f_the_group_method_builds_a_net_layer_by_layer():
    """Units 1 + a + b + ab + a² + b² of two earlier values are fitted by least squares, and the
    three that do best on validation data are the inputs of the next layer: the validation error
    of x₁x₂ + x₃x₄ is above 0.5 in the first layer and below 0.02 in the second."""
    unit = compiled("""
    net Unit {
      input  x: [2]
      target y: []
      param  w: [6] = zeros
      a = x[0]
      b = x[1]
      p = w[0] + w[1] * a + w[2] * b + w[3] * a * b + w[4] * a^2 + w[5] * b^2
      output p
      output H = hessian(objective, params)
      loss half_squared_error(p, y)
    }""")
    random = np.random.default_rng(1)
    values = random.normal(size=(4000, 4))
    y = values[:, 0] * values[:, 1] + values[:, 2] * values[:, 3]
    train, held = slice(0, 3000), slice(3000, 4000)
    errors = []
    for _ in range(2):
        found = []
        for pair in combinations(range(values.shape[1]), 2):
            x = values[:, pair]
            newton.minimise(unit, x[train], y[train], steps=2)
            found.append((2 * unit.evaluate(x[held], y[held])["loss"], unit.forward(x)["p"]))
        found.sort(key=lambda each: each[0])
        errors.append(found[0][0])
        values = np.column_stack([p for _, p in found[:3]])
    assert errors[0] > 0.5
    assert errors[1] < 0.02


@experiment("000.1h", where="`dense(16, act=tanh)`, `freeze` of a mask")
def test_000_1h_more_hidden_units_approximate_better():
    """A net with one hidden layer learns sin 3x + x²/2 on [-2, 2]: with 1, 2, 4 and 16 tanh units
    the mean squared error falls each time, from above 0.1 to below 0.0001."""
    model = compiled("""
    net Approximation {
      input  x: [1]
      target y: [1]
      param  on: [16] = 1
      h = x |> dense(16, act=tanh, init=normal(0, 2))
      p = on * h |> dense(1)
      loss squared_error(p, y)
    }
    train { optimizer = adam(lr=0.02); batch = 100; freeze("on") }""")
    x = np.linspace(-2, 2, 100)
    y = np.sin(3 * x) + x**2 / 2
    start, errors = np.array(model.params.flat), []
    for units in (1, 2, 4, 16):
        model.params.flat = start
        model.params["on"] = np.arange(16) < units
        for state in model.optimizer_state.values():
            state[...] = 0
        model.fit(x, y, epochs=3000, progress=False)
        errors.append(model.evaluate(x, y)["loss"])
    assert np.all(np.diff(errors) < 0)
    assert errors[0] > 0.1
    assert errors[-1] < 1e-4


RECURRENT = """
net Recurrent {
  input  x: [20, 2]
  target y: [3]
  param  W: [3, 3] = normal(0, 1)
  param  U: [2, 3] = normal(0, 1)
  h1 = tanh(x[0] @ U)
  h  = h1 |> repeat(19, t -> step(x[t], W, U))
  output h
  output J = jacobian(h, h1)
  loss half_squared_error(h, y)
}

fn step(h, x, W, U) = tanh(h @ W + x @ U)
"""


@cache
def recurrent():
    return compiled(RECURRENT)


@experiment("000.1i", where="`repeat(19, t -> …)`: one weight matrix at every time step")
def test_000_1i_an_unfolded_recurrent_net_and_its_fading_gradient():
    """20 steps of h ← tanh(Wh + Ux) with shared weights are a net of 20 layers: h equals the loop
    and its gradients differences. ∂h₂₀/∂h₁ is shorter than 0.5¹⁹ for |W| = 0.5 and as long as
    1.1¹⁹ at h = 0 for |W| = 1.1: it vanishes or explodes."""
    model, random = recurrent(), np.random.default_rng(2)
    x, y = random.normal(size=(4, 20, 2)), random.normal(size=(4, 3))
    orthogonal = np.linalg.qr(random.normal(size=(3, 3)))[0]
    model.params["W"], model.params["U"] = 0.5 * orthogonal, random.normal(size=(2, 3))
    found, h = model.forward(x), np.zeros((4, 3))
    for t in range(20):
        h = np.tanh(h @ model.params["W"] + x[:, t] @ model.params["U"])
    np.testing.assert_allclose(found["h"], h, rtol=1e-11)
    assert np.all(np.linalg.norm(found["J"], 2, axis=(1, 2)) < 0.5**19)
    _, slopes = gradients(model, x, y)
    for name, slope in slopes.items():
        by_differences = objective_differences(model, name, x, y)
        np.testing.assert_allclose(slope, by_differences, rtol=1e-6, atol=1e-9)
    model.params["W"] = 1.1 * orthogonal
    flat = model.forward(np.zeros((1, 20, 2)))["J"][0]
    np.testing.assert_allclose(np.linalg.norm(flat, 2), 1.1**19, rtol=1e-10)


@experiment("000.1i", where="`repeat(5, i -> …)` with `sign`")
def test_000_1i_a_hopfield_net_recalls_patterns():
    """Weights Σ p pᵀ without a diagonal store three patterns of 100 signs; from copies with 15
    wrong signs five rounds of sign(Wx) give all three back, and they are fixed points."""
    model = compiled("""
    fn recall(x, W) = where(x @ W >= 0, 1, -1)
    net Hopfield {
      input x: [100]
      param W: [100, 100] = 0
      output y = x |> repeat(5, i -> recall(W))
    }""")
    random = np.random.default_rng(3)
    patterns = random.choice([-1.0, 1.0], (3, 100))
    model.params["W"] = patterns.T @ patterns - 3 * np.eye(100)
    wrong = patterns.copy()
    for pattern in wrong:
        pattern[random.choice(100, 15, replace=False)] *= -1
    np.testing.assert_array_equal(model.forward(wrong), patterns)
    np.testing.assert_array_equal(model.forward(patterns), patterns)
    assert np.all(np.sum(wrong != patterns, axis=1) == 15)


@experiment("000.1j", where="`conv`, `global_avg_pool`")
def test_000_1j_a_convolutional_net_sees_a_pattern_wherever_it_is():
    """The feature maps of a convolution move with the image, exactly, and after pooling over all
    places a net of convolution, rectifier and pool answers the same for an image moved by 3 pixels;
    a dense net with as many outputs does not."""
    model = compiled("""
    net Neocognitron {
      input image: [1, 12, 12]
      maps = image |> conv(4, 3, act=relu, bias=false)
      output maps
      output pooled = global_avg_pool(maps)
      output rigid = image |> flatten |> dense(4)
    }""")
    image = np.zeros((1, 1, 12, 12))
    image[0, 0, 3:6, 3:6] = np.random.default_rng(4).normal(size=(3, 3))
    here, there = model.forward(image), model.forward(np.roll(image, 3, axis=3))
    np.testing.assert_allclose(there["maps"][..., 3:], here["maps"][..., :-3], rtol=1e-14)
    np.testing.assert_allclose(there["pooled"], here["pooled"], rtol=1e-13)
    assert np.max(np.abs(there["rigid"] - here["rigid"])) > 0.05
