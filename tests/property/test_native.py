"""Native code computes what the interpreter does: random functions, every target and precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from netc.compiler.ir.interpret import interpret
from netc.compiler.passes.expand import expand
from tests.native import TARGETS, Native
from tests.property.functions import BATCHES, environment, functions, in_single, largest

TOLERANCE = {"f32": 2e-5, "f64": 1e-12}
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def same(graph, found, env, precision):
    """Equal within rounding of the largest number on the way; what is not finite stays so."""
    scale = largest(expand(graph), env)
    if precision == "f32" and scale > 1e6:
        return
    for key, value in interpret(graph, env).items():
        actual = np.asarray(found[key], np.float64)
        expected = np.broadcast_to(value, actual.shape)
        np.testing.assert_allclose(
            actual, expected, rtol=TOLERANCE[precision], atol=TOLERANCE[precision] * scale,
            err_msg=str(key),
        )  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@given(graph=functions())
@EXAMPLES
def test_native_equals_interpreter(name, precision, graph):
    native = Native(graph if precision == "f64" else in_single(graph), name)
    for batch in BATCHES:
        env = environment(graph, batch)
        same(graph, native(env), env, precision)


@given(graph=functions(steps=8, size=60))
@settings(EXAMPLES, max_examples=20)
def test_kernels_equal_interpreter(graph):
    native = Native(graph)
    for batch in (1, 9):
        env = environment(graph, batch)
        same(graph, native.interpreted(env), env, "f64")
