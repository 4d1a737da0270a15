"""Layers, activations, symmetries, and what hidden layers are for."""

from __future__ import annotations

from itertools import permutations, product
from math import factorial

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

LAYOUTS = """
net Rows {
  input x: [3]
  target y: [2]
  h = x |> dense(4, act=tanh)
  p = h |> dense(2)
  output p
  loss squared_error(p, y)
}
"""

COLUMNS = """
const m = 5
## The samples are the columns of one matrix, as in the text: W x + b with W [units, inputs].
net Columns {
  input x: [3, m]
  target y: [2, m]
  param W1: [4, 3]
  param b1: [4, 1] = 0
  param W2: [2, 4]
  param b2: [2, 1] = 0
  p = W2 @ tanh(W1 @ x + b1) + b2
  output p
  loss squared_error(p, y) / m
}
"""


@experiment(
    "S23",
    "002.8.1 002.8.2 002.8.3 003.5.1 003.1",
    where="`dense` of the prelude; `W @ x + b` on a matrix of columns",
)
def test_s23_single_samples_rows_and_columns_give_the_same_net() -> None:
    """One sample at a time, samples as rows, samples as columns: outputs and slopes agree."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(5, 3)), draw.normal(size=(5, 2))
    rows, columns = compiled(LAYOUTS), compiled(COLUMNS)
    pairs = {"W1": "h.dense.W", "W2": "p.dense.W", "b1": "h.dense.b", "b2": "p.dense.b"}
    for own, name in pairs.items():
        columns.params[own] = np.atleast_2d(rows.params[name]).T
    p = rows.forward(x, training=True)
    rows.backward(y)
    np.testing.assert_allclose(columns.forward(x.T[None], training=True)[0].T, p, rtol=1e-13)
    columns.backward(y.T[None])
    for own, name in pairs.items():
        found = np.atleast_2d(rows.grads[name]).T
        np.testing.assert_allclose(columns.grads[own], found, rtol=1e-12, atol=1e-15)
    single, slopes = [], []
    for i in range(5):
        single.append(rows.forward(x[i : i + 1], training=True)[0])
        rows.backward(y[i : i + 1])
        slopes.append(rows.grads["h.dense.W"].copy())
    np.testing.assert_allclose(single, p, rtol=1e-13)
    np.testing.assert_allclose(np.mean(slopes, 0), columns.grads["W1"].T, rtol=1e-12)


LINEAR = """
fn scaled(z) = 0.7 * z
net Linear {
  input x: [6]
  h = x |> dense(9, act=scaled, bias=false) |> repeat(3, dense(9, act=scaled, bias=false))
  output p = h |> dense(2, bias=false)
  layer biased = dense(9) |> dense(4) |> dense(2)
  output affine = biased(x)
}
"""


@experiment("S24", "002.8.4 003.2.5", where="`dense(act=…)` with a linear activation")
def test_s24_a_deep_linear_net_is_one_matrix() -> None:
    """Five layers with activation 0.7 z are one matrix, layers with biases one affine map."""
    model = compiled(LINEAR)
    draw = np.random.default_rng(1)
    x = draw.normal(size=(7, 6))
    chain = [v for n, v in model.params.items() if n.startswith(("h.", "p."))]
    matrix = np.linalg.multi_dot(chain) * 0.7**4
    np.testing.assert_allclose(model.forward(x)["p"], x @ matrix, rtol=1e-12, atol=1e-14)
    for name, value in model.params.items():
        if name.endswith(".b"):
            value[...] = draw.normal(size=value.shape)
    affine = model.forward(x)["affine"]
    origin = model.forward(np.zeros((1, 6)))["affine"]
    basis = model.forward(np.eye(6))["affine"] - origin
    np.testing.assert_allclose(affine, x @ basis + origin, rtol=1e-12, atol=1e-14)


NAMES = ("sigmoid", "tanh", "relu", "leaky", "never_leaky", "hard_tanh", "softplus", "identity")

ACTIVATIONS = (
    """
fn leaky(z) = leaky_relu(z, alpha=0.1)
fn never_leaky(z) = leaky_relu(z, alpha=0)
fn printed_tanh(z) = (exp(z) + exp(-z)) / (exp(z) + exp(-z))
net Activations {
  input z: [1]
  input v: [3]
  p = softmax(v)
  output p
  output q = softmax(v + 100)
  output row = jacobian(p, v)
  output printed = printed_tanh(z)
"""
    + "".join(f"  output {n}_at = {n}(z)\n  output {n}_slope = grad({n}(z)[0], z)\n" for n in NAMES)
    + "}\n"
)


@experiment(
    "S25",
    "002.8.5 003.2.1 003.2.2 003.2.3 003.2.4 003.2.5",
    where="`sigmoid`, `tanh`, and `relu`, `leaky_relu`, `hard_tanh`, `softplus`, `softmax`",
)
def test_s25_activations_take_their_values_and_slopes() -> None:
    """Values at -2 … 2 and slopes by differences; tanh = 2σ(2x) - 1; the printed tanh is 1."""
    z = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    model = compiled(ACTIVATIONS)
    v = np.random.default_rng(2).normal(size=(5, 3))
    found = model.forward(z, v)
    expected = {
        "sigmoid": 1 / (1 + np.exp(-z)),
        "tanh": np.sinh(z) / np.cosh(z),
        "relu": [[0], [0], [0], [1], [2]],
        "leaky": [[-0.2], [-0.1], [0], [1], [2]],
        "never_leaky": [[0], [0], [0], [1], [2]],
        "hard_tanh": [[-1], [-1], [0], [1], [1]],
        "softplus": np.log(1 + np.exp(z)),
        "identity": z,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[f"{name}_at"], values, rtol=1e-14, atol=1e-16)
    away = np.array([[-1.7], [-0.6], [0.3], [0.8], [1.9]])
    at = model.forward(away, v)
    low, high = (model.forward(away + d, v) for d in (-1e-6, 1e-6))
    for name in NAMES:
        numeric = (high[f"{name}_at"] - low[f"{name}_at"]) / 2e-6
        np.testing.assert_allclose(at[f"{name}_slope"], numeric, atol=1e-9)
    doubled = model.forward(2 * z, v)["sigmoid_at"]
    np.testing.assert_allclose(found["tanh_at"], 2 * doubled - 1, atol=1e-15)
    np.testing.assert_allclose(found["printed"], 1, rtol=1e-15)


@experiment("S25", "002.8.5", where="`softmax`, `softplus` of the prelude")
def test_s25_softmax_is_a_distribution_and_the_tails_are_finite() -> None:
    """Softmax sums to 1, is blind to shifts, exact at ±1000; softplus(±1000) = 1000 and 0."""
    model = compiled(ACTIVATIONS)
    v = np.array([[1000.0, 0, -1000], [1000, 1000, 1000], [0.1, -0.4, 2]])
    found = model.forward([[1000.0], [-1000.0], [0.0]], v)
    ulps = 2e-13  # one unit in the last place of 1000
    np.testing.assert_allclose(found["p"].sum(1), 1, atol=ulps)
    np.testing.assert_allclose(found["p"][:2], [[1, 0, 0], [1 / 3] * 3], atol=ulps)
    np.testing.assert_allclose(found["p"], found["q"], atol=ulps)
    np.testing.assert_array_equal(found["softplus_at"][:2], [[1000], [0]])
    numeric = differences(lambda u: model.forward([[0.0]], u[None])["p"][0], v[2])
    np.testing.assert_allclose(found["row"][2], numeric, atol=1e-9)
    assert all(np.isfinite(value).all() for n, value in found.items() if n != "printed")


@experiment("S26", "002.8.6", where="`params` of a net with three `tanh` units")
def test_s26_forty_eight_nets_compute_the_same() -> None:
    """M = 3 hidden tanh units: 2³ · 3! = 48 permuted and sign-flipped nets agree to 1e-15."""
    model = compiled(LAYOUTS.replace("dense(4", "dense(3"))
    draw = np.random.default_rng(3)
    x = draw.normal(size=(10, 3))
    model.params.flat = draw.normal(size=model.params.flat.size)
    first, start = model.forward(x), {name: v.copy() for name, v in model.params.items()}
    seen = set()
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        places, signed = list(order), np.array(signs)
        model.params["h.dense.W"] = (start["h.dense.W"] * signed)[:, places]
        model.params["h.dense.b"] = (start["h.dense.b"] * signed)[places]
        model.params["p.dense.W"] = (start["p.dense.W"] * signed[:, None])[places]
        np.testing.assert_allclose(model.forward(x), first, atol=1e-14)
        seen.add(model.params.flat.tobytes())
    assert len(seen) == 2**3 * factorial(3) == 48
    model.params["h.dense.W"] = -start["h.dense.W"]
    model.params["h.dense.b"] = start["h.dense.b"]
    assert np.abs(model.forward(x) - first).max() > 0.1


SINE = """
net Sine {
  input x: [1]
  target y: [1]
  param on: [64] = 0
  p = on * (x |> dense(64, act=tanh, init=normal(0, 2))) |> dense(1, init=zeros)
  loss squared_error(p, y)
}
train {
  optimizer = adam(lr=0.03 * inverse_time(0.002, t=step))
  freeze("on")
  batch = 65
  monitor = "training.loss"
  restore_best = true
}
"""


@experiment("S27", "002.8.7", where="one hidden layer of `tanh` units")
def test_s27_one_hidden_layer_approximates_a_sine_better_the_wider_it_is() -> None:
    """sin 2x on [-π, π]: the squared error falls from 1 unit to 4, 16 and 64, to below 1e-4."""
    x = np.linspace(-np.pi, np.pi, 65)[:, None]
    model = compiled(SINE)
    errors = []
    for width in (1, 4, 16, 64):
        model.params["on"] = np.arange(64) < width
        model.fit(x, np.sin(2 * x), epochs=1500, progress=False)
        errors.append(model.evaluate(x, np.sin(2 * x))["loss"])
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.3
    assert errors[-1] < 1e-4


PARITY = """
## A net for two bits, learned on two bits and used seven times; and shallow nets beside it.
net Parity {
  input bits: [8]
  target odd: [1]
  layer pair = dense(2, act=swish) |> dense(1)
  layer both = pair |> heaviside
  two = pair(bits[0:2])
  a = concat(concat(both(bits[0:2]), both(bits[2:4])), concat(both(bits[4:6]), both(bits[6:8])))
  b = concat(both(a[0:2]), both(a[2:4]))
  deep = pair(b)
  shallow = bits |> dense(6, act=tanh) |> dense(1)
  flat = bits[0:2] |> dense(1)
  is_odd = abs(bits[0] - bits[1])
  loss binary_cross_entropy_with_logits(two, is_odd)
  loss binary_cross_entropy_with_logits(flat, is_odd)
  loss binary_cross_entropy_with_logits(shallow, odd)
  metric two_wrong = mean((two > 0) != is_odd)
  metric flat_wrong = mean((flat > 0) != is_odd)
  metric deep_wrong = mean((deep > 0) != odd)
  metric shallow_wrong = mean((shallow > 0) != odd)
  assert count(params("pair*")) == 9 and count(params("shallow*")) >= 7 * 8
}
train { optimizer = adam(lr=0.03); batch = 256; epochs = 400; seed = 1 }
"""


@experiment("S27", "003.5.2", where="`examples/xor.net`; a `layer` instance used seven times")
def test_s27_xor_needs_a_hidden_layer_and_parity_is_a_tree_of_xors() -> None:
    """XOR: no hidden layer errs on ≥ 25 %, one on none; 8 bits: a tree is exact, shallow is not."""
    bits = np.array(list(product((0, 1), repeat=8)), float)
    odd = bits.sum(1, keepdims=True) % 2
    model = compiled(PARITY)
    model.fit(bits, odd, progress=False)
    found = model.evaluate(bits, odd)
    assert found["flat_wrong"] >= 0.25
    assert found["two_wrong"] == 0
    assert found["deep_wrong"] == 0
    assert found["shallow_wrong"] > 0.1
