"""Multi-layer perceptrons by units: existing connections, forward pass, deltas, gradients."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

UNITS = """
## Units 1, 2, 3 are inputs, 4 … 7 hidden, 8 and 9 outputs; a[0] = 1 is the bias unit. W[j, i] is
## the weight from unit j to unit i, exists[j, i] says whether there is such a connection.
const exists = [
  [0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 1, 1, 0, 0, 1, 0],
  [0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 1, 1, 0, 1],
  [0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
]

net Units {
  input  x: [3]
  target y: [2]
  param  W: [10, 10] = exists * normal(0, 1)
  w  = exists * W
  a1 = concat([1], x)
  s2 = a1 @ w[:4, 4:6]
  a2 = concat(a1, tanh(s2))
  s3 = a2 @ w[:6, 6:8]
  a3 = concat(a2, [sigmoid(s3[0]), relu(s3[1])])
  s4 = a3 @ w[:8, 8:]
  a  = concat(a3, s4)
  error = half_squared_error(s4, y)
  output a
  output delta2 = grad(error, s2)
  output delta3 = grad(error, s3)
  output delta4 = grad(error, s4)
  loss error
}
train { optimizer = sgd(lr=0.1) }
"""
"""Three layers of weights with shortcuts 1 → 8 and 4 → 9, and three kinds of hidden units."""

EXISTS = [[], [], [], [], [0, 1, 2], [0, 1, 3], [0, 4], [0, 4, 5], [0, 1, 6, 7], [0, 4, 6, 7]]
"""From which units there is a connection to each unit."""

F = {4: np.tanh, 5: np.tanh, 6: lambda s: 1 / (1 + np.exp(-s)), 7: lambda s: max(s, 0.0)}
SLOPE = {4: lambda a: 1 - a * a, 5: lambda a: 1 - a * a, 6: lambda a: a * (1 - a), 7: np.sign}


@cache
def units():
    """The net, its weights, and four samples."""
    model, random = compiled(UNITS), np.random.default_rng(1)
    model.params["W"][0, 7] += 1  # so that the rectifier is not off for every sample
    return (
        model,
        np.array(model.params["W"]),
        random.normal(size=(4, 3)),
        random.normal(size=(4, 2)),
    )


def forward_pass(W, x, bias=1.0):
    """Activities of all units, unit by unit."""
    a = np.array([bias, *x, *np.zeros(6)])
    for i in range(4, 10):
        s = sum(W[j, i] * a[j] for j in EXISTS[i])
        a[i] = F[i](s) if i in F else s
    return a


def backward_pass(W, a, y, shortcuts=True):
    """Deltas of all units, unit by unit."""
    layer = [0, 1, 1, 1, 2, 2, 3, 3, 4, 4]
    delta = np.array([*np.zeros(8), *(a[8:] - y)])
    for j in (7, 6, 5, 4):
        above = [i for i in range(10) if j in EXISTS[i] and (shortcuts or layer[i] == layer[j] + 1)]
        delta[j] = SLOPE[j](a[j]) * sum(delta[i] * W[j, i] for i in above)
    return delta


@experiment("000.4.6b", where="`concat`, slices of one matrix `exists * W`")
def test_000_4_6b_units_compute_layer_by_layer():
    """A net of 9 numbered units (tanh, sigmoid, ReLU, linear) with two shortcuts has the activities
    of the unit-by-unit forward pass; without a₀ = 1, which the printed one never sets, they
    differ."""
    model, W, x, _ = units()
    model.params["W"] = W
    a = model.forward(x)
    for n in range(4):
        np.testing.assert_allclose(a[n], forward_pass(W, x[n]), rtol=1e-13, atol=1e-15)
        assert np.max(np.abs(a[n, 8:] - forward_pass(W, x[n], bias=0.0)[8:])) > 1e-2


@experiment(
    "000.4.6a", "000.4.0 000.4.6a", where="`exists * W` against `dense` layers and `concat`"
)
def test_000_4_6a_a_mask_of_connections_is_a_net_with_shortcuts():
    """The unit-indexed net and layers with `concat` for the shortcuts agree to 1e-13. 50 steps
    leave the 81 weights that do not exist at exactly 0 and move the 19 others; without the mask in
    the formula the weights of absent connections move too."""
    model, W, x, y = units()
    layers = compiled("""
    net Layers {
      input x: [3]
      target y: [2]
      param W1: [4, 2] = normal(0, 1)
      param W2: [3, 2] = normal(0, 1)
      param W3: [5, 2] = normal(0, 1)
      h1 = tanh(concat([1], x) @ W1)
      s2 = concat([1], h1) @ W2
      h2 = [sigmoid(s2[0]), relu(s2[1])]
      output p = concat(concat([1], h2), [x[0], h1[0]]) @ W3
      loss half_squared_error(p, y)
    }
    train { optimizer = sgd(lr=0.1) }""")
    model.params["W"] = W
    layers.params["W1"] = W[:4, 4:6]
    layers.params["W2"] = W[[0, 4, 5], 6:8]
    layers.params["W3"] = W[[0, 6, 7, 1, 4], 8:]
    np.testing.assert_allclose(model.forward(x)[:, 8:], layers.forward(x), rtol=1e-13)
    exists = W != 0
    assert exists.sum() == 19
    for _ in range(50):
        model.step(x, y)
        layers.step(x, y)
    trained = np.array(model.params["W"])
    assert not trained[~exists].any()
    assert np.all(trained[exists] != W[exists])
    assert W[5, 6] == 0
    assert layers.params["W2"][2, 0] != 0


@experiment("000.4.6c", where="`loss`: the objective is the mean; `batch_size *` makes it a sum")
def test_000_4_6c_the_empirical_error_is_a_mean():
    """The mean-reduced error and its gradient are those of the sum divided by N = 4, and a step is
    w - η times that gradient."""
    model, W, x, y = units()
    model.params["W"] = W
    mean, slope = gradients(model, x, y)
    summed = [gradients(model, x[n : n + 1], y[n : n + 1]) for n in range(4)]
    assert mean == pytest.approx(sum(one for one, _ in summed) / 4, rel=1e-13)
    total = sum(slopes["W"] for _, slopes in summed)
    np.testing.assert_allclose(slope["W"], total / 4, rtol=1e-11, atol=1e-15)
    model.step(x, y)
    np.testing.assert_allclose(model.params["W"], W - 0.1 * slope["W"], rtol=1e-12)


@experiment("000.4.6d", "000.4.6d 000.4.6f", where="`output delta = grad(error, s)`, a named value")
def test_000_4_6d_deltas_by_units():
    """The compiled deltas are a - y at the outputs and f'(s_j) Σ δ_i w_ij over every existing
    connection below, ∂L/∂w_ij = δ_i a_j for all 19 weights, as differences say to 1e-6. The printed
    backward loop, which sees only the next layer, gives other deltas where shortcuts leave."""
    model, W, x, y = units()
    model.params["W"] = W
    a, found = model.forward(x), model.evaluate(x, y)
    compiled_delta = np.concatenate([found["delta2"], found["delta3"], found["delta4"]], axis=1)
    total = np.zeros((10, 10))
    for n in range(4):
        delta = backward_pass(W, a[n], y[n])
        np.testing.assert_allclose(compiled_delta[n], delta[4:], rtol=1e-11, atol=1e-15)
        total += np.outer(a[n], delta) / 4
        printed = backward_pass(W, a[n], y[n], shortcuts=False)
        assert abs(printed[4] - delta[4]) > 1e-3
    slope = gradients(model, x, y)[1]["W"]
    np.testing.assert_allclose(slope, np.where(W != 0, total, 0), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(slope, objective_differences(model, "W", x, y), rtol=1e-6, atol=1e-9)
