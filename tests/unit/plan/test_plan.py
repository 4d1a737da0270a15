"""Every plan keeps its promises, by the independent checker; broken plans do not pass it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from netc.compiler.driver import Program, compile_text
from netc.compiler.ir.interpret import interpret
from netc.compiler.loops.lower import lower
from netc.compiler.passes.expand import expand
from netc.compiler.plan import schedule
from netc.compiler.plan.build import build_plan
from netc.compiler.plan.memory import place
from netc.compiler.plan.plan import Memory
from netc.grammar.source import Source
from tests.native import TARGETS, Native, assert_native_equals, manifest_of
from tests.property.functions import environment, functions
from tests.unit.plan.checker import PlanError, check, together
from tests.unit.plan.in_place import CASES, function, most

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.net"))


@cache
def program(path: Path, target: str) -> Program:
    return compile_text(Source(path.name, path.read_text(encoding="utf-8")), target=target)


def checked(graph, lanes: int) -> None:
    """Plans a graph and checks the plan, without native code."""
    plan = build_plan(graph, lanes)
    memory = place(plan, 8)
    manifest = manifest_of(graph, "f64", lanes)
    check(plan, memory, lower(plan, 32, manifest.results), manifest)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_plans_of_examples(path):
    compiled = program(path, TARGETS[0])
    manifest = compiled.manifest
    for name in manifest.functions:
        if name != "train":  # the same plan as step
            stages = compiled.stages(name)
            check(stages.plan, stages.memory, stages.launches, manifest, together(manifest, name))


@given(graph=functions())
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_plans_of_random_functions(graph):
    for lanes in (2, 8):
        checked(expand(graph), lanes)


@pytest.mark.parametrize("name", CASES)
def test_values_that_are_overwritten(name):
    graph = CASES[name]
    native = Native(graph)
    check(native.plan, native.memory, native.launches, native.manifest)
    for batch in (1, 19):
        env = environment(graph, batch)
        expected = interpret(graph, env)
        assert_native_equals(expected, native(env), 1e-13)
        assert_native_equals(expected, native.interpreted(env), 1e-13)


def step_of(name: str):
    (path,) = (p for p in EXAMPLES if p.stem == name)
    compiled = program(path, TARGETS[0])
    return compiled.stages("step"), compiled.manifest


def test_it_sees_memory_shared_by_values_in_use():
    stages, manifest = step_of("digits")
    offsets = dict.fromkeys(stages.memory.offsets, 0)
    broken = Memory(offsets, stages.memory.fixed, stages.memory.per_block)
    with pytest.raises(PlanError, match="overlap"):
        check(stages.plan, broken, stages.launches, manifest)


def test_it_sees_one_value_placed_over_another():
    """Not only the crudest mistake: any two values in use at once."""
    stages, manifest = step_of("xor")
    offsets = stages.memory.offsets
    seen = 0
    for buffer in offsets:
        for other in offsets:
            if buffer.region == other.region and offsets[buffer] != offsets[other]:
                moved = replace(stages.memory, offsets={**offsets, buffer: offsets[other]})
                try:
                    check(stages.plan, moved, stages.launches, manifest)
                except PlanError:
                    seen += 1
    assert seen > len(offsets)


def test_it_sees_an_unaligned_value():
    stages, manifest = step_of("xor")
    offsets = stages.memory.offsets
    moved = {b: o + 4 if b.region == "fixed" else o for b, o in offsets.items()}
    with pytest.raises(PlanError):
        check(stages.plan, replace(stages.memory, offsets=moved), stages.launches, manifest)


def test_it_sees_kernels_in_the_wrong_order():
    stages, manifest = step_of("digits")
    swapped = list(stages.launches)
    place_of = [i for i, s in enumerate(swapped) if s.unit.kind == "contract"][:2]
    swapped[place_of[0]], swapped[place_of[1]] = swapped[place_of[1]], swapped[place_of[0]]
    with pytest.raises(PlanError, match="before it is stored"):
        check(stages.plan, stages.memory, swapped, manifest)


@pytest.mark.parametrize(
    "name", ["each reads the other turned", "a view of a product's operand is stored",
             "each reads the other, a third turns one"],
)  # fmt: skip
def test_it_sees_a_dropped_wait_for_old_values(name, monkeypatch):
    """Without `behind` results go home at once, whoever still needs what was there."""
    connect = schedule._connect

    def careless(items, where):
        connect(items, where)
        for item in items:
            item.behind.clear()

    monkeypatch.setattr(schedule, "_connect", careless)
    with pytest.raises(PlanError, match=r"old value|overwritten"):
        checked(CASES[name], 8)


def test_it_sees_memory_that_is_too_small():
    stages, manifest = step_of("xor")
    kernels = list(stages.launches)
    for i, launch in enumerate(kernels):
        for n, buffer in enumerate(launch.buffers):
            if buffer.region not in ("batch", "fixed"):
                continue
            small = replace(buffer, elements=buffer.elements - 1)
            offsets = stages.memory.offsets
            memory = replace(stages.memory, offsets={**offsets, small: offsets[buffer]})
            buffers = (*launch.buffers[:n], small, *launch.buffers[n + 1 :])
            changed = [*kernels[:i], replace(launch, buffers=buffers), *kernels[i + 1 :]]
            with pytest.raises(PlanError):
                check(stages.plan, memory, changed, manifest)


def test_a_result_of_two_names_is_stored_twice_and_nowhere_else():
    graph = function(u=most, v=most)
    plan = build_plan(graph, 8)
    homes = [s.buffer.name for unit in plan.units for s in unit.stores if s.node is most]
    assert sorted(homes) == ["u", "v"]
    assert {b.region for b in place(plan, 8).offsets} == {"batch"}
