"""Back-propagation in matrix form: canonical links, costs, and how deltas fade or explode."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

import netc
from netc.compiler.describe import describe
from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

DEEP = """
net Deep {
  input  x: [5]
  target y: class[3]
  param W1: [5, 4] = normal(0, 0.7)
  param W2: [4, 6] = normal(0, 0.7)
  param W3: [6, 3] = normal(0, 0.7)
  param b1: [4] = normal(0, 1)
  param b2: [6] = normal(0, 1)
  param b3: [3] = normal(0, 1)
  s1 = x @ W1 + b1
  a1 = tanh(s1)
  s2 = a1 @ W2 + b2
  a2 = tanh(s2)
  s3 = a2 @ W3 + b3
  error = cross_entropy(s3, y)
  output p = softmax(s3)
  output nested = softmax(tanh(tanh(x @ W1 + b1) @ W2 + b2) @ W3 + b3)
  output a1
  output a2
  output J2 = jacobian(s2, s1)
  output J3 = jacobian(s3, s2)
  output first = jacobian(s1, W1)
  output delta1 = grad(error, s1)
  output delta2 = grad(error, s2)
  output delta3 = grad(error, s3)
  loss error
}
"""


@cache
def deep():
    random = np.random.default_rng(1)
    return compiled(DEEP), random.normal(size=(7, 5)), random.integers(0, 3, 7)


@experiment("000.4.7a", where="`dense` layers in a chain, or the formula in one expression")
def test_000_4_7a_layers_are_one_nested_expression():
    """Three layers of 4, 6 and 3 units equal ŷ = σ(W₃ f(W₂ f(W₁x + b₁) + b₂) + b₃) bit by bit, and
    so does a chain of `dense` with these weights; ŷ has K = 3 elements."""
    model, x, _ = deep()
    found = model.forward(x)
    assert found["p"].shape == (7, 3)
    np.testing.assert_array_equal(found["p"], found["nested"])
    chain = compiled("""
    net Chain {
      input x: [5]
      output p = x |> dense(4, act=tanh) |> dense(6, act=tanh) |> dense(3) |> softmax
    }""")
    for ours, theirs in (("", ""), ("_2", "2"), ("_3", "3")):
        number = theirs or "1"
        chain.params[f"p.dense{ours}.W"] = model.params[f"W{number}"]
        chain.params[f"p.dense{ours}.b"] = model.params[f"b{number}"]
    np.testing.assert_allclose(chain.forward(x), found["p"], rtol=1e-13)


@experiment("000.4.7b", where="`jacobian(s2, s1)`, `grad(error, s2)`, `backward`")
def test_000_4_7b_deltas_of_layers_are_products_of_matrices():
    """δ³ = (ŷ - y)ᵀ, δˡ⁻¹ = δˡ Jˡ with Jˡ = Wˡ diag(f'(sˡ⁻¹)), and ∂L/∂Wˡ = (δˡ)ᵀ(aˡ⁻¹)ᵀ of shape
    I×J, for layers of 5, 4, 6, 3; the gradients equal differences to 1e-6. ∂s¹/∂w¹ᵢⱼ = eᵢ xⱼ. The
    printed δaᵀ of two rows is no product: netc refuses it."""
    model, x, y = deep()
    found, deltas = model.forward(x), model.evaluate(x, y)
    W = {layer: np.array(model.params[f"W{layer}"]).T for layer in (1, 2, 3)}  # the text's, I×J
    np.testing.assert_allclose(deltas["delta3"], found["p"] - np.eye(3)[y], rtol=1e-11, atol=1e-14)
    total = {layer: np.zeros_like(W[layer]) for layer in W}
    for n in range(7):
        a = {0: x[n], 1: found["a1"][n], 2: found["a2"][n]}
        delta = {layer: deltas[f"delta{layer}"][n][None] for layer in W}
        for layer in (3, 2):
            J = W[layer] * (1 - a[layer - 1] ** 2)
            np.testing.assert_allclose(found[f"J{layer}"][n], J, rtol=1e-11, atol=1e-14)
            np.testing.assert_allclose(delta[layer - 1], delta[layer] @ J, rtol=1e-10, atol=1e-14)
        for layer in W:
            total[layer] += delta[layer].T @ a[layer - 1][None] / 7
        for i in range(4):
            expected = np.einsum("j,k->jk", x[n], np.eye(4)[i])
            np.testing.assert_array_equal(found["first"][n, i], expected)
    slopes = gradients(model, x, y)[1]
    for layer in W:
        slope = slopes[f"W{layer}"]
        np.testing.assert_allclose(slope.T, total[layer], rtol=1e-10, atol=1e-14)
        by_differences = objective_differences(model, f"W{layer}", x, y)
        np.testing.assert_allclose(slope, by_differences, rtol=1e-6, atol=1e-9)
    with pytest.raises(netc.CompileError, match=r"cannot multiply \[1, 6\] by \[1, 4\]"):
        compiled("net Rows { input delta: [1, 6]; input a: [4, 1]; output g = delta @ a' }")


CANONICAL = """
net Links {
  input  s: [3]
  target y: [3]
  target k: class[3]
  square = half_squared_error(s, y)
  binary = binary_cross_entropy_with_logits(s, y)
  categorical = cross_entropy(s, k)
  through = binary_cross_entropy(sigmoid(s), y)
  a = sigmoid(s)
  naive = -sum(y * log(a) + (1 - y) * log(1 - a))
  output delta_square = grad(square, s)
  output delta_binary = grad(binary, s)
  output delta_through = grad(through, s)
  output delta_categorical = grad(categorical, s)
  output by_activity = grad(naive, a)
  output slope = a * (1 - a)
  loss square + binary + categorical
}
"""


@experiment("000.4.6e", where="`half_squared_error`, `…_with_logits`, `cross_entropy`")
def test_000_4_6e_canonical_links_leave_the_plain_difference():
    """Linear with squares, sigmoid with binary and softmax with categorical cross-entropy have the
    delta a - y to 1e-15, without a division by a(1 - a): also at s = ±800, where the product of
    the two factors ∂L/∂a and f'(s) is NaN."""
    model = compiled(CANONICAL)
    s = np.array([[0.3, -1.2, 2.0], [800, -800, 800], [-800, -800, 800]])
    y = np.array([[1.0, 0, 0.4], [1, 0, 0], [0, 1, 1]])
    found = model.evaluate(s, y, [0, 1, 2])
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-s))
    softmax = np.exp(s - s.max(1, keepdims=True))
    softmax /= softmax.sum(1, keepdims=True)
    np.testing.assert_allclose(found["delta_square"], s - y, rtol=1e-15)
    np.testing.assert_allclose(found["delta_binary"], sigmoid - y, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(found["delta_categorical"], softmax - np.eye(3), atol=1e-15)
    np.testing.assert_allclose(found["delta_through"][0], (sigmoid - y)[0], rtol=1e-13)
    with np.errstate(invalid="ignore"):
        product = found["by_activity"] * model.forward(s)
    np.testing.assert_allclose(product[0], (sigmoid - y)[0], rtol=1e-12)
    assert np.isnan(product[1:]).any()


GROWING = """
const width = 8
net Growing {
  input x: [4]
  target y: [2]
  s = x |> dense(width, act=sigmoid, bias=false) |> dense(width, act=sigmoid, bias=false)
  p = s |> dense(2, bias=false)
  output p
  loss half_squared_error(p, y)
}
train { optimizer = sgd() }
"""


@experiment("000.4.6f", where="`netc ir --stage simplified`, `netc profile`")
def test_000_4_6f_backward_costs_two_products_for_each_weight():
    """For nets of 112, 352 and 1216 weights a training step takes 3 W - W₁ multiply-adds a sample,
    W forward and 2 W - W₁ backward, where W₁ are the weights of the first layer: O(W). A logistic
    unit takes one exponential: its slope reuses the activity."""
    for width in (8, 16, 32):
        model = compiled(GROWING, defines={"width": width})
        program = model._program
        weights, first = model.params.flat.size, 4 * width
        assert weights == 6 * width + width**2
        counted = {
            name: sum(
                kernel.operations // 2
                for kernel in describe(
                    program.stages(name), name, program.model, program.manifest, 1
                )
            )
            for name in ("forward", "step")
        }
        assert counted["forward"] == weights
        assert counted["step"] == 3 * weights - first
        lines = model.ir("simplified", "step").splitlines()
        assert sum("= sigmoid " in line for line in lines) == 2
        assert not any(f"= {name} " in line for line in lines for name in ("exp", "expm1", "tanh"))


LAYERS = """
const gain = 1
net Layers {
  input x: [8]
  target y: [8]
  s1 = x |> dense(8, init=orthogonal(gain))
  s2 = sigmoid(s1) |> dense(8, init=orthogonal(gain))
  s3 = sigmoid(s2) |> dense(8, init=orthogonal(gain))
  s4 = sigmoid(s3) |> dense(8, init=orthogonal(gain))
  a  = sigmoid(s4)
  error = half_squared_error(a, y)
  output d1 = grad(error, s1)
  output d2 = grad(error, s2)
  output d3 = grad(error, s3)
  output d4 = grad(error, s4)
  loss error
}
"""


@experiment("000.4.7c", where="`orthogonal(gain)`, `grad(error, s)` of each layer")
def test_000_4_7c_deltas_vanish_or_explode():
    """In a sigmoid net with orthogonal weights no layer passes on more than 0.25 of a delta's
    length, so three at most 0.25³; exactly 0.25 at s = 0, where weights four times as large keep
    it and eight times as large double it: |f'| ≤ 0.25, not < 0.25."""
    x, y = np.random.default_rng(1).normal(size=(50, 8)), np.zeros((50, 8))
    model = compiled(LAYERS)
    found = model.evaluate(x, y)
    lengths = [np.linalg.norm(found[f"d{layer}"], axis=1) for layer in (1, 2, 3, 4)]
    for below, above in itertools.pairwise(lengths):
        assert np.all(below <= 0.25 * above)
    assert np.all(lengths[0] <= 0.25**3 * lengths[3])
    weights = {name: np.array(v) for name, v in model.params.items() if name.endswith("W")}
    for gain, ratio in ((1, 0.25), (4, 1.0), (8, 2.0)):
        for name, value in weights.items():
            model.params[name] = gain * value
            model.params[name.replace("W", "b")] = -0.5 * gain * value.sum(axis=0)
        model.params["s1.dense.b"] = np.zeros(8)
        found = model.evaluate(np.zeros((1, 8)), np.full((1, 8), 0.4))
        lengths = [np.linalg.norm(found[f"d{layer}"]) for layer in (1, 2, 3, 4)]
        np.testing.assert_allclose(np.divide(lengths[:-1], lengths[1:]), ratio, rtol=1e-12)
