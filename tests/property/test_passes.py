"""Every pass keeps the value of every graph, is idempotent, and leaves a valid graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.verify import verify
from netc.compiler.ops.reader import read
from netc.compiler.ops.text import show
from netc.compiler.passes.pipeline import PASSES, Pass, run
from tests.property.strategies import environment, graphs, noisy

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph


def same_values(before: Graph, after: Graph, batch: int) -> None:
    """Equal within the rounding that each value of the original graph is open to itself."""
    note(show(before) + show(after))
    env = environment(before, batch)
    found, expected = interpret(after, env), interpret(before, env)
    samples = [noisy(before, env, seed) for seed in range(4)]
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        with np.errstate(all="ignore"):
            spread = np.max([np.abs(sample[key] - value) for sample in samples], axis=0)
            known = np.isfinite(value) & (spread <= 1e-6 * np.abs(value))
            error = np.abs(found[key] - value)
        assert np.all(error[known] <= (20 * spread + 1e-11 * np.abs(value))[known]), key


@pytest.mark.parametrize("step", PASSES, ids=lambda p: p.name)
@given(graph=graphs(), batch=st.sampled_from([1, 2, 17]))
@settings(max_examples=60, deadline=None)
def test_a_pass_keeps_values_and_is_idempotent(step: Pass, graph: Graph, batch: int):
    after = step.apply(graph)
    verify(after)
    assert step.apply(after) == after
    same_values(graph, after, batch)


@given(graph=graphs(steps=20), batch=st.sampled_from([1, 2, 17]))
@settings(max_examples=60, deadline=None)
def test_the_pipeline_keeps_values(graph: Graph, batch: int):
    after = run(graph)
    verify(after)
    same_values(graph, after, batch)


@given(graph=graphs(steps=20))
@settings(max_examples=60, deadline=None)
def test_text_reads_back_to_the_same_nodes(graph: Graph):
    verify(graph)
    assert read(show(graph)) == graph
