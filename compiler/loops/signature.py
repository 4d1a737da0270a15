"""The structure of a unit without its names: equal signatures mean equal kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.plan.fuse import view_base
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Plan, Unit


@record
class Signature:
    """A hashable key, and the unit's buffers in the order in which the key numbers them."""

    key: object
    buffers: tuple[Buffer, ...]


def signature(plan: Plan, unit: Unit) -> Signature | None:
    """The signature of a unit of computing; None for those at the border of a function."""
    if unit.kind not in ("nests", "channels", "contract", "panel"):
        return None
    buffers: dict[Buffer, int] = {}
    numbers: dict[Node, int] = {}
    entries: list[object] = []
    made_here = {s.node for s in unit.stores if plan.where.get(s.node) is s.buffer}
    roots = [s.node for s in unit.stores]
    if unit.contraction is not None:
        made_here.add(unit.contraction)
        roots.append(unit.contraction)

    def inputs(node: Node) -> tuple[Node, ...]:
        return () if node in plan.where and node not in made_here else node.args

    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        missing = [a for a in inputs(node) if a not in numbers]
        if missing:
            stack.extend(reversed(missing))
            continue
        stack.pop()
        if node in numbers:
            continue
        numbers[node] = len(numbers)
        if node in plan.where and node not in made_here:
            place = buffers.setdefault(plan.where[node], len(buffers))
            entries.append((node.type, place))
        else:
            entries.append((node.op, node.type, tuple(numbers[a] for a in node.args)))
    stores = tuple(
        (numbers[s.node], s.node in made_here, buffers.setdefault(s.buffer, len(buffers)))
        for s in unit.stores
    )
    if unit.panel is not None:
        buffers.setdefault(unit.panel, len(buffers))
    if unit.contraction is not None:
        entries.append((numbers[unit.contraction], *_operands(plan, unit.contraction, buffers)))
    return Signature((unit.kind, tuple(entries), stores), tuple(buffers))


def _operands(plan: Plan, contraction: Node, buffers: dict[Buffer, int]) -> Iterator[object]:
    """The views that a contraction reads; what they pass may have memory of its own as well."""
    for arg in contraction.args:
        base, node = view_base(arg), arg
        while node is not base:
            yield node.op, node.type
            node = node.args[0]
        yield base.type, buffers.setdefault(plan.where[base], len(buffers))
