"""Values that take the memory of one which they are the last to read, and those that must not."""

from __future__ import annotations

import pytest

from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import Contract, contract
from netc.compiler.ops.movement import transpose
from netc.compiler.ops.source import source
from netc.compiler.plan import in_place
from netc.compiler.plan.build import build_plan
from tests.native import TARGETS, Native, assert_native_equals
from tests.property.functions import environment
from tests.unit.plan.checker import PlanError, check


def weight_gradient(value: Node, delta: Node) -> Node:
    return make(Contract("k,n->kn", sum_batch=True), value, delta)


def step(*results: Node) -> Graph:
    return Graph("step", tuple(Output("state", f"r{i}", node) for i, node in enumerate(results)))


x = source("input", "x", (5,), True, "f64")
square = source("input", "square", (4, 4), True, "f64")
w1 = source("parameter", "w1", (5, 6), False, "f64")
w2 = source("parameter", "w2", (6, 7), False, "f64")
w3 = source("parameter", "w3", (4, 4), False, "f64")
h = make(e.Tanh(), contract("k,kn->n", x, w1))
delta2 = make(e.Tanh(), contract("k,kn->n", h, w2))
delta1 = e.mul(contract("n,kn->k", delta2, w2), e.sub(1.0, e.mul(h, h)))
sides = make(e.Tanh(), contract("ik,kn->in", square, w3))
further = make(e.Tanh(), contract("ik,kn->in", sides, w3))
turned = e.mul(contract("ik,kn->in", further, w3), transpose(sides, (1, 0)))

TAKEN = step(weight_gradient(x, delta1))
READ_LATER = step(weight_gradient(x, delta1), weight_gradient(h, delta2))
TURNED = step(make(Contract("ab,bc->ac", sum_batch=True), square, turned))


def shared(graph: Graph, one: Node, other: Node) -> bool:
    where = build_plan(graph, 8).where
    return where[one] is where[other]


def test_a_derivative_takes_the_place_of_the_activation_that_it_reads():
    assert shared(TAKEN, h, delta1)
    assert not shared(TAKEN, h, delta2)


def test_a_value_that_a_later_product_reads_stays():
    assert not shared(READ_LATER, h, delta1)


def test_a_value_that_is_read_at_other_places_stays():
    assert not shared(TURNED, sides, turned)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("graph", [TAKEN, READ_LATER, TURNED])
def test_the_results_are_those_of_the_interpreter(graph, name):
    native = Native(graph, name)
    check(native.plan, native.memory, native.launches, native.manifest)
    for batch in (1, 19):
        env = environment(graph, batch)
        assert_native_equals(interpret(graph, env), native(env), 1e-13)


def test_the_checker_sees_a_value_overwritten_too_early(monkeypatch):
    """Here every kernel believes to be the last that touches what it reads."""

    def careless(found, own):
        return {unit: set(own.values()) for phase in found for unit in phase.units}

    monkeypatch.setattr(in_place, "_ends", careless)
    native = Native(READ_LATER)
    with pytest.raises(PlanError, match="old value"):
        check(native.plan, native.memory, native.launches, native.manifest)


def test_the_checker_sees_a_value_overwritten_before_its_kernel_has_read_it(monkeypatch):
    def careless(store, others, free, own):
        return next((n for n in store.scans if own.get(n) in free and n.type.batched), None)

    monkeypatch.setattr(in_place, "_overwritten", careless)
    native = Native(TURNED)
    with pytest.raises(PlanError, match="overwritten"):
        check(native.plan, native.memory, native.launches, native.manifest)
