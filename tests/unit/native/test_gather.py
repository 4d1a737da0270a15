"""Picking by numbers in native code: any index, exact order of the sums, no work for the rest."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.loops.loops import Count, For, Kernel
from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.ops.source import source
from netc.grammar.source import Source as Text
from tests.native import DTYPE, TARGETS, Native, assert_native_equals
from tests.unit.plan.checker import check, together

WRONG = (-1.0, -0.01, 5.0, 1e9, 1e30, inf, -inf, nan)
BATCHES = (1, 5, 16, 37)


def operand(name: str, shape: tuple[int, ...], batched: bool, precision: str = "f32"):
    return source("input" if batched else "parameter", name, shape, batched, precision)


def graph_of(node) -> Graph:
    return Graph("step", (Output("output" if node.type.batched else "gradient", "y", node),))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("batched", [(True, True), (False, True), (True, False), (False, False)])
@pytest.mark.parametrize("op", [Gather(0), Scatter(0, 5), Scatter(0, 5, sum_batch=True)], ids=str)
def test_an_index_without_a_place_picks_zero_and_adds_nothing(op, batched, precision, target):
    if getattr(op, "sum_batch", False) and batched != (True, True):
        pytest.skip("both operands have samples")
    shape = (5, 3) if isinstance(op, Gather) else (len(WRONG) + 1, 3)
    x = operand("x", shape, batched[0], precision)
    indices = operand("t", (len(WRONG) + 1,), batched[1], precision)
    native = Native(graph_of(make(op, x, indices)), target)
    for batch in BATCHES:
        rng = np.random.default_rng(batch)
        rows = (batch,) * batched[0] + shape
        places = np.array([*WRONG, 2.0])
        values = {
            (x.op.space, "x"): rng.normal(size=rows).astype(DTYPE[precision]),
            (indices.op.space, "t"): np.broadcast_to(places, (batch, len(places)))
            if batched[1]
            else places,
        }
        env = Environment(values, batch)
        expected = interpret(native.plan.graph, env)
        (y,) = expected.values()
        assert np.isfinite(y).all()
        assert np.count_nonzero(y) > 0
        assert_native_equals(expected, native(env), 1e-6 if precision == "f32" else 1e-15)
        assert_native_equals(expected, native.interpreted(env), 1e-6)


def test_the_samples_add_in_their_order():
    rng = np.random.default_rng(0)
    batch = 53
    values = (rng.normal(size=(batch, 2)) * 10.0 ** rng.integers(-4, 5, (batch, 1))).astype("f4")
    labels = rng.integers(0, 3, batch)
    node = make(Scatter(0, 3, sum_batch=True), operand("x", (2,), True), operand("t", (), True))
    env = Environment({("input", "x"): values, ("input", "t"): labels}, batch)
    expected = np.zeros((3, 2), "f4")
    for row, label in zip(values, labels, strict=True):
        expected[label] += row
    np.testing.assert_array_equal(Native(graph_of(node))(env)["gradient", "y"], expected)


def most_per_sample(kernel: Kernel) -> int:
    """The most rounds of nested loops of fixed extent inside a loop over samples or blocks."""

    def rounds(body, inside: bool) -> int:
        found = 1 if inside else 0
        for loop in (s for s in body if isinstance(s, For)):
            if isinstance(loop.extent, Count):
                found = max(found, rounds(loop.body, inside=True))
            else:
                found = max(found, rounds(loop.body, inside) * loop.extent)
        return found

    return rounds(kernel.body, inside=False)


def test_a_large_vocabulary_costs_nothing_for_each_sample():
    vocabulary, width, batch = 10_000, 64, 37
    table = operand("W", (vocabulary, width), batched=False)
    labels = operand("t", (), batched=True)
    picked = make(Gather(0), table, labels)
    (gradient,) = gradients(picked, [table])
    outputs = Output("output", "y", picked), Output("gradient", "g", gradient)
    native = Native(Graph("step", outputs))
    lanes = native.manifest.lanes
    for launch in native.launches:
        assert most_per_sample(launch.kernel) <= width * lanes
    assert native.memory.per_block <= 4 * lanes * (4 * width + 4)
    rng = np.random.default_rng(1)
    w = rng.normal(size=(vocabulary, width)).astype("f4")
    t = rng.integers(0, vocabulary, batch)
    t[5] = t[20]
    found = native(Environment({("parameter", "W"): w, ("input", "t"): t}, batch))
    np.testing.assert_array_equal(found["output", "y"], w[t])
    counts = np.bincount(t, minlength=vocabulary)
    np.testing.assert_array_equal(found["gradient", "g"], np.broadcast_to(counts[:, None], w.shape))


SENTENCES = """
  net Sentences {
    input s: class[50][3] missing
    input k: class[300]
    target t: class[5]
    param V: [2, 300] = normal(0, 1)
    e = s |> embedding(50, 9)
    z = sum(e, axis=0) + sum(V[k]) + sum(gather(e, [0, 2])) |> dense(5)
    output y = gather(e, argmax(z[:3]))
    loss cross_entropy(z, t)
  }
  train { optimizer = momentum }
"""


@pytest.mark.parametrize("target", TARGETS)
def test_plans_of_a_net_that_picks_keep_their_promises(target: str):
    compiled = compile_text(Text("sentences.net", SENTENCES), target=target)
    manifest = compiled.manifest
    for name in manifest.functions:
        if name != "train":  # the same plan as step
            stages = compiled.stages(name)
            check(stages.plan, stages.memory, stages.launches, manifest, together(manifest, name))
