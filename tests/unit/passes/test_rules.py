"""What each rule turns into what, node for node; and what must not be touched."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make, toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.custom import Custom, placeholder
from netc.compiler.ops.elementwise import absorb, add, div, exp, log, mul, neg, power, sub, where
from netc.compiler.ops.movement import concat, pad, reshape, reverse, slice_, transpose
from netc.compiler.ops.reduce import BatchReduce, Lift, Reduce, broadcast, lift, reduce_sum
from netc.compiler.ops.source import Constant, Iota, constant, source
from netc.compiler.passes.expand import expand
from netc.compiler.passes.fold import fold
from netc.compiler.passes.pipeline import BEFORE_DERIVATIVES, PASSES, run
from netc.compiler.passes.release import release
from netc.compiler.passes.simplify import simplify
from netc.compiler.passes.stabilise import stabilise

X = source("input", "x", (3,), True, "f32")
Y = source("input", "y", (3, 4), True, "f32")
V = source("parameter", "v", (3,), False, "f32")
W = source("parameter", "w", (3, 4), False, "f32")
CUBE = source("input", "cube", (2, 3, 4), True, "f32")
U = source("parameter", "u", (4,), False, "f32")
B = source("scalar", "batch_size", (), False, "f32")


Y_SUM = reduce_sum(Y, (1,))


def c(value: float, *shape: int) -> Node:
    return constant(value, shape, "f32")


def batch_sum(x: Node) -> Node:
    return make(BatchReduce("sum"), x)


def rows(x: Node) -> Node:
    return broadcast(x, (3, 4), (0,))


def columns(x: Node) -> Node:
    return broadcast(x, (3, 4), (1,))


def softplus(z: Node) -> Node:
    positive = e.gt(z, 0)
    return add(where(positive, z, 0), make(e.Log1p(), exp(where(positive, neg(z), z))))


def after(apply_pass, x: Node) -> Node:
    return apply_pass(Graph("f", (Output("output", "y", x),))).roots[0]


SIMPLER = {
    "2 + x": (add(2, X), add(X, 2)),
    "x + 0": (add(X, 0), X),
    "unbatched + lifted 0": (add(V, lift(c(0, 3))), lift(V)),
    "x - 0": (sub(X, 0), X),
    "0 - x": (sub(0, X), neg(X)),
    "x * 1": (mul(X, 1), X),
    "x / 1": (div(X, 1), X),
    "--x": (neg(neg(X)), X),
    "-(a - b)": (neg(sub(X, V)), sub(V, X)),
    "a + -b": (add(X, neg(V)), sub(X, V)),
    "-a + b": (add(neg(X), V), sub(V, X)),
    "a - -b": (sub(X, neg(V)), add(X, V)),
    "-a * -b": (mul(neg(X), neg(V)), mul(X, V)),
    "-(x * 3)": (neg(mul(X, 3)), mul(X, -3)),
    "(x * 2) * 3": (mul(mul(X, 2), 3), mul(X, 6)),
    "x + x": (add(X, X), mul(X, 2)),
    "x / 4": (div(X, 4), mul(X, 0.25)),
    "x * (1 / y)": (mul(X, div(1, V)), div(X, V)),
    "x ^ 0": (power(X, 0), lift(c(1, 3))),
    "x ^ 1": (power(X, 1), X),
    "x ^ 2": (power(X, 2), mul(X, X)),
    "x ^ -1": (power(X, -1), div(1, X)),
    "where 1": (where(c(1, 3), X, V), X),
    "where 0": (where(c(0, 3), X, V), lift(V)),
    "where c x x": (where(V, X, X), X),
    "where not": (where(make(e.Not(), V), X, V), where(V, V, X)),
    "absorb 0": (absorb(c(0, 3), X), lift(c(0, 3))),
    "absorb constant": (absorb(X, 3), mul(X, 3)),
    "reshape reshape": (reshape(reshape(Y, (12,)), (4, 3)), reshape(Y, (4, 3))),
    "reshape back": (reshape(reshape(Y, (12,)), (3, 4)), Y),
    "transpose back": (transpose(transpose(Y, (1, 0)), (1, 0)), Y),
    "transpose transpose": (
        transpose(transpose(reshape(Y, (3, 2, 2)), (1, 2, 0)), (0, 2, 1)),
        transpose(reshape(Y, (3, 2, 2)), (1, 0, 2)),
    ),
    "transpose of ones": (transpose(reshape(X, (3, 1)), (1, 0)), reshape(X, (1, 3))),
    "broadcast broadcast": (
        broadcast(rows(X), (2, 3, 4), (1, 2)),
        broadcast(X, (2, 3, 4), (1,)),
    ),
    "reverse back": (reverse(reverse(X, (0,)), (0,)), X),
    "slice slice": (slice_(slice_(X, (1,), (3,)), (1,), (2,)), slice_(X, (2,), (3,))),
    "slice of concat": (
        slice_(concat([X, mul(X, V)], 0), (4,), (6,)),
        slice_(mul(X, V), (1,), (3,)),
    ),
    "sum of neighbours": (
        add(pad(Y, (0, 1), (0, 6)), pad(W, (0, 5), (0, 2))),
        pad(concat([Y, W], 1), (0, 1), (0, 2)),
    ),
    "sum of neighbours, the second before the first": (
        add(pad(V, (3,), (0,)), pad(X, (0,), (3,))),
        concat([X, V], 0),
    ),
    "sum of three neighbours": (
        add(add(pad(V, (0,), (6,)), pad(X, (3,), (3,))), pad(mul(X, V), (6,), (0,))),
        concat([V, X, mul(X, V)], 0),
    ),
    "sum of what overlaps": (
        add(pad(V, (0,), (2,)), pad(X, (2,), (0,))),
        add(pad(V, (0,), (2,)), pad(X, (2,), (0,))),
    ),
    "sum with a gap between": (
        add(pad(V, (0,), (4,)), pad(X, (4,), (0,))),
        add(pad(V, (0,), (4,)), pad(X, (4,), (0,))),
    ),
    "broadcast last": (mul(rows(X), rows(V)), rows(mul(X, V))),
    "broadcast last, number": (mul(rows(X), 3), rows(mul(X, 3))),
    "lift dropped": (add(X, lift(V)), add(X, V)),
    "lift last": (add(lift(V), lift(mul(V, 3))), lift(add(V, mul(V, 3)))),
    "reduce of lift": (reduce_sum(lift(W), (1,)), lift(reduce_sum(W, (1,)))),
    "sum over size 1": (reduce_sum(reshape(X, (3, 1)), (1,)), X),
    "sum of sum": (reduce_sum(reduce_sum(Y, (1,)), (0,)), reduce_sum(Y, (0, 1))),
    "sum of broadcast": (reduce_sum(rows(X), (1,)), mul(X, 4)),
    "max of broadcast": (make(Reduce("max", (1,)), rows(X)), X),
    "batch sum of lift": (batch_sum(lift(V)), mul(V, broadcast(B, (3,), ()))),
    "sum of reshaped axes": (reduce_sum(reshape(CUBE, (2, 12)), (1,)), reduce_sum(CUBE, (1, 2))),
    "max of some reshaped axes": (
        make(Reduce("max", (0,)), reshape(CUBE, (6, 4))),
        make(Reduce("max", (0, 1)), CUBE),
    ),
    "sum of joined and cut axes": (
        reduce_sum(reshape(CUBE, (3, 8)), (0,)),
        reduce_sum(reshape(CUBE, (3, 8)), (0,)),
    ),
    "sum after a batch sum": (reduce_sum(batch_sum(Y), (1,)), batch_sum(reduce_sum(Y, (1,)))),
    "batch max of lift": (make(BatchReduce("max"), lift(V)), V),
    "batch sum of contraction": (
        batch_sum(make(Contract("i,ij->j"), X, Y)),
        make(Contract("i,ij->j", sum_batch=True), X, Y),
    ),
    "batch sum of half a contraction": (
        batch_sum(make(Contract("i,ij->j"), X, W)),
        make(Contract("i,ij->j"), batch_sum(X), W),
    ),
    "contraction of transpose": (
        make(Contract("k,nk->n"), X, transpose(W, (1, 0))),
        make(Contract("k,kn->n"), X, W),
    ),
    "contraction of lift": (
        make(Contract("k,kn->n"), X, lift(W)),
        make(Contract("k,kn->n"), X, W),
    ),
    "scalar times vector": (
        make(Contract(",k->k"), reduce_sum(X, (0,)), V),
        mul(broadcast(reduce_sum(X, (0,)), (3,), ()), V),
    ),
    "sum of a product": (
        reduce_sum(mul(rows(X), W), (0,)),
        make(Contract("a,ab->b"), X, W),
    ),
    "batch sum of a product": (
        batch_sum(mul(rows(X), columns(make(Contract("i,ij->j"), X, W)))),
        make(Contract("a,b->ab", sum_batch=True), X, make(Contract("i,ij->j"), X, W)),
    ),
    "contraction of broadcast": (
        make(Contract("ab,ab->b"), Y, rows(V)),
        make(Contract("ab,a->b"), Y, V),
    ),
}

UNTOUCHED = {
    "x * 0, for x may be infinite": mul(X, 0),
    "x - x, for x may be infinite": sub(X, X),
    "x / 3 is not x * (1/3)": div(X, 3),
    "products of constants out of range": mul(mul(X, 1e-30), 1e-30),
    "a dot product of one shape stays fused": reduce_sum(mul(X, X), (0,)),
    "infinite constants do not leave absorb": absorb(X, constant(np.inf, (3,), "f32")),
}

STABLER = {
    "log exp": (log(exp(X)), X),
    "log sum exp": (log(reduce_sum(exp(Y), (1,))), make(Reduce("logsumexp", (1,)), Y)),
    "softmax": (
        div(exp(Y), rows(reduce_sum(exp(Y), (1,)))),
        exp(sub(Y, rows(make(Reduce("logsumexp", (1,)), Y)))),
    ),
    "log softmax": (
        log(div(exp(Y), rows(reduce_sum(exp(Y), (1,))))),
        sub(Y, rows(make(Reduce("logsumexp", (1,)), Y))),
    ),
    "log of a broadcast sum": (
        log(rows(reduce_sum(exp(Y), (1,)))),
        rows(make(Reduce("logsumexp", (1,)), Y)),
    ),
    "log (x + 1)": (log(add(X, 1)), make(e.Log1p(), X)),
    "exp x - 1": (sub(exp(X), 1), make(e.Expm1(), X)),
    "1 / sqrt x": (div(1, make(e.Sqrt(), X)), make(e.Rsqrt(), X)),
    "softplus": (
        log(add(exp(X), 1)),
        softplus(X),
    ),
    "log sigmoid": (
        log(make(e.Sigmoid(), X)),
        neg(softplus(neg(X))),
    ),
    "log (1 - sigmoid)": (
        log(sub(1, make(e.Sigmoid(), X))),
        neg(softplus(X)),
    ),
    "(g / exp x) exp x": (mul(div(V, exp(V)), exp(V)), V),
}


@pytest.mark.parametrize("name", SIMPLER)
def test_simplify(name: str):
    before, expected = SIMPLER[name]
    assert after(simplify, before) is expected


@pytest.mark.parametrize("name", UNTOUCHED)
def test_simplify_leaves_alone(name: str):
    assert after(simplify, UNTOUCHED[name]) is UNTOUCHED[name]


@pytest.mark.parametrize("name", STABLER)
def test_stabilise(name: str):
    before, expected = STABLER[name]
    assert after(stabilise, before) is expected


def test_fold_evaluates_constants():
    assert after(fold, add(c(2, 3), c(0.5, 3))) is c(2.5, 3)
    assert after(fold, mul(make(Iota(3, "f32")), 2)).op.values == (0, 2, 4)
    assert isinstance(after(fold, exp(c(1, 1000, 1000))).op, Constant)


def test_fold_keeps_big_tables_small():
    big = mul(make(Iota(1000, "f32")), 2)
    assert after(fold, big) is big
    assert after(fold, reduce_sum(make(Iota(1000, "f32")), (0,))) is c(499500)


def value(root: Node, x: list) -> np.ndarray:
    return evaluate([root], Environment({("input", "x"): np.array(x, np.float32)}, len(x)))[0]


def test_expanded_logsumexp_is_right_at_infinity():
    x = after(expand, make(Reduce("logsumexp", (0,)), X))
    inf = np.inf
    rows_ = [[-inf, -inf, -inf], [inf, 0, -inf], [-inf, 2, -inf], [1e4, 1e4, 0], [inf, -inf, inf]]
    np.testing.assert_allclose(value(x, x=rows_), [-inf, inf, 2, 1e4 + np.log(2), inf])
    assert np.isnan(value(x, x=[[np.nan, 0, 0]])[0])


@pytest.mark.parametrize("z", [-1e4, -200, -20, 0, 20, 200, 1e4])
def test_stable_forms_at_extremes(z: float):
    sigmoid = make(e.Sigmoid(), X)
    expected = np.float32(-max(-z, 0) - np.log1p(np.exp(-abs(z))))
    np.testing.assert_allclose(value(after(run, log(sigmoid)), x=[[z] * 3]), expected, rtol=1e-6)
    mirrored = after(run, log(sub(1, make(e.Sigmoid(), neg(X)))))
    np.testing.assert_allclose(value(mirrored, x=[[z] * 3]), expected, rtol=1e-6)


def test_the_order_matters_simplify_before_stabilise():
    """A softmax whose sum keeps its axis is known only after the reshapes are composed."""
    total = reshape(reshape(reduce_sum(exp(Y), (1,)), (3, 1)), (3,))
    softmax = div(exp(Y), rows(total))
    assert any(n.op == Reduce("max", (1,)) for n in toposort([after(run, softmax)]))
    assert after(stabilise, softmax) is softmax


def test_observers_see_every_pass():
    seen: list[str] = []
    graph = Graph("f", (Output("output", "y", add(X, 0)),))
    result = run(graph, [lambda step, before, after, seconds: seen.append(step.name)])
    assert seen == [step.name for step in PASSES]
    assert result.roots == (X,)


def test_what_derivatives_read_stays_until_they_are_formed():
    """A stopped gradient or a rule that vanishes earlier changes what the net learns."""
    g = placeholder("g", X.type)
    stopped = make(e.StopGradient(), X)
    ruled = make(Custom(), make(e.Sign(), X), g, X, mul(g, Y_SUM))
    both = add(stopped, ruled)
    before = run(Graph("f", (Output("output", "y", both),)), passes=BEFORE_DERIVATIVES)
    assert before.roots == (both,)
    assert after(release, both) is add(X, make(e.Sign(), X))
    assert after(run, both) is add(X, make(e.Sign(), X))


def test_lift_of_lift_is_refused():
    assert lift(X) is X
    assert isinstance(lift(V).op, Lift)
    assert lift(U).type.batched


@pytest.mark.parametrize(
    ("formula", "slope"),
    [
        (log(add(exp(X), 1)), 0.5),
        (log(make(e.Sigmoid(), X)), 0.5),
        (log(sub(1, make(e.Sigmoid(), X))), -0.5),
    ],
)
def test_stable_forms_keep_the_slope_at_zero(formula, slope):
    (gradient,) = gradients(after(stabilise, formula), [X])
    np.testing.assert_array_equal(value(gradient, x=[[0.0] * 3]), slope)
