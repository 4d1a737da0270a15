"""Squares around a mean over the batch, summed around each sample's own mean first."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import Graph, Node, Output
from netc.compiler.ir.interpret import evaluate, interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import add, div, mul, sub
from netc.compiler.ops.reduce import BatchReduce, Reduce, batch_sum, broadcast, reduce_sum
from netc.compiler.ops.source import source
from netc.compiler.passes.pipeline import run
from netc.compiler.passes.spread import spread
from netc.grammar.source import Source
from tests.native import Native


def of(precision: str) -> tuple[Node, Node]:
    """Values for each sample, and their mean over samples and all axes but the first."""
    x = source("input", "x", (2, 3, 5), True, precision)
    size = broadcast(source("scalar", "batch_size", (), False, precision), (2,), ())
    return x, div(batch_sum(div(reduce_sum(x, (1, 2)), 15)), size)


def squares(x: Node, mean: Node, axes=(1, 2), along=(0,)) -> Node:
    apart = sub(x, broadcast(mean, x.type.shape, along))
    return reduce_sum(mul(apart, apart), axes)


def after(x: Node) -> Node:
    return spread(Graph("f", (Output("output", "y", x),))).roots[0]


def reads_the_batch(node: Node) -> bool:
    """Whether a sum over all elements reads a sum over the batch."""
    return any(isinstance(n.op, BatchReduce) for n in Graph("", (Output("", "", node),)).nodes())


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_the_sum_over_a_sample_needs_no_other_sample(precision):
    found = after(squares(*of(precision)))
    (total,) = (
        n
        for n in Graph("", (Output("output", "", found),)).nodes()
        if isinstance(n.op, Reduce) and n.args[0].op.word == "mul"
    )
    assert not reads_the_batch(total)
    assert found is not squares(*of(precision))


X, MEAN = of("f64")
KEPT = {
    "another mean": squares(X, add(MEAN, MEAN)),
    "the mean of others": squares(mul(X, X), MEAN),
    "a parameter": squares(X, source("parameter", "m", (2,), False, "f64")),
    "other axes": squares(X, source("parameter", "m", (3,), False, "f64"), (0, 2), (1,)),
    "fewer axes": squares(X, source("parameter", "m", (2, 3), False, "f64"), (2,), (0, 1)),
    "a product": reduce_sum(mul(sub(X, broadcast(MEAN, (2, 3, 5), (0,))), X), (1, 2)),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_stays(name):
    assert after(KEPT[name]) is KEPT[name]


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_the_value_is_the_same(batch):
    x = np.random.default_rng(batch).normal(size=(batch, 2, 3, 5)) + 3
    env = Environment({("input", "x"): x}, batch)
    plain = squares(X, MEAN)
    expected, found = evaluate([plain, after(plain)], env)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 3, 16, 37])
@pytest.mark.parametrize("offset", [0.0, 4096.0])
def test_far_from_zero_nothing_cancels(batch, offset):
    """The variance of the rounded values, within rounding of single precision."""
    x, mean = of("f32")
    graph = run(Graph("step", (Output("gradient", "v", batch_sum(squares(x, mean))),)))
    value = (np.random.default_rng(batch).normal(size=(batch, 2, 3, 5)) + offset).astype("f4")
    env = Environment({("input", "x"): value}, batch)
    exact = value.astype("f8")
    expected = ((exact - exact.mean((0, 2, 3), keepdims=True)) ** 2).sum((0, 2, 3))
    for found in (interpret(graph, env), Native(graph)(env)):
        np.testing.assert_allclose(found["gradient", "v"], expected, rtol=2e-6)


@pytest.mark.parametrize("value", [0.1, 1.5, -3.3, 1e-4])
def test_equal_values_have_no_negative_variance(value):
    x, mean = of("f32")
    graph = run(Graph("step", (Output("gradient", "v", batch_sum(squares(x, mean))),)))
    env = Environment({("input", "x"): np.full((16, 2, 3, 5), value, "f4")}, 16)
    found = Native(graph)(env)["gradient", "v"]
    assert (found >= 0).all()
    assert (found < 1e-9).all()


NET = """net Normal {
  input x: [3, 8, 8]
  target t: [4]
  y = x |> conv(4, 3) |> batch_norm |> relu |> flatten |> dense(4)
  output y
  loss sum((y - t)^2)
}
train { optimizer = sgd() }
"""


def test_batch_norm_looks_at_its_samples_once_before_it_scales_them():
    """Both sums of the statistics stand in one kernel; the next nest stores the result."""
    plan = compile_text(Source("normal.net", NET)).stages("forward").plan
    sums = [u for u in plan.units for s in u.stores if isinstance(s.node.op, Reduce)]
    assert len(sums) == 3
    assert all(u is sums[0] for u in sums)
