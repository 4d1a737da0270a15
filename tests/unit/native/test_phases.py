"""Native functions give the same bits by any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from netc.compiler.ir.graph import Graph
from netc.compiler.plan import costs
from tests.native import TARGETS, Native
from tests.property.functions import environment, functions
from tests.unit.loops.test_parts import NETS, graph_of
from tests.unit.plan.checker import check
from tests.unit.plan.in_place import CASES


@pytest.fixture(autouse=True, params=["blocks", "rows"])
def _everything_is_worth_sharing(request, monkeypatch):
    monkeypatch.setattr(costs, "SHARED_WORK", 0)
    if request.param == "rows":
        monkeypatch.setattr(costs, "STREAMED_WEIGHTS", 0)
    monkeypatch.setattr(costs, "CHUNK_BYTES", 1)
    monkeypatch.setattr(costs, "LEAST_CHUNK", 2)


def same_bits(graph: Graph, batch: int, target: str) -> None:
    native = Native(graph, target)
    check(native.plan, native.memory, native.launches, native.manifest)
    env = environment(graph, batch)
    alone = native(env)
    for threads in (2, 3, 5):
        found = native(env, threads)
        for key, value in alone.items():
            np.testing.assert_array_equal(found[key], value, err_msg=str((key, threads)))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETS)
def test_nets(name, target):
    for batch in (1, 19, 64):
        same_bits(graph_of(name), batch, target)


@pytest.mark.parametrize("name", CASES)
def test_values_that_are_overwritten(name):
    same_bits(CASES[name], 40, TARGETS[-1])


@given(graph=functions())
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
def test_random_functions(graph):
    same_bits(graph, 40, TARGETS[-1])


def test_threads_share_products_blocks_and_results():
    kinds = [phase.kind for phase in Native(graph_of("dense")).plan.phases]
    assert {"blocks", "parts"} <= set(kinds)
