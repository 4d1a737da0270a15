"""Sums of deviations from a mean: which vanish, and which must not."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import add, div, mul, neg, sin, sub
from netc.compiler.ops.reduce import BatchReduce, Reduce, broadcast, lift, reduce_sum
from netc.compiler.ops.source import constant, source
from netc.compiler.passes.centred import centred
from netc.compiler.passes.pipeline import run
from netc.grammar.source import Source

X = source("input", "x", (2, 3), True, "f64")
Y = source("input", "y", (2, 3), True, "f64")
K = source("parameter", "k", (2,), False, "f64")
W = source("parameter", "w", (2, 3), False, "f64")
B = source("scalar", "batch_size", (), False, "f64")


def batch_sum(x: Node) -> Node:
    return make(BatchReduce("sum"), x)


def over_batch(x: Node) -> Node:
    return div(batch_sum(x), broadcast(B, x.type.shape, ()))


def rows(x: Node) -> Node:
    return broadcast(x, (2, 3), (0,))


def channel_sum(x: Node) -> Node:
    return batch_sum(reduce_sum(x, (1,)))


def channel_mean(x: Node) -> Node:
    return div(div(channel_sum(x), broadcast(B, (2,), ())), 3)


def after(x: Node) -> Node:
    return centred(Graph("f", (Output("output", "y", x),))).roots[0]


SAMPLES = sub(X, over_batch(X))
CHANNELS = sub(X, rows(channel_mean(X)))
ZERO = constant(0, (2, 3), "f64")

VANISH = {
    "alone": (batch_sum(SAMPLES), ZERO),
    "mean of the negative added": (batch_sum(add(X, over_batch(neg(X)))), ZERO),
    "with a share of the batch": (
        batch_sum(sub(X, mul(batch_sum(X), broadcast(div(1, B), (2, 3), ())))),
        ZERO,
    ),
    "in a sum": (batch_sum(add(Y, SAMPLES)), batch_sum(Y)),
    "first in a difference": (batch_sum(sub(SAMPLES, Y)), batch_sum(neg(Y))),
    "scaled": (batch_sum(add(mul(W, SAMPLES), Y)), batch_sum(Y)),
    "divided": (batch_sum(add(neg(div(SAMPLES, W)), Y)), batch_sum(Y)),
    "twice": (batch_sum(add(add(Y, SAMPLES), SAMPLES)), batch_sum(Y)),
    "of channels": (channel_sum(CHANNELS), constant(0, (2,), "f64")),
    "of channels, scaled": (
        channel_sum(add(mul(CHANNELS, rows(K)), Y)),
        channel_sum(Y),
    ),
    "axes last": (
        make(Reduce("sum", (1,)), batch_sum(add(CHANNELS, Y))),
        make(Reduce("sum", (1,)), batch_sum(Y)),
    ),
    "of samples, over axes too": (channel_sum(SAMPLES), constant(0, (2,), "f64")),
}


@pytest.mark.parametrize("name", VANISH)
def test_deviations_vanish(name: str) -> None:
    before, expected = VANISH[name]
    assert after(before) is expected


STAY = {
    "another value's mean": batch_sum(sub(Y, over_batch(X))),
    "half the mean": batch_sum(sub(X, div(over_batch(X), 2))),
    "the mean added": batch_sum(add(X, over_batch(X))),
    "the sum": batch_sum(sub(X, batch_sum(X))),
    "a factor of each sample": batch_sum(mul(SAMPLES, Y)),
    "a factor of each element": channel_sum(mul(CHANNELS, W)),
    "a function of them": batch_sum(sin(SAMPLES)),
    "the channel's deviations, over the samples alone": batch_sum(CHANNELS),
    "each sample's own mean": batch_sum(
        sub(X, broadcast(div(reduce_sum(X, (1,)), 3), (2, 3), (0,)))
    ),
    "a lifted mean of other axes": channel_sum(sub(X, lift(rows(div(channel_sum(X), 3))))),
}


@pytest.mark.parametrize("name", STAY)
def test_what_stays(name: str) -> None:
    assert after(STAY[name]) is STAY[name]


@pytest.mark.parametrize("name", [*VANISH, *STAY])
def test_the_value_is_kept(name: str) -> None:
    before = VANISH[name][0] if name in VANISH else STAY[name]
    random = np.random.default_rng(1)
    values = {
        ("input", "x"): random.normal(1, 1, (7, 2, 3)),
        ("input", "y"): random.normal(1, 1, (7, 2, 3)),
        ("parameter", "k"): random.uniform(1, 2, 2),
        ("parameter", "w"): random.uniform(1, 2, (2, 3)),
    }
    one, two = evaluate([before, after(before)], Environment(values, batch=7))
    np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-13)


NORMED = """net N {
  input x: [12]
  h = x |> dense(8) |> batch_norm |> tanh
  loss sum(h |> dense(3))
}
train { optimizer = sgd() }"""


def test_batch_norm_takes_two_sweeps_forward_and_one_backward() -> None:
    """Forward the mean, then the variance; backward every sum over the samples at once."""
    plan = compile_text(Source("n.net", NORMED)).stages("backward").plan
    sweeps = [
        unit
        for unit in plan.units
        if any(
            isinstance(s.node.op, BatchReduce) and s.node.type.shape == (8,) for s in unit.stores
        )
    ]
    assert len(sweeps) == 3


def test_the_bias_before_batch_norm_has_gradient_0() -> None:
    bias = source("parameter", "b", (2,), False, "f64")
    x = add(X, rows(bias))
    normed = sub(x, rows(channel_mean(x)))
    loss = reduce_sum(sin(normed), (0, 1))
    (found,) = gradients(loss, [bias])
    graph = run(Graph("g", (Output("gradient", "b", found),)))
    assert graph.roots == (constant(0, (2,), "f64"),)
