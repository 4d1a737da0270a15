"""Every op in native code equals the interpreter: all targets, precisions, shapes and batchings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from netc.compiler.backend.errors import TargetError
from netc.compiler.backend.target import target
from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment, Sample
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ops import OPS
from netc.compiler.ops.source import source
from tests.native import DTYPE, Native, assert_native_equals

SAMPLES = [s for op in OPS for s in op.samples()]
TOLERANCE = {"f32": 3e-6, "f64": 1e-14}


def available(name: str) -> bool:
    try:
        target(name)
    except TargetError:
        return False
    return True


TARGETS = [name for name in ("avx512", "avx2", "portable") if available(name)]


BATCHES = (1, 5, 16, 17, 37)


def graphs(sample: Sample, precision: str):
    """One graph for each way to batch the operands that the op accepts."""
    for batched in itertools.product((False, True), repeat=len(sample.shapes)):
        args = [
            source("input" if b else "parameter", f"a{i}", shape, b, precision)
            for i, (shape, b) in enumerate(zip(sample.shapes, batched, strict=True))
        ]
        try:
            node = make(sample.op, *args)
        except TypeRuleError:
            continue
        space = "output" if node.type.batched else "parameter"
        yield Graph("step", (Output(space, "y", node),)), args


def environment(sample: Sample, args, batch: int) -> Environment:
    rng = np.random.default_rng(batch)
    values = {}
    for i, arg in enumerate(args):
        low, high = sample.ranges[i % len(sample.ranges)]
        full = ((batch,) if arg.type.batched else ()) + arg.type.shape
        drawn = rng.uniform(low, high, full)
        values[arg.op.space, arg.op.name] = drawn.astype(DTYPE[arg.type.precision])
    return Environment(values, batch, seed=3, step=2)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.op}{s.shapes}")
def test_native_equals_interpreter(sample, name):
    precision = "f64" if len(sample.shapes[0]) % 2 else "f32"
    for graph, args in graphs(sample, precision):
        native = Native(graph, name)
        for batch in BATCHES:
            env = environment(sample, args, batch)
            assert_native_equals(interpret(graph, env), native(env), TOLERANCE[precision])
