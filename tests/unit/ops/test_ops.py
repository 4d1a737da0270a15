"""Generated for every op of OPS: value, first and second derivative, text, batch mixes."""

from __future__ import annotations

import zlib
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment, Sample
from netc.compiler.ir.verify import verify
from netc.compiler.ops import OPS
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.custom import Custom
from netc.compiler.ops.elementwise import add, mul
from netc.compiler.ops.orthonormal import Orthonormalise
from netc.compiler.ops.reader import read
from netc.compiler.ops.reduce import BatchReduce, Lift, batch_sum, reduce_sum
from netc.compiler.ops.source import Source, SourceForm, source
from netc.compiler.ops.text import show
from tests.reference import SAMPLEWISE, over_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SAMPLES = [sample for op in OPS for sample in op.samples()]
NAMES = [f"{s.op.word}-{s.op}-{s.shapes}" for s in SAMPLES]
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
STEPS = {"sign", "floor", "ceil", "round", "isnan", "lt", "le", "gt", "ge", "eq", "ne", "and", "or",
         "not", "stop_gradient"}  # fmt: skip

WITHOUT_SAMPLES = {
    Orthonormalise: "of initial values only, where the interpreter runs it",
    Custom: "its rule need not agree with its value; see tests/unit/ops/test_custom.py",
}


def mixes(sample: Sample) -> list[tuple[bool, ...]]:
    """Which operands are batched: every combination that the op accepts."""
    count = len(sample.shapes)
    if isinstance(sample.op, BatchReduce) or getattr(sample.op, "sum_batch", False):
        return [(True,) * count]
    if isinstance(sample.op, Lift):
        return [(False,)]
    return list(product((False, True), repeat=count))


def build(sample: Sample, mix: Sequence[bool]) -> tuple[Node, list[Node]]:
    pairs = zip(sample.shapes, mix, strict=True)
    args = [source("input", f"x{i}", shape, b, "f64") for i, (shape, b) in enumerate(pairs)]
    return make(sample.op, *args), args


def draw(sample: Sample, args: Sequence[Node], batch: int) -> dict[str, np.ndarray]:
    """Shuffled evenly spaced numbers: no two are close, and none is close to 0."""
    rng = np.random.default_rng(zlib.crc32(repr((sample, batch)).encode()))
    ranges = sample.ranges * len(args) if len(sample.ranges) == 1 else sample.ranges
    shapes = [(batch,) * a.type.batched + a.type.shape for a in args]
    unit = (rng.permutation(sum(map(prod, shapes))) + 0.37) / sum(map(prod, shapes))
    values: dict[str, np.ndarray] = {}
    for i, (shape, (low, high)) in enumerate(zip(shapes, ranges, strict=True)):
        part, unit = np.split(unit, [prod(shape)])
        values[f"x{i}"] = (low + (high - low) * part).reshape(shape)
    return values


def value(root: Node, values: dict[str, np.ndarray], batch: int) -> np.ndarray:
    env = Environment({("input", k): v for k, v in values.items()}, batch)
    return evaluate([root], env)[0]


def test_every_op_has_samples_and_a_reference():
    for op in OPS:
        if op in WITHOUT_SAMPLES:
            assert not op.samples(), op
        elif not issubclass(op, SourceForm):
            assert op.samples(), op
            assert op in SAMPLEWISE or op is BatchReduce, op


@each_sample
@pytest.mark.parametrize("batch", [1, 2, 17])
def test_value_equals_the_reference(sample: Sample, batch: int):
    for mix in mixes(sample):
        node, args = build(sample, mix)
        values = draw(sample, args, batch)
        found = value(node, values, batch)
        assert found.shape == (batch,) * node.type.batched + node.type.shape
        assert found.dtype == np.float64
        arrays = [values[f"x{i}"] for i in range(len(args))]
        if isinstance(sample.op, BatchReduce) or getattr(sample.op, "sum_batch", False):
            np.testing.assert_allclose(found, over_batch(sample.op, *arrays), rtol=1e-12)
            continue
        for b in range(batch):
            one = [x[b] if a.type.batched else x for x, a in zip(arrays, args, strict=True)]
            expected = SAMPLEWISE[type(sample.op)](sample.op, *one)
            at = found[b] if node.type.batched else found
            np.testing.assert_allclose(at, expected, rtol=1e-12, atol=1e-14)


def weighted(node: Node) -> Node:
    """A scalar that sees every element with another weight."""
    weight = source("input", "weight", node.type.shape, node.type.batched, "f64")
    total = reduce_sum(mul(mul(node, weight), node), tuple(range(node.type.rank)))
    return batch_sum(total) if total.type.batched else total


def slope(f: Callable[[float], float], h: float = 2e-4) -> float:
    """f'(0) by central differences, extrapolated once more (error h^6)."""

    def central(h: float) -> float:
        return (f(h) - f(-h)) / (2 * h)

    once = [(4 * central(h / 2**k / 2) - central(h / 2**k)) / 3 for k in range(2)]
    return (16 * once[1] - once[0]) / 15


def check_gradients(root: Node, args: Sequence[Node], values: dict[str, np.ndarray], batch: int):
    """The gradient against the slope along one random direction of all operands."""
    rng = np.random.default_rng(5)
    direction = {f"x{i}": rng.normal(size=values[f"x{i}"].shape) for i in range(len(args))}
    pulled = gradients(root, args)
    for arg, g in zip(args, pulled, strict=True):
        assert g.type == arg.type
    env = Environment({("input", k): v for k, v in values.items()}, batch)
    found = sum(float(np.sum(g * direction[f"x{i}"])) for i, g in enumerate(evaluate(pulled, env)))

    def along(t: float) -> float:
        moved = {k: v + t * direction[k] if k in direction else v for k, v in values.items()}
        return float(value(root, moved, batch))

    assert found == pytest.approx(slope(along), rel=1e-6, abs=1e-8)


@each_sample
@pytest.mark.parametrize("batch", [1, 2, 17])
def test_gradient_equals_the_slope(sample: Sample, batch: int):
    for mix in mixes(sample):
        node, args = build(sample, mix)
        root = weighted(node)
        values = draw(sample, args, batch)
        rng = np.random.default_rng(3)
        values["weight"] = rng.normal(size=(batch,) * node.type.batched + node.type.shape)
        if is_step(sample):
            for g, arg in zip(gradients(node, args), args, strict=True):
                assert g.type == arg.type
            continue
        check_gradients(root, args, values, batch)


def is_step(sample: Sample) -> bool:
    return sample.op.word in STEPS or getattr(sample.op, "kind", "").startswith("arg")


@each_sample
def test_second_derivative_equals_the_slope_of_the_first(sample: Sample):
    if is_step(sample):
        pytest.skip("the derivative is 0 everywhere")
    batch = 2
    for mix in mixes(sample):
        node, args = build(sample, mix)
        values = draw(sample, args, batch)
        rng = np.random.default_rng(3)
        values["weight"] = rng.normal(size=(batch,) * node.type.batched + node.type.shape)
        total = None
        for i, g in enumerate(gradients(weighted(node), args)):
            u = source("input", f"u{i}", g.type.shape, g.type.batched, "f64")
            values[f"u{i}"] = rng.normal(size=(batch,) * g.type.batched + g.type.shape)
            part = reduce_sum(mul(g, u), tuple(range(g.type.rank)))
            part = batch_sum(part) if part.type.batched else part
            total = part if total is None else add(total, part)
        check_gradients(total, args, values, batch)


@each_sample
def test_text_round_trip(sample: Sample):
    for mix in mixes(sample):
        node, args = build(sample, mix)
        roots = [node, *gradients(node, args)]
        graph = Graph("f", tuple(Output("output", f"y{i}", n) for i, n in enumerate(roots)))
        verify(graph)
        again = read(show(graph))
        assert again == graph
        assert all(a is b for a, b in zip(again.roots, graph.roots, strict=True))


def test_products_of_a_batch_take_the_sum_into_the_contraction():
    x, w = source("input", "x", (3,), True, "f32"), source("parameter", "w", (3, 4), False, "f32")
    (g,) = gradients(make(Contract("i,ij->j"), x, w), [w])
    assert isinstance(g.op, Contract)
    assert g.op.sum_batch
    assert all(
        not isinstance(n.op, BatchReduce) for n in Graph("f", (Output("output", "g", g),)).nodes()
    )


def test_a_source_is_no_op_of_arguments():
    assert Source("input", "x", (3,), True, "f32").samples() == ()
