"""Which kernels go channel by channel, and that they compute what they should."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import Graph, Node, Output
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import add, exp, mul, sub
from netc.compiler.ops.movement import transpose
from netc.compiler.ops.reduce import BatchReduce, batch_sum, broadcast, reduce_sum
from netc.compiler.ops.source import source
from netc.compiler.passes.pipeline import run
from netc.compiler.plan.build import build_plan
from netc.grammar.source import Source
from tests.native import DTYPE, TARGETS, Native, assert_native_equals
from tests.unit.plan.checker import check

NET = """net Normal {
  input x: [3, 12, 12]
  target t: [4]
  y = x |> conv(6, 3) |> batch_norm |> relu |> max_pool(2) |> flatten |> dense(4)
  output y
  loss sum((y - t)^2)
}
train { optimizer = sgd() }
"""


def kinds(plan) -> list[str]:
    return [unit.kind for unit in plan.units]


def test_batch_norm_is_one_kernel_forward_and_one_backward():
    """The sums over samples, the numbers of each channel, and what is scaled or pooled."""
    plan = compile_text(Source("normal.net", NET)).stages("step").plan
    channels = [u for u in plan.units if u.kind == "channels"]
    assert len(channels) == 2
    for unit in channels:
        assert any(isinstance(s.node.op, BatchReduce) for s in unit.stores)
        assert {s.node.type.shape[0] for s in unit.stores} == {6}
        assert not unit.per_block
    elsewhere = {s.node for u in plan.units if u.kind == "nests" for s in u.stores}
    assert not any(n.type.batched and n.type.shape[:1] == (6,) for n in elsewhere)


def test_channels_are_shared_out_and_each_has_all_blocks():
    stages = compile_text(Source("normal.net", NET)).stages("step")
    for launch in stages.launches:
        if launch.unit.kind == "channels":
            (loop,) = launch.kernel.body
            assert loop.split
            assert loop.extent == 6


def image(shape, precision="f64") -> Node:
    return source("input", "x", shape, True, precision)


def crossing(precision: str, order) -> Graph:
    """What is taken from each element is a sum over the batch of its own or of another channel."""
    x = image((5, 5, 16), precision)
    total = batch_sum(reduce_sum(mul(x, x), (1, 2)))
    rest = sub(x, broadcast(total, (5, 5, 16), order))
    return run(Graph("step", (Output("output", "y", exp(mul(rest, 0.001))),)))


def lonely(precision: str) -> Graph:
    """A value that needs all channels stands between the sum and the result."""
    x = image((5, 4, 16), precision)
    total = batch_sum(reduce_sum(x, (1, 2)))
    whole = add(total, broadcast(reduce_sum(total, (0,)), (5,), ()))
    return Graph("step", (Output("output", "y", sub(x, broadcast(whole, (5, 4, 16), (0,)))),))


def turned(precision: str) -> Graph:
    x = image((5, 5, 16), precision)
    total = batch_sum(reduce_sum(x, (1, 2)))
    scaled = mul(x, broadcast(total, (5, 5, 16), (0,)))
    again = batch_sum(reduce_sum(mul(transpose(scaled, (1, 0, 2)), x), (2,)))
    result = sub(x, broadcast(again, (5, 5, 16), (0, 1)))
    return run(Graph("step", (Output("output", "y", result),)))


GRAPHS = {
    "own": lambda p: crossing(p, (0,)),
    "another": lambda p: crossing(p, (1,)),
    "all": lonely,
    "turned": turned,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_native_equals_interpreter(name):
    for precision, target in product(("f32", "f64"), TARGETS):
        graph = GRAPHS[name](precision)
        native = Native(graph, target)
        check(native.plan, native.memory, native.launches, native.manifest)
        for batch in (1, 7, 17, 33):
            shape = next(n.type.shape for n in graph.nodes() if n.args == () and n.type.batched)
            value = np.random.default_rng(batch).normal(size=(batch, *shape))
            env = Environment({("input", "x"): value.astype(DTYPE[precision])}, batch)
            expected = interpret(graph, env)
            tolerance = 2e-5 if precision == "f32" else 1e-12
            assert_native_equals(expected, native(env), tolerance)
            assert_native_equals(expected, native.interpreted(env), tolerance)


@pytest.mark.parametrize(("name", "some"), [("own", True), ("another", False), ("all", False)])
def test_only_what_stays_in_its_channel_is_joined(name, some):
    assert ("channels" in kinds(build_plan(GRAPHS[name]("f32"), 16))) == some


def test_few_channels_and_short_ones_are_not():
    for shape in ((2, 8, 8), (8, 3, 5)):
        x = image(shape)
        total = batch_sum(reduce_sum(x, (1, 2)))
        y = sub(x, broadcast(total, shape, (0,)))
        graph = Graph("step", (Output("output", "y", y),))
        assert "channels" not in kinds(build_plan(graph, 16))
