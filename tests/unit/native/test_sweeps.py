"""Passes over the samples' elements: what shares loops, what is moved, and that values stay."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.loops.groups import group_batched
from netc.compiler.loops.loops import For, Load, Quotient, Store
from netc.compiler.ops.elementwise import Tanh, add, exp, mul, sub
from netc.compiler.ops.movement import reshape, slice_, transpose
from netc.compiler.ops.reduce import batch_sum, broadcast, reduce, reduce_sum
from netc.compiler.ops.source import source
from netc.compiler.ops.unfold import Fold, unfold
from netc.compiler.ops.window import Window
from netc.compiler.passes.pipeline import run
from netc.compiler.plan.build import build_plan
from netc.compiler.plan.indices import read_axes
from tests.native import DTYPE, TARGETS, Native, assert_native_equals
from tests.unit.plan.checker import check

BATCHES = (1, 7, 17, 33)
SHAPES = ((1, 1, 1), (3, 2, 5), (2, 4, 6), (5, 1, 8), (1, 7, 3), (2, 3, 17))


def image(shape, precision="f64", name="x") -> Node:
    return source("input", name, shape, True, precision)


def step(*nodes: Node) -> Graph:
    outputs = []
    for i, node in enumerate(nodes):
        space = "output" if node.type.batched else "gradient"
        outputs.append(Output(space, f"o{i}", node))
    return Graph("step", tuple(outputs))


def assert_right(graph_of, shape, batches=BATCHES):
    for precision, target in product(("f32", "f64"), TARGETS):
        graph = run(graph_of(precision))
        native = Native(graph, target)
        check(native.plan, native.memory, native.launches, native.manifest)
        for batch in batches:
            rng = np.random.default_rng(batch)
            inputs = {n.op.name for n in graph.nodes() if getattr(n.op, "space", "") == "input"}
            values = {
                ("input", name): rng.normal(size=(batch, *shape)).astype(DTYPE[precision])
                for name in sorted(inputs)
            }
            env = Environment(values, batch)
            tolerance = 3e-6 if precision == "f32" else 1e-13
            expected = interpret(graph, env)
            assert_native_equals(expected, native(env), tolerance)
            assert_native_equals(expected, native.interpreted(env), tolerance)


def body_of(graph: Graph):
    """What stands under the loop over blocks of the first kernel of nests."""
    launch = next(x for x in Native(graph).launches if x.unit.kind == "nests")
    (blocks,) = launch.kernel.body
    return blocks.body


def statements(body, kind):
    found = [s for s in body if isinstance(s, kind)]
    return found + [s for b in body if isinstance(b, For) for s in statements(b.body, kind)]


# -- sums of the same elements ---------------------------------------------------------------------


def sums_and_values(shape):
    def graph_of(precision):
        x, y = image(shape, precision), image(shape, precision, "y")
        z = make(Tanh(), mul(x, y))
        axes = (1, 2)
        return step(reduce_sum(z, axes), reduce("max", mul(x, x), axes), z, reduce_sum(y, axes))

    return graph_of


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_and_the_values_they_sum(shape):
    assert_right(sums_and_values(shape), shape)


def test_sums_of_the_same_elements_are_one_pass():
    body = body_of(sums_and_values((3, 5, 7))("f64"))
    (channels,) = (s for s in body if isinstance(s, For))
    (rows,) = (s for s in channels.body if isinstance(s, For))
    assert len(rows.carries) == 3
    assert len(statements(body, Load)) == 2
    assert len(statements(body, Store)) == 4


def normalised(shape, axes, eps=0.25):
    """A sum, and what takes it from each element, for each of the first axes."""

    def graph_of(precision):
        x = image(shape, precision)
        kept = tuple(i for i in range(len(shape)) if i not in axes)
        total = reduce_sum(make(Tanh(), x), axes)
        rest = sub(x, broadcast(total, shape, kept))
        square = reduce_sum(mul(rest, rest), axes)
        scaled = mul(rest, broadcast(add(square, eps), shape, kept))
        return step(scaled, exp(total))

    return graph_of


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(3, 2, 5), (1, 4, 8)])
def test_normalised_over_any_axes(shape, axes):
    assert_right(normalised(shape, axes), shape, batches=(1, 19))


def test_a_channel_is_normalised_while_it_is_near():
    """Sum, sum of squares and result of one channel, then those of the next."""
    body = body_of(normalised((3, 5, 7), (1, 2))("f64"))
    (channels,) = (s for s in body if isinstance(s, For))
    assert len([s for s in channels.body if isinstance(s, For)]) == 3


@pytest.mark.parametrize("extent", [1, 2, 3, 4, 5, 6, 8, 12, 13])
def test_a_sum_goes_by_tiles_that_divide(extent):
    shape = (2, 3, extent)
    assert_right(lambda p: step(reduce_sum(image(shape, p), (1, 2))), shape, batches=(3,))


# -- windows side by side --------------------------------------------------------------------------


def pooled_gradient(windows, kind):
    """What stands between a pool and a convolution in the backward pass, and the sum over it."""

    def graph_of(precision):
        shape = (3, *(w.length for w in windows))
        x = image(shape, precision)
        pool = reduce(kind, unfold(make(Tanh(), x), tuple(enumerate(windows, 1)), 0.0), (3, 4))
        (g,) = gradients(batch_sum(reduce_sum(mul(pool, pool), (0, 1, 2))), [x])
        return step(g, reduce_sum(g, (1, 2)))

    return graph_of


WINDOWS = (
    (Window(4, 2, 2), Window(6, 2, 2)),
    (Window(4, 4, 4), Window(4, 4, 4)),
    (Window(3, 1, 1), Window(6, 3, 3)),
    (Window(5, 2, 2), Window(6, 2, 2)),
)


@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("windows", WINDOWS)
def test_gradients_of_pools(windows, kind):
    shape = (3, *(w.length for w in windows))
    assert_right(pooled_gradient(windows, kind), shape)


@pytest.mark.parametrize("kind", ["sum", "max"])
def test_the_gradient_of_windows_side_by_side_is_not_stored(kind):
    graph = run(pooled_gradient(WINDOWS[0], kind)("f32"))
    plan = build_plan(graph, 16)
    assert not any(isinstance(n.op, Fold) for n in plan.where)
    launches = [x for x in Native(graph).launches if x.unit.kind == "nests"]
    assert not any(statements(x.kernel.body, Quotient) for x in launches)


def test_windows_that_leave_elements_out_have_loops_of_their_own():
    plan = build_plan(run(pooled_gradient(WINDOWS[3], "sum")("f32")), 16)
    assert any(isinstance(n.op, Fold) for n in plan.where)


def test_folded_elements_in_another_order():
    """Where no loop follows the windows, places and taps are quotients."""
    windows = ((1, Window(4, 2, 2)), (2, Window(6, 2, 2)))

    def graph_of(precision):
        x = image((3, 2, 3, 2, 2), precision)
        moved = transpose(make(Fold(windows), x), (2, 0, 1))
        flat = reshape(make(Fold(windows), mul(x, x)), (72,))
        return step(make(Tanh(), moved), exp(slice_(flat, (3,), (50,))))

    assert_right(graph_of, (3, 2, 3, 2, 2))


# -- which indices are shared ----------------------------------------------------------------------


def test_how_many_indices_are_the_stores_own():
    x = image((4, 4, 6))
    cases = {
        mul(x, x): 3,
        exp(transpose(x, (1, 0, 2))): 0,
        exp(transpose(x, (0, 2, 1))): 1,
        exp(slice_(x, (0, 1, 0), (4, 3, 6))): 1,
        exp(reshape(x, (4, 24))): 1,
        exp(broadcast(x, (4, 4, 6, 2), (0, 1, 2))): 3,
        exp(broadcast(x, (2, 4, 4, 6), (1, 2, 3))): 0,
        reduce_sum(x, (1, 2)): 3,
        reduce_sum(x, (0,)): 0,
        reduce("argmax", x, (2,)): 2,
    }
    for node, own in cases.items():
        plan = build_plan(step(node), 16)
        (store,) = (s for u in plan.units if u.kind == "nests" for s in u.stores)
        assert read_axes(store, plan.where) == {x: own}, node
        assert len(group_batched([store], plan.where)) == 1


def test_a_sum_that_is_read_at_another_index_comes_first():
    """Each channel needs the sums of all: they are no parts of one nest."""

    def graph_of(precision):
        x = image((3, 3, 4), precision)
        total = reduce_sum(x, (1, 2))
        crossed = sub(x, broadcast(total, (3, 3, 4), (1,)))
        return step(crossed, reduce_sum(mul(crossed, x), (1, 2)))

    assert_right(graph_of, (3, 3, 4), batches=(5,))


# -- values of unlike shapes -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_all_and_of_some_axes(shape):
    def graph_of(precision):
        x = image(shape, precision)
        return step(reduce("sum", x, (0, 1, 2)), reduce("max", x, (2,)), reduce("sum", x, (1, 2)))

    assert_right(graph_of, shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_with_merged_axes_and_what_is_computed_of_them(shape):
    def graph_of(precision):
        x = image(shape, precision)
        merged = (shape[0] * shape[1], shape[2])
        total, squares = batch_sum(x), batch_sum(mul(x, x))
        first, second = reshape(total, merged), reshape(squares, merged)
        return step(first, add(first, mul(second, first)))

    assert_right(graph_of, shape, (1, 9))
