"""Who does what: the kernels of a function in phases that threads share out.

Every thread runs the whole function. In a phase of blocks each does a range of the blocks of
samples, the same range in every such phase, in chunks: all kernels of the phase on one chunk after
the other, so what they pass on stays in the cache. In a phase of parts each does a part of every
kernel's results. In a single phase the first thread does everything.

Invariant: a kernel reads what another thread writes, or writes what another thread touches, only
with a barrier between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from netc.compiler.plan import costs
from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.work import unit_work
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Unit

Kind = Literal["blocks", "parts", "single"]


@record
class Phase:
    """Successive kernels; `barrier` says that the threads meet before it.

    `chunk` is the number of blocks that go through all kernels of a phase of blocks together.
    """

    kind: Kind
    units: tuple[Unit, ...]
    barrier: bool = False
    chunk: int = 0


@record
class Uses:
    """The buffers that a kernel reads and writes."""

    reads: frozenset[Buffer]
    writes: frozenset[Buffer]

    def conflicts(self, earlier: Uses) -> frozenset[Buffer]:
        """The buffers for which this kernel must come after an earlier one."""
        return (self.writes & (earlier.reads | earlier.writes)) | (self.reads & earlier.writes)


def uses(unit: Unit, where: Mapping[Node, Buffer]) -> Uses:
    """What a kernel reads and writes, as the plan says."""
    nodes = {n for s in unit.stores for n in s.reads | s.scans}
    nodes.update(o.node for o in unit.outputs)
    if unit.contraction is not None:
        nodes.update(view_base(a) for a in unit.contraction.args)
        nodes.discard(unit.contraction)
    reads = {where[n] for n in nodes if n in where}
    writes = {s.buffer for s in unit.stores}
    if unit.copy_to is not None:
        reads, writes = reads | writes, {unit.copy_to}
    if unit.panel is not None:
        (writes if unit.kind == "panel" else reads).add(unit.panel)
    return Uses(frozenset(reads), frozenset(writes))


def phases(
    units: Sequence[Unit], where: Mapping[Node, Buffer], lanes: int, *, alone: bool
) -> tuple[Phase, ...]:
    """The phases of kernels given in an order that is right; `alone`: for one thread, in order."""
    if alone:
        return (Phase("single", tuple(units)),)
    used = {unit: uses(unit, where) for unit in units}
    found: list[Phase] = []
    for together in _arranged(units, used):
        found += _phases(together, used, where, lanes)
    return _with_barriers(_merged(found), used)


# -- the order -------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class _Item:
    """A unit that waits for others; `apart` those of them that no phase may share with it."""

    number: int
    unit: Unit
    before: set[_Item] = field(default_factory=set)
    apart: set[_Item] = field(default_factory=set)
    after: list[_Item] = field(default_factory=list)


def _arranged(units: Sequence[Unit], used: Mapping[Unit, Uses]) -> list[list[Unit]]:
    """Units that need no barrier among each other: per block, then all others, in turn.

    What is ready joins as long as it can; units keep their order where nothing speaks against it.
    """
    items = _items(units, used)
    waiting = {item: len(item.before) for item in items}
    ready = [item.number for item in items if not item.before]
    found: list[list[Unit]] = []
    while ready:
        per_block = all(units[number].per_block for number in ready)
        group: dict[_Item, None] = {}
        left: list[int] = []  # what does not join a group never will
        while ready:
            chosen = items[heappop(ready)]
            if chosen.unit.per_block != per_block or not chosen.apart.isdisjoint(group):
                left.append(chosen.number)
                continue
            group[chosen] = None
            for other in chosen.after:
                waiting[other] -= 1
                if not waiting[other]:
                    heappush(ready, other.number)
        found.append([item.unit for item in group])
        ready = left
    return found


def _items(units: Sequence[Unit], used: Mapping[Unit, Uses]) -> list[_Item]:
    items = [_Item(number, unit) for number, unit in enumerate(units)]
    readers: dict[Buffer, list[_Item]] = {}
    writers: dict[Buffer, list[_Item]] = {}
    for item in items:
        own = used[item.unit]
        earlier = {o for b in own.reads | own.writes for o in writers.get(b, ())}
        earlier |= {o for b in own.writes for o in readers.get(b, ())}
        for other in earlier:
            item.before.add(other)
            other.after.append(item)
            if not _same_block(item.unit, other.unit, own.conflicts(used[other.unit])):
                item.apart.add(other)
        for users, buffers in ((readers, own.reads), (writers, own.writes)):
            for buffer in buffers:
                users.setdefault(buffer, []).append(item)
    return items


def _same_block(unit: Unit, other: Unit, conflicts: frozenset[Buffer]) -> bool:
    """Whether two kernels meet only in values of the same block of samples."""
    return unit.per_block and other.per_block and all(b.region == "batch" for b in conflicts)


# -- phases ----------------------------------------------------------------------------------------


def _phases(
    units: Sequence[Unit], used: Mapping[Unit, Uses], where: Mapping[Node, Buffer], lanes: int
) -> list[Phase]:
    """Phases of units that need no barrier among each other."""
    work = {unit: unit_work(unit, where, lanes).of(costs.USUAL_BLOCKS) for unit in units}
    if units[0].per_block:
        if sum(work.values()) < costs.SHARED_WORK:
            return [Phase("single", tuple(units))]
        return [Phase("blocks", tuple(units), chunk=_chunk(units, used))]
    small = tuple(u for u in units if work[u] < costs.SHARED_WORK)
    large = tuple(u for u in units if work[u] >= costs.SHARED_WORK)
    split: list[Phase] = [Phase("single", small)] if small else []
    return [*split, Phase("parts", large)] if large else split


def _chunk(units: Sequence[Unit], used: Mapping[Unit, Uses]) -> int:
    """Blocks that stay in the cache on their way through the kernels."""
    touched = {b for u in units for b in used[u].reads | used[u].writes if b.region == "batch"}
    precisions = [n.type.precision for u in units for n in _nodes(u)]
    width = ELEMENT_BYTES[precisions[0]] if precisions else ELEMENT_BYTES["f32"]
    return costs.chunk(width * sum(b.elements for b in touched))


def _nodes(unit: Unit) -> list[Node]:
    return [s.node for s in unit.stores] + [o.node for o in unit.outputs]


def _merged(found: Sequence[Phase]) -> list[Phase]:
    """Neighbouring single phases as one."""
    merged: list[Phase] = []
    for single, neighbours in groupby(found, lambda phase: phase.kind == "single"):
        if single:
            merged.append(Phase("single", tuple(u for p in neighbours for u in p.units)))
        else:
            merged += neighbours
    return merged


def _with_barriers(found: Sequence[Phase], used: Mapping[Unit, Uses]) -> tuple[Phase, ...]:
    """Barriers where a phase depends on what other threads do in phases since the last one."""
    result: list[Phase] = []
    since: list[Phase] = []
    for phase in found:
        barrier = any(_depends(phase, earlier, used) for earlier in since)
        since = [phase] if barrier else [*since, phase]
        result.append(Phase(phase.kind, phase.units, barrier, phase.chunk))
    return tuple(result)


def _depends(phase: Phase, earlier: Phase, used: Mapping[Unit, Uses]) -> bool:
    """Whether a phase needs what another thread does in an earlier one."""
    kinds = {phase.kind, earlier.kind}
    if kinds == {"single"}:
        return False
    for unit in phase.units:
        for other in earlier.units:
            conflicts = used[unit].conflicts(used[other])
            alike = kinds == {"blocks"} and _same_block(unit, other, conflicts)
            if conflicts and not alike:
                return True
    return False
