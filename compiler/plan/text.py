"""The text of a plan: what `netc ir --stage fused` prints."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from netc.compiler.plan.tiles import choose_tile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.phases import Phase
    from netc.compiler.plan.plan import Buffer, Memory, Plan, Unit


def show_plan(
    plan: Plan,
    memory: Memory,
    numbers: Mapping[Node, str],
    origins: Mapping[Node, object] | None = None,
) -> str:
    """Kernels in order, what each stores and where. `numbers` are the nodes' names in the graph.

    `origins` gives the places that nodes come from.
    """
    lines = [
        f"plan {plan.graph.name}: {len(plan.units)} kernels, vectors of {plan.lanes},"
        f" arena {memory.fixed} + {memory.per_block} bytes for each {plan.lanes} samples"
    ]
    number = count()
    for phase in plan.phases:
        lines.append(_phase(phase))
        for unit in phase.units:
            head = f"{next(number):3} {_head(unit, plan, numbers)}"
            lines.append(head + _comment(unit.contraction, origins))
            for store in unit.stores:
                place = _place(store.buffer, memory)
                line = f"      {numbers[store.node]} : {store.node.type} -> {place}"
                lines.append(line + _comment(store.node, origins))
    return "\n".join(lines)


def _comment(node: Node | None, origins: Mapping[Node, object] | None) -> str:
    return f"  # {origins[node]}" if node is not None and origins and node in origins else ""


def _phase(phase: Phase) -> str:
    """Who does the kernels that follow, and whether the threads meet before."""
    who = {
        "blocks": f"each thread its blocks, {phase.chunk} at a time",
        "parts": "each thread its part of the results",
        "single": "the first thread",
    }
    return f"{'barrier, ' if phase.barrier else ''}{who[phase.kind]}:"


def _head(unit: Unit, plan: Plan, numbers: Mapping[Node, str]) -> str:
    node = unit.contraction
    if node is not None and unit.kind == "panel":
        operand = node.args[choose_tile(node, plan.lanes).moving]
        return f"panel of {numbers[operand]} for {numbers[node]}"
    if node is not None:
        operands = ", ".join(numbers[a] for a in node.args)
        form = choose_tile(node, plan.lanes).form
        return f"contract {numbers[node]} = {node.op} {operands} : {node.type}, tiled by {form}"
    if unit.copy_to is not None:
        return f"copy to {unit.copy_to.region} {unit.copy_to.name}"
    if unit.outputs:
        return f"{unit.kind} {', '.join(o.name for o in unit.outputs)}"
    return unit.kind


def _place(buffer: Buffer, memory: Memory) -> str:
    if buffer not in memory.offsets:
        return f"{buffer.region} {buffer.name}"
    unit = "bytes/block" if buffer.region == "batch" else "bytes"
    return f"{buffer.name} at {memory.offsets[buffer]} {unit}"
