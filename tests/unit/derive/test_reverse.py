"""Reverse mode: conventions at kinks, zeros in the shadow of `where`, depth, batch sums."""

from __future__ import annotations

import time

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Node, make, toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import absorb, add, div, gt, log, mul, power, where
from netc.compiler.ops.reduce import BatchReduce, Lift, Reduce, broadcast, reduce_sum
from netc.compiler.ops.scalar import apply
from netc.compiler.ops.source import constant, source


def vector(name: str = "x", n: int = 3, *, batched: bool = True) -> Node:
    return source("input", name, (n,), batched, "f64")


def at(root: Node, **values: list) -> np.ndarray:
    arrays = {("input", k): np.array(v, np.float64) for k, v in values.items()}
    batch = max((len(v) for v in arrays.values()), default=1)
    return evaluate([root], Environment(arrays, batch))[0]


@pytest.mark.parametrize(
    ("op", "x", "expected"),
    [
        (e.Abs(), [-2, 0, 3], [-1, 0, 1]),
        (e.Sign(), [-2, 0, 3], [0, 0, 0]),
        (e.Round(), [-2, 0, 3], [0, 0, 0]),
        (e.StopGradient(), [-2, 0, 3], [0, 0, 0]),
    ],
)
def test_unary_kinks(op: e.Unary, x: list, expected: list):
    (g,) = gradients(make(op, vector()), [vector()])
    assert at(g, x=[x]).tolist() == [expected]


@pytest.mark.parametrize("op", [e.Max(), e.Min()])
def test_a_tie_sends_the_cotangent_to_the_second(op: e.Binary):
    a, b = vector("a"), vector("b")
    ga, gb = gradients(make(op, a, b), [a, b])
    assert at(ga, a=[[1, 1, 1]], b=[[1, 1, 1]]).tolist() == [[0, 0, 0]]
    assert at(gb, a=[[1, 1, 1]], b=[[1, 1, 1]]).tolist() == [[1, 1, 1]]


def test_relu_needs_only_its_output():
    z = vector("z")
    y = apply(e.Max(), z, 0)
    (g,) = gradients(y, [z])
    assert at(g, z=[[-1, 0, 2]]).tolist() == [[0, 0, 1]]
    comparisons = [n for n in toposort([g]) if isinstance(n.op, e.Gt)]
    assert [n.args[0] for n in comparisons] == [y]


@pytest.mark.parametrize("kind", ["max", "min"])
def test_the_first_of_equals_gets_the_cotangent(kind: str):
    x = vector()
    (g,) = gradients(make(Reduce(kind, (0,)), x), [x])
    assert at(g, x=[[2, 2, 2], [2, 2, 2]]).tolist() == [[1, 0, 0], [1, 0, 0]]


def test_a_product_with_zeros_has_exact_derivatives():
    x = vector(n=5)
    y = make(Reduce("prod", (0,)), x)
    (g,) = gradients(y, [x])
    assert at(g, x=[[2, 0, 3, 5, 7]]).tolist() == [[0, 210, 0, 0, 0]]
    second = gradients(make(Reduce("sum", (0,)), g), [x])[0]
    assert at(second, x=[[2, 0, 3, 0, 7]]).tolist() == [[0, 42, 0, 42, 0]]


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 1), (2, 0), (3, 0)])
def test_powers_at_base_zero(n: int, expected: float):
    x = vector(n=1)
    (g,) = gradients(power(x, n), [x])
    assert at(g, x=[[0]]).tolist() == [[expected]]
    (h,) = gradients(g, [x])
    assert at(h, x=[[0]]).tolist() == [[2 if n == 2 else 0]]


def test_an_exponent_has_no_derivative_at_base_zero():
    x, n = vector("x", 1), vector("n", 1)
    (g,) = gradients(power(x, n), [n])
    assert at(g, x=[[0]], n=[[2]]).tolist() == [[0]]


BRANCHES = {
    "log": log,
    "reciprocal": lambda x: div(1, x),
    "root": lambda x: make(e.Sqrt(), x),
    "power": lambda x: power(x, 0.5),
    "overflow": lambda x: make(e.Exp(), mul(x, -1000)),
    "chain": lambda x: make(e.Sin(), mul(log(x), div(1, mul(x, x)))),
    "softmax": lambda x: div(x, broadcast(reduce_sum(make(e.Sqrt(), x), (0,)), (3,), ())),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("x", [[-1.0, -2.0, -3.0], [0.0, 0.0, -1.0], [0.0, -5.0, 0.0]])
def test_a_branch_not_taken_contributes_zero_in_all_derivatives(name: str, x: list):
    z = vector()
    y = where(gt(z, 0), BRANCHES[name](z), mul(z, z))
    for order, expected in ((1, [2 * v for v in x]), (2, [2.0] * 3), (3, [0.0] * 3)):
        (y,) = gradients(y, [z])
        assert at(y, x=[x]).tolist() == [expected], order


def test_a_branch_not_taken_may_be_behind_a_reduction():
    z = vector()
    risky = broadcast(reduce_sum(log(z), (0,)), (3,), ())
    y = where(vector("c"), risky, z)
    (g,) = gradients(y, [z])
    assert at(g, x=[[0, 0, 0]], c=[[0, 0, 0]]).tolist() == [[1, 1, 1]]


def test_absorb_keeps_zeros_of_either_side():
    a, b = vector("a"), vector("b")
    y = absorb(a, b)
    assert at(y, a=[[0, 2, 0]], b=[[np.inf, 3, np.nan]]).tolist() == [[0, 6, 0]]


def test_products_outside_a_choice_stay_plain():
    x = vector()
    (g,) = gradients(mul(make(e.Tanh(), x), x), [x])
    assert not any(isinstance(n.op, e.Absorb) for n in toposort([g]))


def test_what_the_objective_does_not_use_has_gradient_zero():
    x, w = vector(), vector("w", 4, batched=False)
    gx, gw = gradients(constant(1, (), "f64"), [x, w])
    assert (gx.type, gw.type) == (x.type, w.type)
    assert at(gx, x=[[1, 2, 3]]).tolist() == [[0, 0, 0]]
    assert at(gw).tolist() == [0, 0, 0, 0]


def test_an_inner_value_can_be_asked_for():
    x = vector()
    y = mul(x, 3)
    gy, gx = gradients(mul(y, y), [y, x])
    assert at(gy, x=[[1, 2, 3]]).tolist() == [[6, 12, 18]]
    assert at(gx, x=[[1, 2, 3]]).tolist() == [[18, 36, 54]]


def test_gradients_of_unbatched_values_sum_over_samples():
    x, b = vector(), vector("b", batched=False)
    (g,) = gradients(mul(add(x, b), x), [b])
    assert not g.type.batched
    assert at(g, x=[[1, 2, 3], [4, 5, 6]]).tolist() == [5, 7, 9]


def test_outer_products_of_samples_become_one_contraction():
    x, b = vector("x"), vector("b", 3)
    w = make(Lift(), source("parameter", "w", (3, 3), False, "f64"))
    y = make(Contract("i,ij->j"), x, w)
    (g,) = gradients(mul(y, b), [w.args[0]])
    assert not any(isinstance(n.op, BatchReduce) for n in toposort([g]))


def test_a_chain_of_5000_nodes_differentiates():
    x = vector()
    y = x
    for _ in range(2500):
        y = make(e.Sin(), mul(y, 0.999))
    start = time.perf_counter()
    (g,) = gradients(y, [x])
    assert time.perf_counter() - start < 2
    product = 1.0
    inner = 0.5
    for _ in range(2500):
        product *= np.cos(0.999 * inner) * 0.999
        inner = np.sin(0.999 * inner)
    np.testing.assert_allclose(at(g, x=[[0.5] * 3])[0], product, rtol=1e-9)
