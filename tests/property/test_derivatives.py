"""Jacobians of random graphs: row by row, by whichever way they are formed, and in native code."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from netc.compiler.derive.derivatives import jacobian
from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, toposort
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.verify import verify
from netc.compiler.ops.movement import reshape, slice_axis
from netc.compiler.ops.source import Source
from netc.compiler.ops.text import show
from netc.compiler.passes.pipeline import run
from tests.native import Native
from tests.property.strategies import environment, graphs, noisy

LARGEST = 12


def rows(y: Node, v: Node) -> list[Node]:
    """The gradients of the elements of y, one by one."""
    flat = reshape(y, (y.type.size,))
    elements = [reshape(slice_axis(flat, 0, i, i + 1), ()) for i in range(y.type.size)]
    return [gradients(element, [v])[0] for element in elements]


@given(graph=graphs(), which=st.integers(0, 3), batch=st.sampled_from([1, 2, 5]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_jacobian_has_the_gradients_as_rows(graph: Graph, which: int, batch: int):
    y = graph.roots[which % len(graph.roots)]
    assume(1 <= y.type.size <= LARGEST)
    variables = [n for n in toposort([y]) if isinstance(n.op, Source) and n.op.space != "scalar"]
    for v in variables:
        if y.type.batched and not v.type.batched:
            continue  # row by row that would be the sum of all samples' Jacobians
        (found,) = jacobian(y, [v])
        outputs = [Output("output", "j", found)]
        outputs += [Output("output", f"r{i}", row) for i, row in enumerate(rows(y, v))]
        both = Graph("both", tuple(outputs))
        verify(both)
        note(show(both))
        check_rows(both, batch, v)


def check_rows(both: Graph, batch: int, v: Node) -> None:
    """Equal within the rounding that each row is open to itself.

    Where 0 times NaN stands in a row, the two ways spread it along different axes.
    """
    env = environment(both, batch)
    values = interpret(both, env)
    found = values.pop(("output", "j"))
    if not all(np.isfinite(row).all() for row in values.values()):
        return
    samples = [noisy(both, env, seed) for seed in range(4)]
    lead = int(both.roots[0].type.batched)
    flat = found.reshape(*found.shape[:lead], -1, *v.type.shape)
    for i, (key, row) in enumerate(values.items()):
        with np.errstate(all="ignore"):
            spread = np.max([np.abs(sample[key] - row) for sample in samples], axis=0)
            known = spread <= 1e-6 * np.abs(row)
            error = np.abs(np.take(flat, i, axis=lead) - row)
        assert np.all(error[known] <= (20 * spread + 1e-11 * np.abs(row))[known]), key


@given(graph=graphs(), which=st.integers(0, 3), batch=st.sampled_from([1, 5, 17]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_native_jacobians(graph: Graph, which: int, batch: int):
    y = graph.roots[which % len(graph.roots)]
    assume(1 <= y.type.size <= LARGEST)
    variables = [n for n in toposort([y]) if isinstance(n.op, Source) and n.op.space != "scalar"]
    assume(variables)
    whole = Graph("j", tuple(Output("output", f"j{i}", jacobian(y, [v])[0])
                             for i, v in enumerate(variables)))  # fmt: skip
    simple = run(whole)
    env = environment(whole, batch)
    note(show(simple))
    found, expected = Native(simple)(env), interpret(simple, env)
    samples = [noisy(simple, env, seed) for seed in range(4)]
    for key, value in expected.items():
        with np.errstate(all="ignore"):
            spread = np.max([np.abs(sample[key] - value) for sample in samples], axis=0)
            known = np.isfinite(value) & (spread <= 1e-6 * np.abs(value))
            error = np.abs(found[key] - value)  # what is unbatched leaves as a row for each sample
            most = np.where(known, 20 * spread + 1e-11 * np.abs(value), np.inf)
        assert np.all((error <= most) | ~known), key
