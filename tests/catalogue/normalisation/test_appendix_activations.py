"""Appendix A: activation functions, their slopes, and what they make of a layer."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
ACTIVATIONS = {
    "identity": (lambda s: s, np.ones_like),
    "sigmoid": (lambda s: 1 / (1 + np.exp(-s)), lambda s: 1 / (2 + np.exp(s) + np.exp(-s))),
    "tanh": (np.tanh, lambda s: 1 - np.tanh(s) ** 2),
    "relu": (lambda s: np.maximum(s, 0), lambda s: 1.0 * (s > 0)),
    "leaky_relu": (lambda s: np.where(s > 0, s, 0.01 * s), lambda s: np.where(s > 0, 1, 0.01)),
    "elu": (lambda s: np.where(s > 0, s, np.expm1(s)), lambda s: np.where(s > 0, 1, np.exp(s))),
    "selu": (
        lambda s: LAMBDA * np.where(s > 0, s, ALPHA * np.expm1(s)),
        lambda s: LAMBDA * np.where(s > 0, 1, ALPHA * np.exp(s)),
    ),
}
"""Formulas (A.1) to (A.14) and their slopes away from kinks."""

CHAIN = (
    "net Chain {\n  input s: [4]\n  param W: [4, 3]\n  param b: [3] = 0.5\n"
    + "".join(
        f"  {name}_a = {name}(s)\n  output {name}_s = {name}_a @ W + b\n"
        f"  output {name}_J = jacobian({name}_s, s)\n"
        for name in ACTIVATIONS
    )
    + "}\n"
)


@experiment(
    "X1",
    "000.A.2.1 000.A.1.1 000.A.1.2 000.A.1.3 000.A.1.4 000.B.0",
    where="`jacobian(y, x)`; the activations of the prelude",
)
def test_x1_the_jacobian_of_a_layer() -> None:
    """For every activation, ds_a / ds_i of s = W f(s') + b is w_ai f'(s_i) to 1e-12 (B.19 to B.23)
    and the finite difference; the layer on a batch is that on each sample."""
    model = compiled(CHAIN)
    draw = np.random.default_rng(0)
    s = draw.normal(size=(5, 4))
    found, w = model.forward(s), model.params["W"]
    for name, (f, slope) in ACTIVATIONS.items():
        assert np.allclose(found[f"{name}_s"], f(s) @ w + 0.5, rtol=1e-12), name
        expected = w.T * slope(s)[:, None, :]
        assert np.allclose(found[f"{name}_J"], expected, rtol=1e-12, atol=1e-15), name
        alone = np.concatenate([model.forward(row[None])[f"{name}_s"] for row in s])
        assert np.allclose(alone, found[f"{name}_s"], rtol=1e-14), name
    numeric = differences(
        lambda row: np.concatenate(
            [model.forward(row[None])[f"{name}_s"][0] for name in ACTIVATIONS]
        ),
        s[0],
    )
    exact = np.concatenate([found[f"{name}_J"][0] for name in ACTIVATIONS])
    assert np.allclose(numeric, exact, rtol=1e-6, atol=1e-8)


SIGMOIDS = """
net Sigmoids {
  input x: []
  output logistic = sigmoid(x)
  output hyperbolic = tanh(x)
  output half = 0.5 * (tanh(x / 2) + 1)
  output d_logistic = grad(sigmoid(x), x)
  output d_hyperbolic = grad(tanh(x), x)
}
"""


@cache
def sigmoids() -> netc.Model:
    return compiled(SIGMOIDS)


@experiment("X2", "000.A.1.1", where="`sigmoid`, `tanh`")
def test_x2_logistic_and_tanh() -> None:
    """On [-6, 6] both are (A.1) and (A.2), (tanh(x / 2) + 1) / 2 is the logistic to 1e-14, the
    slopes are f (1 - f) and 1 - f² and finite differences, largest at 0 with 0.25 and 1."""
    model, x = sigmoids(), np.linspace(-6, 6, 241)
    found = model.forward(x)
    f, t = found["logistic"], found["hyperbolic"]
    assert np.allclose(f, 1 / (1 + np.exp(-x)), rtol=1e-14)
    assert np.allclose(t, (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), rtol=1e-13)
    assert np.allclose(found["half"], f, rtol=0, atol=1e-14)
    assert np.allclose(found["d_logistic"], f * (1 - f), rtol=1e-12)
    assert np.allclose(found["d_hyperbolic"], 1 - t**2, rtol=1e-9)
    for name in ("logistic", "hyperbolic"):
        slope = found[f"d_{name}"]
        above, below = model.forward(x + 1e-6)[name], model.forward(x - 1e-6)[name]
        assert np.allclose(slope, (above - below) / 2e-6, atol=1e-9)
        assert x[np.argmax(slope)] == 0
        assert (np.diff(found[name]) > 0).all()
    assert found["d_logistic"].max() == 0.25
    assert found["d_hyperbolic"].max() == 1


@experiment("X6", "000.A.2.2", where="`sigmoid`, `grad`")
def test_x6_the_slope_of_the_logistic_output() -> None:
    """At 0 the slope is 0.25 = e^x / (1 + e^x)²; the other form printed in (A.16),
    e^x / (1 + (e^x)²), would be 0.5 and fails."""
    x = np.array([0.0, 1.5])
    slope = sigmoids().forward(x)["d_logistic"]
    assert slope[0] == 0.25
    assert np.allclose(slope, np.exp(x) / (1 + np.exp(x)) ** 2, rtol=1e-12)
    assert (np.abs(slope - np.exp(x) / (1 + np.exp(x) ** 2)) > 0.03).all()


TWO_LAYERS = """
net TwoLayers {{
  input x: [3]
  h = x |> dense(4, act={act})
  output y = h |> dense(2)
}}
"""


@experiment("X3", "000.A.1.1 000.A.1.1s", where="`dense(…, act=sigmoid)`, `dense(…, act=tanh)`")
def test_x3_a_logistic_net_is_a_tanh_net() -> None:
    """With W1/2, b1/2, W2/2 and b2 + row sums of W2/2, a tanh net is the logistic one to 1e-12;
    turning the signs around a tanh unit and permuting the units change nothing."""
    logistic, tanh = (compiled(TWO_LAYERS.format(act=act)) for act in ("sigmoid", "tanh"))
    draw = np.random.default_rng(1)
    x = draw.normal(size=(6, 3))
    first, bias, second, last = (draw.normal(size=s) for s in ((3, 4), 4, (4, 2), 2))

    def output(model: netc.Model, *values: np.ndarray) -> np.ndarray:
        for name, value in zip(model.params, values, strict=True):
            model.params[name] = value
        return model.forward(x)

    expected = output(logistic, first, bias, second, last)
    halves = (first / 2, bias / 2, second / 2, last + second.sum(axis=0) / 2)
    assert np.allclose(output(tanh, *halves), expected, rtol=0, atol=1e-12)
    plain = output(tanh, first, bias, second, last)
    signs, order = np.array([1, -1, -1, 1]), [2, 0, 3, 1]
    turned = output(tanh, signs * first, signs * bias, signs[:, None] * second, last)
    assert np.allclose(turned, plain, rtol=0, atol=1e-14)
    permuted = output(tanh, first[:, order], bias[order], second[order], last)
    assert np.allclose(permuted, plain, rtol=0, atol=1e-14)
    assert np.abs(plain - expected).max() > 0.1


PIECES = """
fn printed_relu(x) = where(x >= 0, x, 0)
fn printed_leaky(x) = where(x >= 0, x, 0.01 * x)
fn printed_elu(x, scale, alpha) = scale * where(x >= 0, x, alpha * expm1(min(x, 0)))

net Pieces {
  input x: []
  rectified = printed_relu(x)
  leaking = printed_leaky(x)
  bent = printed_elu(x, 1, 1)
  scaled = printed_elu(x, 1.0507009873554805, 1.6732632423543772)
  output printed = [rectified, leaking, bent, scaled]
  output d_printed = [grad(rectified, x), grad(leaking, x), grad(bent, x), grad(scaled, x)]
  r = relu(x)
  l = leaky_relu(x)
  e = elu(x)
  s = selu(x)
  output ours = [r, l, e, s]
  output d_ours = [grad(r, x), grad(l, x), grad(e, x), grad(s, x)]
}
"""


@experiment(
    "X4",
    "000.A.1.2 000.A.1.3 000.A.1.4",
    where="`relu`, `leaky_relu`, `elu`, `selu`; `where(x >= 0, …)` for the slopes of the text",
)
def test_x4_rectifiers_at_and_around_their_kink() -> None:
    """At -1 and 1 values and slopes of ReLU, LReLU, ELU and SELU are (A.6) to (A.11); written with
    x >= 0 their slopes at 0 are 1, 1, 1 and λ as printed, those of the prelude 0, 0.01, 1 and λ α.
    SELU(-40) = -1.758099 and its slope tends to λ α = 1.758099 from the left."""
    model = compiled(PIECES)
    at = model.forward(np.array([-1.0, 0, 1, -40, -1e-12, 0.3, -0.7]))
    e = np.exp(-1)
    values = [[0, -0.01, e - 1, LAMBDA * ALPHA * (e - 1)], [0] * 4, [1, 1, 1, LAMBDA]]
    outer = [[0, 0.01, e, LAMBDA * ALPHA * e], [1, 1, 1, LAMBDA]]
    for form in ("printed", "ours"):
        assert np.allclose(at[form][:3], values, rtol=1e-14)
        assert np.allclose(at[f"d_{form}"][[0, 2]], outer, rtol=1e-14)
        assert at[form][3, 3] == pytest.approx(-1.758099, abs=1e-6)
        assert at[f"d_{form}"][4, 3] == pytest.approx(1.758099, abs=1e-6)
    assert np.allclose(at["d_printed"][1], [1, 1, 1, LAMBDA], rtol=1e-15)
    assert np.allclose(at["d_ours"][1], [0, 0.01, 1, LAMBDA * ALPHA], rtol=1e-15)
    above, below = (model.forward(np.array([0.3, -0.7]) + s)["ours"] for s in (1e-6, -1e-6))
    assert np.allclose(at["d_ours"][5:], (above - below) / 2e-6, atol=1e-9)


PRODUCTS = """
net Products {
  input x: [2]
  target y: [1]
  output s = x |> second_order(1)
  loss squared_error(s, y)
}
"""


@experiment("X5", "000.A.1.5", where="`second_order`")
def test_x5_a_second_order_unit_is_xor() -> None:
    """With weights 1, 1 and -2 for x1, x2 and x1 x2 one unit computes XOR exactly, which no linear
    one does; the gradient of all nine weights is the finite difference."""
    model = compiled(PRODUCTS)
    weights = np.zeros((3, 3))
    weights[0, 1] = weights[0, 2] = 1
    weights[1, 2] = -2
    model.params["s.second_order.W"] = weights.reshape(9, 1)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    assert model.forward(corners)[:, 0].tolist() == [0, 1, 1, 0]
    draw = np.random.default_rng(2)
    x, y = draw.normal(size=(2, 7, 2))
    model.forward(x, training=True)
    model.backward(y[:, :1])
    found = np.array(model.grads["s.second_order.W"])
    expected = objective_differences(model, "s.second_order.W", x, y[:, :1])
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-8)


SOFTMAX = """
net Softmax {
  input s: [4]
  output p = softmax(s)
  output J = jacobian(p, s)
}
"""


@experiment("X7", "000.A.2.3", where="`softmax`, `jacobian`")
def test_x7_softmax_and_its_jacobian() -> None:
    """Rows sum to 1 within 1e-15, the Jacobian is diag(p) - p pᵀ to 1e-14 and the finite
    difference, and logits of 1000 and 1001 give 0.2689 and 0.7311."""
    model = compiled(SOFTMAX)
    s = np.random.default_rng(3).normal(size=(5, 4))
    found = model.forward(s)
    p = found["p"]
    assert np.allclose(p.sum(axis=1), 1, rtol=0, atol=1e-15)
    outer = np.eye(4) * p[:, :, None] - p[:, :, None] * p[:, None, :]
    assert np.allclose(found["J"], outer, rtol=0, atol=1e-14)
    numeric = differences(lambda row: model.forward(row[None])["p"][0], s[0])
    assert np.allclose(found["J"][0], numeric, atol=1e-9)
    large = model.forward([[1000.0, 1001, -1000, -1000]])["p"][0]
    assert large == pytest.approx([0.2689414, 0.7310586, 0, 0], abs=1e-7)
