"""Every pass keeps the value of every graph, is idempotent, and leaves a valid graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.verify import verify
from netc.compiler.ops.text import read, show
from netc.compiler.passes.pipeline import PASSES, Pass, run
from tests.property.strategies import environment, graphs

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph


def same_values(before: Graph, after: Graph, batch: int) -> None:
    """What is finite stays equal within rounding; the rest may only become better."""
    note(show(before) + show(after))
    env = environment(before, batch)
    found, expected = interpret(after, env), interpret(before, env)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        finite = np.isfinite(value) & (np.abs(value) < 1e6)
        scale = max(1.0, float(np.max(np.abs(value[finite]), initial=0)))
        np.testing.assert_allclose(found[key][finite], value[finite], rtol=1e-7, atol=1e-9 * scale)


@pytest.mark.parametrize("step", PASSES, ids=lambda p: p.name)
@given(graph=graphs(), batch=st.sampled_from([1, 2, 17]))
@settings(max_examples=800, deadline=None)
def test_a_pass_keeps_values_and_is_idempotent(step: Pass, graph: Graph, batch: int):
    after = step.apply(graph)
    verify(after)
    assert step.apply(after) == after
    same_values(graph, after, batch)


@given(graph=graphs(steps=20), batch=st.sampled_from([1, 2, 17]))
@settings(max_examples=800, deadline=None)
def test_the_pipeline_keeps_values(graph: Graph, batch: int):
    after = run(graph)
    verify(after)
    same_values(graph, after, batch)


@given(graph=graphs(steps=20))
@settings(max_examples=800, deadline=None)
def test_text_reads_back_to_the_same_nodes(graph: Graph):
    verify(graph)
    assert read(show(graph)) == graph
