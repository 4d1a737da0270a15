"""Derivatives in the language, compiled: values and training against NumPy and differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import netc
from tests.end_to_end.language import Array, Arrays, Case, check, cross_entropy, softmax, total

BATCHES = (1, 5, 18)


def normal(*shapes: tuple[str, tuple[int, ...]]) -> Callable[[np.random.Generator, int], Arrays]:
    return lambda random, n: {name: random.normal(0, 1, (n, *shape)) for name, shape in shapes}


X4 = normal(("x", (4,)))


def labelled(random: np.random.Generator, n: int) -> Arrays:
    return {"x": random.normal(0, 1, (n, 4)), "t": random.integers(0, 3, n).astype(float)}


PENALTY = """
input x: [4]
target t: class[3]
param W: [4, 3] = normal(0, 0.5)
z = tanh(x @ W)
p = softmax(z)
slope = grad(sum(p^2), x)
output slope
loss cross_entropy(z, t)
penalty 0.7 * batch_mean(sum(slope^2))
"""


def squares_slope(w: Array, x: Array) -> Array:
    z = np.tanh(x @ w)
    p = softmax(z)
    by_z = 2 * p * (p - total(p**2)[:, None])
    return (by_z * (1 - z**2)) @ w.T


def penalty(parameters: Arrays, x: Array, t: Array) -> dict[str, Array | float]:
    w = parameters["W"]
    slope = squares_slope(w, x)
    return {
        "slope": slope,
        "loss": cross_entropy(np.tanh(x @ w), t),
        "penalty": 0.7 * float(np.mean(total(slope**2))),
    }


NESTED = """
input x: [4]
param W: [4, 3] = normal(0, 0.5)
param a: [] = 0.7
h = tanh(x @ W)
s = sum(a * stop_gradient(h) * h^2)
output by_x = grad(s, x)
output twice = grad(sum(grad(s, h)^2), h)
output mixed = jacobian(grad(s, h), W)[.., 0]
loss sum(grad(s, h) * stop_gradient(grad(s, x)[:3]))
loss hvp(s, h, [1, 2, 3])[1] * a
"""


def nested(parameters: Arrays, x: Array) -> dict[str, Array | float]:
    """`stop_gradient` is a constant for grad, and its value is that of h for what follows."""
    w, a = parameters["W"], parameters["a"]
    h = np.tanh(x @ w)
    by_h = 2 * a * h**2  # of a c h^2, with c = h held: 2 a c h
    by_x = (by_h * (1 - h**2)) @ w.T
    # by_h = 2 a c h with c held, so its own derivative is 2 a c = 2 a h
    twice = 2 * by_h * (2 * a * h)
    slope = 2 * a * h * (1 - h**2)
    mixed = np.einsum("bj,bi,jk->bjik", slope, x, np.eye(3))[..., 0]
    return {
        "by_x": by_x,
        "twice": twice,
        "mixed": mixed,
        "loss": total(by_h * by_x[:, :3]) + 2 * (2 * a * h)[:, 1] * a,
    }


STATISTICS = """
input x: [4]
param W: [4, 2] = normal(0, 0.5)
h = x @ W
m = batch_mean(h)
y = (h - m)^3
output centred = grad(sum(y), x)
output j = jacobian(y, W)
penalty sum(m^2)
loss sum(y)
"""


def statistics(parameters: Arrays, x: Array) -> dict[str, Array | float]:
    """Each sample's x moves the mean of all; each sample's y has its own Jacobian by W."""
    w = parameters["W"]
    h = x @ w
    m = h.mean(0)
    by_h = 3 * (h - m) ** 2
    centred = x - x.mean(0)
    return {
        "centred": (by_h - by_h.mean(0)) @ w.T,
        "j": np.einsum("bj,bi,jk->bjik", by_h, centred, np.eye(2)),
        "loss": total((h - m) ** 3),
        "penalty": float(np.sum(m**2)),
    }


SAFE = """
input x: [4]
param a: [] = 0.3
y = where(x > 0, sqrt(a + log(1 + x)), a * x)
output slope = grad(sum(y), x)
output curve = hessian(sum(y), x)
loss sum(grad(sum(y), x)^2)
"""


def safe(parameters: Arrays, x: Array) -> dict[str, Array | float]:
    """log(1 + x) is NaN for x < -1, where it is not taken."""
    a, up = parameters["a"], np.where(x > 0, x, 1)
    root = np.sqrt(a + np.log1p(up))
    slope = np.where(x > 0, 1 / (2 * root * (1 + up)), a)
    second = -(2 * root + 1 / root) / (2 * root * (1 + up)) ** 2
    curve = np.where(x > 0, second, 0)[:, :, None] * np.eye(4)
    return {"slope": slope, "curve": curve, "loss": total(slope**2)}


DEFINED = """
fn saliency(y, v) = abs(grad(sum(y), v))
fn sharpness(e, v) {
  g = grad(e, v)
  return sum(g^2)
}
layer sobolev(x: [n], units) {
  param W: [n, units] = normal(0, 0.5)
  y = sin(x @ W)
  return concat(y, reshape(jacobian(y, x), [n * units]))
}
net Defined {
  input x: [4]
  y = x |> sobolev(2)
  map = y |> saliency(x)
  output map
  loss sharpness(sum(y), x)
}
"""


def defined(parameters: Arrays, x: Array) -> dict[str, Array | float]:
    w = parameters["y.sobolev.W"]
    z = x @ w
    by_z = np.cos(z) - np.sin(z) * w.sum(0)
    slope = by_z @ w.T
    return {"map": np.abs(slope), "loss": total(slope**2)}


CASES = (
    Case("penalty", PENALTY, labelled, penalty, BATCHES),
    Case("statistics", STATISTICS, X4, statistics, BATCHES),
    Case("safe", SAFE, lambda r, n: {"x": r.uniform(-3, 2, (n, 4))}, safe, BATCHES),
    Case("defined", DEFINED, X4, defined, BATCHES),
    Case("nested", NESTED, X4, nested, BATCHES, differentiable=False),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_training(case: Case) -> None:
    check(case)


def compiled(body: str, **options: object) -> netc.Model:
    text = body if "net " in body else f"net N {{\n{body}\n}}"
    return netc.compile(source=text, precision="f64", seed=1, **options)


def numbers(n: int, *shape: int) -> Array:
    return np.random.default_rng(n).normal(0, 1, (n, *shape))


def test_stopped_gradients_train_nothing() -> None:
    """Of a value, a parameter and a group, also where a derivative is the loss."""
    net = compiled("""
      input x: [3]
      param a: [3] = 1
      param b: [3] = 1
      param c: [3] = 1
      y = sum(a * stop_gradient(b) * x^2)
      loss y + sum(grad(y, x)) + stop_gradient(sum(b^2))
      penalty sum(stop_gradient(params)^2) + sum(c)
    """)
    x = numbers(5, 3)
    net.forward(x=x, training=True)
    net.backward()
    np.testing.assert_allclose(net.grads["a"], (x**2 + 2 * x).mean(0))
    assert net.grads["b"].tolist() == [0, 0, 0]
    assert net.grads["c"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("samples", BATCHES)
def test_draws_are_those_of_the_forward_pass(samples: int) -> None:
    net = compiled("""
      input x: [40]
      y = (x |> dropout(0.5))^2
      output y
      output slope = grad(sum(y), x)
      loss sum(y)
    """)
    x = numbers(samples, 40)
    found = net.forward(x=x, training=True)
    assert isinstance(found, dict)
    np.testing.assert_allclose(found["slope"], 2 * found["y"] / x)
    assert 0 < (found["slope"] == 0).sum() < x.size
    found = net.forward(x=x)
    np.testing.assert_allclose(found["slope"], 2 * x)


@pytest.mark.parametrize("samples", BATCHES)
def test_the_objective_is_a_value(samples: int) -> None:
    """Wherever it stands in the text: what uses it waits, and outputs stay in order."""
    net = compiled("""
      input x: [3]
      target t: [2]
      y = x |> dense(2)
      whole = grad(objective, params)
      norm = sum(whole^2)
      output first = y
      output steep = norm
      output last = 2 * y
      loss squared_error(y, t)
      metric size = sqrt(norm)
      metric reached = objective
      penalty 0.1 * l2(weights)
    """)
    x, t = numbers(samples, 3), numbers(samples, 2)
    assert net.output_names == ("first", "last")
    net.forward(x=x, training=True)
    objective = net.backward(t=t)
    squares = sum(float((g**2).sum()) for g in net.grads.values())
    found = net.evaluate(x=x, t=t)
    assert found["reached"] == pytest.approx(objective, rel=1e-12)
    assert found["size"] == pytest.approx(squares**0.5, rel=1e-12)
    np.testing.assert_allclose(found["steep"], [squares] * samples, rtol=1e-12)


def test_params_are_all_in_order_frozen_ones_too() -> None:
    net = compiled("""net N {
      input x: [2]
      h = x |> dense(3)
      param unused: [2] = 1
      y = h |> dense(1)
      output every = grad(sum(y), params)
      output some = grad(sum(y), params("y.*"))
      output curve = hessian(sum(y)^2, params("y.*"))
      loss sum(y)
    }
    train { optimizer = sgd(); freeze("h.*") }""")
    x = numbers(4, 2)
    found = net.forward(x=x)
    assert isinstance(found, dict)
    assert list(net.params) == ["h.dense.W", "h.dense.b", "unused", "y.dense.W", "y.dense.b"]
    h = x @ net.params["h.dense.W"] + net.params["h.dense.b"]
    by_y = np.append(h.mean(0), 1)
    w = net.params["y.dense.W"]
    by_h = np.concatenate([np.outer(x.mean(0), w).ravel(), w.ravel()])
    np.testing.assert_allclose(found["every"], [[*by_h, 0, 0, *by_y]] * 4, rtol=1e-12)
    np.testing.assert_allclose(found["some"], [by_y] * 4, rtol=1e-12)
    rows = np.column_stack([h, np.ones(4)])
    np.testing.assert_allclose(found["curve"], [2 * rows.T @ rows / 4] * 4, rtol=1e-12)


RULES = """
fn sign_ste(x) = sign(x) gradient(g) = g * (abs(x) <= 1)
fn scaled(x, k, act: fn) {
  y = act(k * x)
  return y
} gradient(g) = 2 * g * y, 3 * sum(g)
fn clamped(w) = sum(min(abs(w), 1)) gradient(g) = g * w
"""


def test_rules_of_ones_own() -> None:
    net = compiled(
        RULES
        + """net N {
      input x: [3]
      param k: [] = 0.5
      param w: [2, 2] = 2
      output hard = sign_ste(x)
      output soft = grad(sum(sign_ste(x)), x)
      output rows = jacobian(scaled(x, k, tanh), x)
      output again = hessian(sum(scaled(x, k, tanh)), x)
      loss sum(scaled(sign_ste(x), k, tanh))
      penalty clamped(params)
    }"""
    )
    x = 2 * numbers(6, 3)
    found = net.forward(x=x)
    assert isinstance(found, dict)
    np.testing.assert_array_equal(found["hard"], np.sign(x))
    np.testing.assert_array_equal(found["soft"], np.abs(x) <= 1)
    slope = 2 * np.tanh(0.5 * x)
    np.testing.assert_allclose(found["rows"], slope[:, :, None] * np.eye(3), atol=1e-15)
    curve = 2 * 0.5 * (1 - np.tanh(0.5 * x) ** 2)
    np.testing.assert_allclose(found["again"], curve[:, :, None] * np.eye(3), rtol=1e-12)
    net.forward(x=x, training=True)
    assert net.backward() == pytest.approx(np.tanh(0.5 * np.sign(x)).sum(1).mean() + 4.5)
    assert net.grads["k"] == pytest.approx(9 + 0.5)
    assert net.grads["w"].tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("function", ["infer", "forward", "evaluate", "backward", "step"])
def test_nothing_of_a_rule_is_compiled(function: str) -> None:
    net = compiled(
        RULES
        + """net N {
      input x: [3]
      target t: [2]
      y = x |> dense(2, act=sign_ste)
      output y
      output slope = grad(sum(y), x)
      metric error = sum(abs(y - t))
      loss sum(y^2) + sum(stop_gradient(y) * x[:2])
    }
    train { optimizer = sgd() }"""
    )
    shown = net.ir("simplified", function)
    assert "custom" not in shown
    assert "stop_gradient" not in shown
    assert "placeholder" not in shown
    assert "sign" in shown


def test_in_inference_a_step_may_stand_on_the_way() -> None:
    """A quantised net trains with its smooth twin; its derivative is zero when it is used."""
    net = compiled("""
      input x: [3]
      param w: [3] = 1
      y = if training then w * x else round(w * x)
      output slope = grad(sum(y), x)
      loss sum(y^2)
    """)
    assert net.forward(x=numbers(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    found = net.forward(x=numbers(2, 3), training=True)
    assert np.asarray(found).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_textbook_softmax_in_an_inner_derivative_does_not_overflow() -> None:
    net = compiled("""
      input x: [3]
      p = exp(x) / sum(exp(x))
      output j = jacobian(p, x)
      loss sum(grad(sum(p^2), x)^2)
    """)
    x = np.array([[2000.0, 0, -2000], [3000, 3000, 0]])
    expected = [np.zeros((3, 3)), [[0.25, -0.25, 0], [-0.25, 0.25, 0], [0, 0, 0]]]
    np.testing.assert_allclose(net.forward(x=x), expected, rtol=1e-11)
    net.forward(x=x, training=True)
    assert np.isfinite(net.backward())


def test_outputs_that_wait_for_the_objective_keep_their_place() -> None:
    net = compiled("""
      input x: [3]
      y = x |> dense(2)
      output slope = grad(objective, y.dense.W)
      output y
      penalty l2(weights)
    """)
    assert net.output_names == ("slope", "y")
    found = net.forward(x=numbers(1, 3))
    assert isinstance(found, dict)
    np.testing.assert_allclose(found["slope"], [2 * net.params["y.dense.W"]], rtol=1e-12)
