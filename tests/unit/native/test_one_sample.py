"""Functions of one sample, or of some, equal the interpreter on the batched graph."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import Tanh, add, mul
from netc.compiler.ops.reduce import Reduce, broadcast
from netc.compiler.ops.source import source
from netc.compiler.ops.unfold import unfold
from netc.compiler.ops.window import Window
from netc.compiler.passes.one_sample import has_one_sample, one_sample
from tests.native import DTYPE, TARGETS, Native, assert_native_equals
from tests.property.functions import environment as drawn
from tests.property.functions import functions, largest
from tests.unit.native.test_ops import SAMPLES, environment, graphs

TOLERANCE = {"f32": 3e-6, "f64": 1e-13}
BATCHES = (1, 3)
GROUPS = {2: (2, 3), 5: (5, 12), 8: (8, 17)}
"""Samples of a group, and of the calls: first a multiple, then the last group overlaps."""


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.op}{s.shapes}")
def test_every_op(sample, name):
    precision = "f64" if len(sample.shapes[0]) % 2 else "f32"
    for graph, args in graphs(sample, precision):
        if not has_one_sample(graph):
            continue
        native = Native(one_sample(graph), name)
        for batch in BATCHES:
            env = environment(sample, args, batch)
            assert_native_equals(interpret(graph, env), native(env), TOLERANCE[precision])
        assert_native_equals(interpret(graph, env), native.interpreted(env), TOLERANCE[precision])


@pytest.mark.parametrize("name", TARGETS[:1])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.op}{s.shapes}")
def test_every_op_of_a_group(sample, name):
    precision = "f64" if len(sample.shapes[0]) % 2 else "f32"
    for graph, args in graphs(sample, precision):
        if not has_one_sample(graph):
            continue
        native = Native(one_sample(graph), name, together=3)
        for batch in (3, 7):
            env = environment(sample, args, batch)
            assert_native_equals(interpret(graph, env), native(env), TOLERANCE[precision])
            if batch == 3:
                found = native.interpreted(env)
                assert_native_equals(interpret(graph, env), found, TOLERANCE[precision])


def random_values(graph: Graph, precision: str, batch: int) -> Environment:
    rng = np.random.default_rng(batch)
    values = {}
    for node in graph.nodes():
        op = node.op
        if hasattr(op, "space"):
            shape = ((batch,) if node.type.batched else ()) + node.type.shape
            values[op.space, op.name] = rng.normal(size=shape).astype(DTYPE[precision])
    return Environment(values, batch)


def check_group(graph: Graph, name: str, precision: str, together: int) -> None:
    native = Native(one_sample(graph), name, together)
    for batch in GROUPS[together]:
        env = random_values(graph, precision, batch)
        expected = interpret(graph, env)
        assert_native_equals(expected, native(env), 2 * TOLERANCE[precision])
        if batch == together:
            assert_native_equals(expected, native.interpreted(env), 2 * TOLERANCE[precision])


def check(graph: Graph, name: str, precision: str) -> None:
    native = Native(one_sample(graph), name)
    for batch in BATCHES:
        env = random_values(graph, precision, batch)
        expected = interpret(graph, env)
        assert_native_equals(expected, native(env), 2 * TOLERANCE[precision])
    assert_native_equals(expected, native.interpreted(env), 2 * TOLERANCE[precision])


SIZES = (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100, 130, 257)
SPECS = ("k,kn->n", "k,nk->n", "k,nk->n", "ak,kb->ab", "ak,bk->ab", "ak,kb->ba", "ka,kb->ab",
         "cij,fc->fij", "cij,cij->", "i,j->ij", "hqk,hdk->qhd", "abk,kn->abn")  # fmt: skip


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("spec", sorted(set(SPECS)))
def test_products(spec, name, precision):
    """With a bias and an activation behind, the weights on either side."""
    draw = random.Random(spec + name + precision)
    letters = len({c for c in spec if c.isalpha()})
    most = 12 if spec.endswith("->") else {1: 300, 2: 300, 3: 33}.get(letters, 17)
    for turn in range(6):
        size = {c: draw.choice([s for s in SIZES if s <= most]) for c in spec if c.isalpha()}
        parts = spec.split("->")[0].split(",")
        batched = [(True, False), (False, True), (True, True)][turn % 3]
        a, b = (
            source("input" if own else "parameter", f"a{i}", tuple(size[c] for c in p), own,
                   precision)
            for i, (p, own) in enumerate(zip(parts, batched, strict=True))
        )  # fmt: skip
        product = make(Contract(spec), a, b)
        bias = source("parameter", "c", product.type.shape, False, precision)
        outputs = [Output("output", "y", make(Tanh(), add(mul(product, 0.1), bias)))]
        if turn == 2:
            outputs.append(Output("output", "z", product))
        check(Graph("infer", tuple(outputs)), name, precision)
        check_group(Graph("infer", tuple(outputs)), name, precision, draw.choice(tuple(GROUPS)))


def windows(draw: random.Random, rank: int) -> list[Window]:
    found = []
    while len(found) < rank:
        window = Window(
            draw.choice((1, 2, 3, 5, 7, 8, 14, 16, 17, 28, 33) if rank < 3 else (2, 3, 5, 17)),
            draw.choice((1, 2, 3, 5)),
            draw.choice((1, 1, 1, 2, 3)),
            draw.choice((1, 1, 2)),
            draw.choice((0, 1, 2)),
            draw.choice((0, 1, 2)),
        )
        if window.places >= 1:
            found.append(window)
    return found


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", range(24))
def test_convolutions(seed, name):
    """One to three axes, strides, dilation, padding, groups, transposed; bias and activation."""
    draw = random.Random(seed)
    precision = draw.choice(("f32", "f32", "f64"))
    rank = draw.choice((1, 2, 2, 2, 3))
    inside, places, taps = "ijk"[:rank], "pqr"[:rank], "tuv"[:rank]
    found = windows(draw, rank)
    tied = tuple((i + p + t, w) for i, p, t, w in zip(inside, places, taps, found, strict=True))
    filters, channels, groups = draw.choice((1, 2, 5, 6, 16)), draw.choice((1, 3)), ""
    elements, stands = tuple(w.length for w in found), tuple(w.places for w in found)
    shape = {"c": (channels,), "f": (filters,), "g": (2,), "": ()}
    if seed % 6 == 5:
        groups = "g"
    weights = (*shape[groups], filters, channels, *(w.size for w in found))
    w = source("parameter", "w", weights, False, precision)
    if seed % 4 == 3:
        x = source("input", "x", (*shape[groups], filters, *stands), True, precision)
        spec = f"{groups}f{places},{groups}fc{taps}->{groups}c{inside}"
        bias = (*shape[groups], channels)
    else:
        x = source("input", "x", (*shape[groups], channels, *elements), True, precision)
        spec = f"{groups}c{inside},{groups}fc{taps}->{groups}f{places}"
        bias = (*shape[groups], filters)
    y = make(Contract(spec, windows=tied), x, w)
    b = source("parameter", "b", bias, False, precision)
    z = make(Tanh(), add(mul(y, 0.1), broadcast(b, y.type.shape, tuple(range(len(bias))))))
    outputs = [Output("output", "z", z)] + [Output("output", "y", y)] * (seed % 3 == 0)
    check(Graph("infer", tuple(outputs)), name, precision)
    check_group(Graph("infer", tuple(outputs)), name, precision, (2, 5)[seed % 2])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", range(12))
def test_pools(seed, name):
    draw = random.Random(seed)
    precision, (rows, columns) = draw.choice(("f32", "f64")), windows(draw, 2)
    x = source("input", "x", (3, rows.length, columns.length), True, precision)
    kind = draw.choice(("max", "sum"))
    taps = unfold(x, ((1, rows), (2, columns)), -np.inf if kind == "max" else 0.0)
    y = make(Reduce(kind, (3, 4)), taps)
    if kind == "max":
        y = make(Tanh(), y)
    check(Graph("infer", (Output("output", "y", y),)), name, precision)
    check_group(Graph("infer", (Output("output", "y", y),)), name, precision, 5)


def outputs_alone(graph: Graph) -> Graph:
    return Graph("infer", tuple(o for o in graph.outputs if o.space == "output"))


@pytest.mark.parametrize("name", TARGETS)
@given(graph=functions())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_functions(name, graph):
    alone = outputs_alone(graph)
    if not alone.outputs or not has_one_sample(alone):
        return
    native = Native(one_sample(alone), name)
    for batch in BATCHES:
        env = drawn(graph, batch)
        scale = largest(graph, env)
        for key, value in interpret(alone, env).items():
            found = native(env)[key]
            np.testing.assert_allclose(
                found, np.broadcast_to(value, found.shape), rtol=1e-12, atol=1e-12 * scale
            )
