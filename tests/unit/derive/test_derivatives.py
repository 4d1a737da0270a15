"""Gradients, Jacobians and Hessians as graph, against differences of the interpreter's values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from netc.compiler.derive.derivatives import gradient, hessian, hessian_product, jacobian
from netc.compiler.derive.obstacles import obstacle
from netc.compiler.ir.graph import Node, make, toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import add, div, exp, mul, sub
from netc.compiler.ops.movement import reshape
from netc.compiler.ops.reduce import batch_mean, broadcast, reduce, reduce_sum
from netc.compiler.ops.source import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.ir.op import Array

BATCH, STEP = 4, 1e-4
X = source("input", "x", (3,), True, "f64")
W = source("parameter", "w", (3, 2), False, "f64")
V = source("parameter", "v", (2,), False, "f64")


def environment() -> Environment:
    rng = np.random.default_rng(1)
    values = {
        ("input", "x"): rng.normal(size=(BATCH, 3)),
        ("parameter", "w"): rng.normal(size=(3, 2)),
        ("parameter", "v"): rng.normal(size=2),
    }
    return Environment(values, BATCH)


def at(root: Node, env: Environment | None = None) -> Array:
    return evaluate([root], env or environment())[0]


def slope(f: Callable[[Environment], Array], name: tuple[str, str], index: tuple[int, ...]):
    """The central difference of a value along one element, of fourth order."""
    ends = []
    for shift in (2, 1, -1, -2):
        env = environment()
        env.values[name][index] += shift * STEP
        ends.append(f(env))
    return (8 * (ends[1] - ends[2]) - (ends[0] - ends[3])) / (12 * STEP)


def layer(x: Node, w: Node) -> Node:
    return make(e.Tanh(), make(Contract("i,ij->j"), x, w))


def whitened(x: Node) -> Node:
    """Each sample minus the mean of all, over the spread of all: samples interact."""
    centred = sub(x, batch_mean(x))
    return div(centred, make(e.Sqrt(), add(batch_mean(mul(centred, centred)), 0.1)))


def differences(y: Node, v: Node) -> Array:
    """[B, y axes…, v axes…]: of each sample's y by what all share, or of the sum by each sample."""
    name, lead = (v.op.space, v.op.name), int(y.type.batched or v.type.batched)

    def total(env: Environment) -> Array:
        value = at(y, env)
        return value.sum(0) if y.type.batched and v.type.batched else value

    columns = []
    for index in np.ndindex(v.type.shape):
        if v.type.batched:
            columns.append(np.stack([slope(total, name, (b, *index)) for b in range(BATCH)]))
        else:
            columns.append(slope(total, name, index))
    found = np.stack(columns, -1)
    return found.reshape(found.shape[: lead + y.type.rank] + v.type.shape)


H = layer(X, W)
NORMED = whitened(H)
WIDE = make(e.Sin(), mul(broadcast(mul(H, V), (5, 2), (1,)), broadcast(H, (5, 2), (1,))))
CASES = {
    "samples": (H, X),
    "shared: each sample by the one parameter": (H, W),
    "interacting samples": (NORMED, X),
    "shared, interacting": (NORMED, W),
    "a batch statistic by samples": (batch_mean(H), X),
    "a batch statistic by a parameter": (batch_mean(mul(H, H)), W),
    "no samples": (mul(make(Contract("ij,j->i"), W, V), 2), W),
    "more values than variables": (WIDE, V),
    "more values than variables, of samples": (WIDE, X),
    "more values than variables, no samples": (exp(mul(W, broadcast(V, (3, 2), (1,)))), V),
    "one value": (reduce_sum(mul(H, H), (0,)), X),
    "one value by a parameter": (reduce_sum(mul(H, H), (0,)), W),
}


@pytest.mark.parametrize("name", CASES)
def test_jacobian(name: str):
    y, v = CASES[name]
    (found,) = jacobian(y, [v])
    assert found.type.shape == y.type.shape + v.type.shape
    assert found.type.batched == (y.type.batched or v.type.batched)
    np.testing.assert_allclose(at(found), differences(y, v), rtol=1e-8, atol=1e-9)


def test_jacobian_by_several_parameters():
    y = mul(H, V)
    for found, v in zip(jacobian(y, [W, V]), (W, V), strict=True):
        np.testing.assert_allclose(at(found), differences(y, v), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n", [2, 40, 400])
def test_the_graph_of_a_jacobian_does_not_grow_with_it(n: int):
    x = source("input", "x", (n,), True, "f32")
    w, u = (source("parameter", name, (n, n), False, "f32") for name in "wu")
    rows = jacobian(make(Contract("i,ij->j"), layer(x, w), u), [x])
    wide = reshape(broadcast(layer(x, w), (n, n), (1,)), (n * n,))
    columns = jacobian(mul(wide, wide), [x])
    assert len(toposort(rows)) <= 20
    assert len(toposort(columns)) <= 40


def test_gradient_of_samples_and_of_the_mean():
    e_each = reduce_sum(mul(H, H), (0,))
    (by_sample,) = gradient(e_each, [X])
    by_w, by_v = gradient(e_each, [W, V])
    np.testing.assert_allclose(at(by_sample), differences(e_each, X), rtol=1e-8)
    mean = differences(batch_mean(e_each), W)
    np.testing.assert_allclose(at(by_w), mean, rtol=1e-8)
    assert not by_w.type.batched
    assert at(by_v).tolist() == [0, 0]


def test_values_on_the_way_are_variables_too():
    """The chain rule: by x = by h times h by x. What leads past h does not count."""
    y = mul(exp(H), make(Contract("i,ij->j"), X, W))
    (by_h,), (h_by_x,) = jacobian(exp(H), [H]), jacobian(H, [X])
    whole = np.einsum("bij,bjk->bik", at(by_h), at(h_by_x))
    np.testing.assert_allclose(whole, differences(exp(H), X), rtol=1e-7)
    (partial,) = gradient(reduce_sum(y, (0,)), [H])
    np.testing.assert_allclose(at(partial), at(y), rtol=1e-12)


@pytest.mark.parametrize("v", [X, W], ids=["samples", "parameter"])
def test_hessian_and_its_product(v: Node):
    total = reduce_sum(mul(make(e.Sin(), H), H), (0,))
    found = hessian(total, [v])
    assert found.type.shape == v.type.shape * 2
    (first,) = gradient(total, [v])
    second = differences(first, v)
    np.testing.assert_allclose(at(found), second, rtol=1e-7, atol=1e-8)
    direction = source("input", "u", v.type.shape, v.type.batched, "f64")
    (product,) = hessian_product(total, [v], direction)
    env = environment()
    u = np.random.default_rng(2).normal(size=(BATCH,) * v.type.batched + v.type.shape)
    env.values["input", "u"] = u
    axes = tuple(range(-v.type.rank, 0))
    lined = u[:, None] if v.type.batched else u
    np.testing.assert_allclose(at(product, env), (second * lined).sum(axes), rtol=1e-7, atol=1e-8)
    assert product.type == v.type


def test_hessian_of_several_parameters_is_that_of_one_vector():
    y = mul(H, V)
    total = reduce_sum(mul(y, y), (0,))
    found = at(hessian(total, [W, V]))
    assert found.shape == (8, 8)
    np.testing.assert_allclose(found, found.T, rtol=1e-12)
    np.testing.assert_allclose(found[6:, 6:], at(hessian(total, [V])), rtol=1e-12)
    np.testing.assert_allclose(found[:6, :6], at(hessian(total, [W])).reshape(6, 6), rtol=1e-12)


def test_the_direction_of_a_product_is_constant():
    """The Hessian of x^3 is 6x; times the gradient 3x^2, whose own derivative must not enter."""
    total = reduce_sum(mul(mul(X, X), X), (0,))
    (first,) = gradient(total, [X])
    (product,) = hessian_product(total, [X], first)
    x = environment().values["input", "x"]
    np.testing.assert_allclose(at(product), 18 * x**3, rtol=1e-12)


def test_textbook_softmax_is_stable_in_every_derivative():
    sum_of = broadcast(reduce_sum(exp(X), (0,)), (3,), ())
    softmax = div(exp(X), sum_of)
    env = environment()
    env.values["input", "x"] = np.array([[2000.0, 0, -2000], [2000, 2000, 0]] * 2)
    found = at(jacobian(softmax, [X])[0], env)
    expected = np.zeros((2, 3, 3))
    expected[1, :2, :2] = [[0.25, -0.25], [-0.25, 0.25]]
    np.testing.assert_allclose(found, np.tile(expected, (2, 1, 1)), atol=1e-15)
    square = reduce_sum(mul(softmax, softmax), (0,))
    assert np.isfinite(at(hessian(square, [X]), env)).all()


STEPS = [e.Sign, e.Floor, e.Ceil, e.Round, e.Isnan, e.Not]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_an_obstacle(step: type[e.Unary]):
    blocked = make(step(), H)
    found = obstacle(reduce_sum(mul(blocked, 2), (0,)), [W])
    assert found is not None
    assert found.node is blocked
    assert found.way[0] is W
    assert found.way[-1].op == reduce_sum(H, (0,)).op
    assert H in found.way


def test_comparisons_and_indices_of_the_largest_are_obstacles():
    for blocked in (e.gt(H, 0), reduce("argmax", H, (0,)), e.eq(H, V)):
        found = obstacle(mul(blocked, 3), [X])
        assert found is not None
        assert found.node is blocked


def test_what_is_no_obstacle():
    open_beside = add(make(e.Sign(), H), H)
    assert obstacle(open_beside, [X]) is None
    assert obstacle(make(e.Sign(), H), [V]) is None  # it does not depend on V at all
    assert obstacle(make(e.StopGradient(), H), [X]) is None  # stopped on purpose
    chosen = e.where(e.gt(H, 0), H, 0)
    assert obstacle(chosen, [X]) is None
