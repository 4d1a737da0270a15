"""Arena offsets by liveness: buffers that are never alive together may share memory.

Two spaces keep offsets static under a symbolic batch: `batch` buffers count bytes for each block of
samples, `fixed` buffers count bytes. Batch buffers that do not overlap in bytes per block do not
overlap for any number of blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.plan import Memory

if TYPE_CHECKING:
    from netc.compiler.plan.phases import Phase
    from netc.compiler.plan.plan import Buffer, Plan, Unit

ALIGNMENT: Final = 64


def touched(plan: Plan, unit: Unit) -> set[Buffer]:
    """Every buffer that a kernel reads or writes."""
    nodes = {n for s in unit.stores for n in (s.node, *s.reads, *s.scans)}
    if unit.contraction is not None:
        nodes.update(view_base(a) for a in unit.contraction.args)
    nodes.update(o.node for o in unit.outputs)
    found = {plan.where[n] for n in nodes if n in plan.where}
    found.update(s.buffer for s in unit.stores)
    found.update(b for b in (unit.panel, unit.copy_to) if b is not None)
    return found


def lifetimes(plan: Plan) -> dict[Buffer, tuple[int, int]]:
    """First and last moment at which each arena buffer is touched."""
    spans: dict[Buffer, tuple[int, int]] = {}
    for i, units in enumerate(_moments(plan)):
        for unit in units:
            for buffer in touched(plan, unit):
                if buffer.region in ("batch", "fixed"):
                    spans[buffer] = (spans.get(buffer, (i, i))[0], i)
    return spans


def _moments(plan: Plan) -> list[tuple[Unit, ...]]:
    """Kernels that may run at the same time: between two barriers, unless one thread does all."""
    between: list[list[Phase]] = []
    for phase in plan.phases:
        if phase.barrier or not between:
            between.append([])
        between[-1].append(phase)
    moments: list[tuple[Unit, ...]] = []
    for together in between:
        if {phase.kind for phase in together} == {"single"}:
            moments += [(unit,) for phase in together for unit in phase.units]
        else:
            moments.append(tuple(unit for phase in together for unit in phase.units))
    return moments


def place(plan: Plan, element_bytes: int) -> Memory:
    """Offsets for all arena buffers: the largest first, each at the lowest place that is free."""
    spans = lifetimes(plan)
    offsets: dict[Buffer, int] = {}
    sizes = {b: _aligned(b.elements * element_bytes) for b in spans}
    totals = {"batch": 0, "fixed": 0}
    names = sorted(spans, key=lambda b: (-sizes[b], spans[b], b.name))
    for buffer in names:
        first, last = spans[buffer]
        busy = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in offsets
            if other.region == buffer.region
            and spans[other][0] <= last
            and first <= spans[other][1]
        )
        offset = 0
        for start, end in busy:
            if offset + sizes[buffer] <= start:
                break
            offset = max(offset, end)
        offsets[buffer] = offset
        totals[buffer.region] = max(totals[buffer.region], offset + sizes[buffer])
    return Memory(offsets, totals["fixed"], totals["batch"])


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
