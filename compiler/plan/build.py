"""Graph → plan: choose what is stored, where it goes, what is fused, and the order of kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import StopGradient
from netc.compiler.ops.reduce import Lift
from netc.compiler.ops.source import Source
from netc.compiler.passes.one_sample import of_one_sample
from netc.compiler.plan import costs
from netc.compiler.plan.channels import by_channels
from netc.compiler.plan.epilogue import assign_epilogues
from netc.compiler.plan.fuse import accesses, choose_stored, in_memory, is_scalar_source
from netc.compiler.plan.in_place import in_place
from netc.compiler.plan.phases import phases
from netc.compiler.plan.plan import Buffer, Plan, Region, Store, Unit
from netc.compiler.plan.schedule import schedule
from netc.compiler.plan.storage import ELEMENT_BYTES, storage
from netc.compiler.plan.tiles import choose_tile, panel_elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node

PERSISTENT = ("parameter", "state", "optimizer", "gradient")
"""Spaces that are blocks of memory of the runtime; results go there directly."""


def build_plan(graph: Graph, lanes: int) -> Plan:
    """The plan of a function for a target with vectors of `lanes` elements."""
    graph = _own_results(graph, of_one_sample(graph))
    nodes = graph.nodes()
    stored = choose_stored(nodes, (o.node for o in graph.outputs))
    where = _sources(nodes, lanes)
    persistent = [o for o in graph.outputs if o.space in PERSISTENT]
    homes = _place_results(persistent, where, lanes)
    for i, node in enumerate(n for n in nodes if n in stored and n not in where):
        region: Region = "batch" if node.type.batched else "fixed"
        where[node] = homes.get(node) or Buffer(f"t{i}", region, storage(node.type, lanes).elements)
    stores = [_store(n, where[n], stored) for n in nodes if n in stored]
    stores += _extra_stores(persistent, where, lanes)
    epilogues = assign_epilogues(stores, where)
    stores = _without_consumed(stores, epilogues, graph)
    left = {s.node for s in stores}
    for node in [n for n in where if isinstance(n.op, Contract) and n not in left]:
        del where[node]
    contractions = [n for n in nodes if isinstance(n.op, Contract)]
    units = _packs(nodes, where)
    for unit in by_channels(schedule(stores, epilogues, contractions, where), where):
        units += _with_panel(replace(unit, at_once=_at_once(unit, lanes)), lanes)
    units += _leaving(graph)
    found = in_place(phases(units, where, lanes, alone=of_one_sample(graph)), where)
    return Plan(graph, lanes, tuple(u for phase in found for u in phase.units), where, found)


def _own_results(graph: Graph, one_sample: bool) -> Graph:
    """The graph with what leaves for the caller computed by the function itself.

    An output that does not depend on the sample is still one row for each sample, and a result that
    is a stored value may be overwritten before it leaves.
    """
    outputs = (Output(o.space, o.name, _own(o, one_sample)) for o in graph.outputs)
    return Graph(graph.name, tuple(outputs))


def _own(output: Output, one_sample: bool) -> Node:
    node = output.node
    if output.space == "output" and not node.type.batched and not one_sample:
        return make(Lift(), node)
    if output.space == "result" and in_memory(node):
        return make(StopGradient(), node)
    return node


def _sources(nodes: Sequence[Node], lanes: int) -> dict[Node, Buffer]:
    where: dict[Node, Buffer] = {}
    for node in nodes:
        if not isinstance(node.op, Source) or is_scalar_source(node):
            continue
        elements = storage(node.type, lanes).elements
        region: Region = node.op.space
        if region == "input":
            region = "batch" if node.op.batched else "fixed"
        where[node] = Buffer(node.op.name, region, elements)
    return where


def _place_results(
    outputs: Sequence[Output], where: dict[Node, Buffer], lanes: int
) -> dict[Node, Buffer]:
    """The persistent buffer that each result is computed into: the first that asks for it."""
    existing = {(b.region, b.name): b for b in where.values() if b.region != "batch"}
    homes: dict[Node, Buffer] = {}
    for output in outputs:
        if in_memory(output.node) or output.node in homes:
            continue
        elements = storage(output.node.type, lanes).elements
        found = existing.get((output.space, output.name))
        homes[output.node] = found or Buffer(output.name, output.space, elements)
    return homes


def _store(node: Node, buffer: Buffer, stored: set[Node]) -> Store:
    reads, scans = accesses(node, stored)
    return Store(node, buffer, reads, scans)


def _extra_stores(outputs: Sequence[Output], where: dict[Node, Buffer], lanes: int) -> list[Store]:
    """Copies of values that go to several places, or from one persistent place to another."""
    buffers = {(b.region, b.name): b for b in where.values()}
    extra: list[Store] = []
    for output in outputs:
        home = where[output.node]
        if (home.region, home.name) == (output.space, output.name):
            continue
        elements = storage(output.node.type, lanes).elements
        target = buffers.get((output.space, output.name))
        target = target or Buffer(output.name, output.space, elements)
        extra.append(Store(output.node, target, frozenset([output.node]), frozenset()))
    return extra


def _without_consumed(
    stores: Sequence[Store], epilogues: dict[Store, Node], graph: Graph
) -> list[Store]:
    """Drops products whose every use is in their own epilogue: they never reach memory."""
    needed = set(graph.roots)
    for store in stores:
        own = epilogues.get(store)
        needed.update(n for n in store.reads | store.scans if n is not own)
    return [
        s for s in stores
        if not isinstance(s.node.op, Contract) or s.node in needed or s in epilogues
    ]  # fmt: skip


def _packs(nodes: Sequence[Node], where: dict[Node, Buffer]) -> list[Unit]:
    inputs = [n for n in nodes if isinstance(n.op, Source) and n.op.space == "input"]
    return [Unit("pack", (Store(n, where[n], frozenset(), frozenset()),)) for n in inputs]


def _with_panel(unit: Unit, lanes: int) -> list[Unit]:
    """The unit, after the one that transposes an operand for it if it needs that."""
    if unit.contraction is None or not (size := panel_elements(unit.contraction, lanes)):
        return [unit]
    panel = Buffer("panel", "batch", size)
    transposed = Unit("panel", contraction=unit.contraction, panel=panel)
    return [transposed, replace(unit, panel=panel)]


def _at_once(unit: Unit, lanes: int) -> int:
    """Blocks that a product of large weights takes at once: as many as stay in the cache.

    0 where each chunk of samples may bring the weights into the cache again.
    """
    node = unit.contraction
    if node is None or (tile := choose_tile(node, lanes)).form != "samples":
        return 0
    if node.args[1 - tile.moving].type.size < costs.STREAMED_WEIGHTS:
        return 0
    elements = storage(node.args[tile.moving].type, lanes).elements
    return costs.chunk(elements * ELEMENT_BYTES[node.type.precision])


def _leaving(graph: Graph) -> list[Unit]:
    units = [Unit("unpack", outputs=(o,)) for o in graph.outputs if o.space == "output"]
    results = tuple(o for o in graph.outputs if o.space == "result")
    if results:
        units.append(Unit("results", outputs=results))
    return units
