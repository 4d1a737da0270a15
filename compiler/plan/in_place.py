"""Batched values that take the memory of a value which they are the last to read.

That memory is in the cache, and there is less to hold in it. Invariant: a value is overwritten only
by a store that reads it at its own index and by nothing else of the same kernel that reads it; no
kernel touches it afterwards, and all that do before are in the same phase, where threads share out
blocks, or one does all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.ops.source import Source
from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.phases import Phase, uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Store, Unit


def in_place(found: Sequence[Phase], where: dict[Node, Buffer]) -> tuple[Phase, ...]:
    """The same phases with the stores redirected; corrects `where`."""
    own = dict(where)
    ends = _ends(found, own)
    result: list[Phase] = []
    for phase in found:
        units = tuple(_redirected(unit, ends.get(unit, set()), own, where) for unit in phase.units)
        result.append(replace(phase, units=units))
    return tuple(result)


def _ends(found: Sequence[Phase], own: dict[Node, Buffer]) -> dict[Unit, set[Buffer]]:
    """For each kernel of nests or a product the buffers that are free after it."""
    last: dict[Buffer, Unit] = {}
    phases: dict[Buffer, set[int]] = {}
    for number, phase in enumerate(found):
        for unit in phase.units:
            used = uses(unit, own)
            for buffer in used.reads | used.writes:
                last[buffer] = unit
                phases.setdefault(buffer, set()).add(number)
    ends: dict[Unit, set[Buffer]] = {}
    for buffer, unit in last.items():
        (first, *others) = phases[buffer]
        shared = bool(others) or found[first].kind == "parts"
        if buffer.region == "batch" and unit.kind in ("nests", "contract") and not shared:
            ends.setdefault(unit, set()).add(buffer)
    return ends


def _redirected(
    unit: Unit, free: set[Buffer], own: dict[Node, Buffer], where: dict[Node, Buffer]
) -> Unit:
    """A kernel whose stores go where an earlier value that they read lies, if it is the last."""
    operands = () if unit.contraction is None else map(view_base, unit.contraction.args)
    free = free - {own[n] for n in operands if n in own} - {s.buffer for s in unit.stores}
    stores: list[Store] = []
    for store in unit.stores:
        others = (s for s in unit.stores if s is not store)
        node = _overwritten(store, others, free, own)
        if node is None:
            stores.append(store)
            continue
        free.discard(own[node])
        where[store.node] = where[node]
        stores.append(replace(store, buffer=where[node]))
    return replace(unit, stores=tuple(stores))


def _overwritten(
    store: Store, others: Iterable[Store], free: set[Buffer], own: dict[Node, Buffer]
) -> Node | None:
    """The value whose memory a store may take."""
    if store.buffer.region != "batch" or own.get(store.node) is not store.buffer:
        return None
    read = {node for other in others for node in other.reads | other.scans}
    fitting = (
        node
        for node in store.reads - read
        if own.get(node) in free and node.type == store.node.type
        if not isinstance(node.op, Source)
    )
    return min(fitting, key=lambda node: own[node].name, default=None)
