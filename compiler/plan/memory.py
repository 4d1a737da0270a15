"""Arena offsets by liveness: buffers that are never alive together may share memory.

Two spaces keep offsets static under a symbolic batch: `batch` buffers count bytes for each block of
samples, `fixed` buffers count bytes. Batch buffers that do not overlap in bytes per block do not
overlap for any number of blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

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
    for i, units in enumerate(moments(plan)):
        for unit in units:
            for buffer in touched(plan, unit):
                if buffer.region in ("batch", "fixed"):
                    spans[buffer] = (spans.get(buffer, (i, i))[0], i)
    return spans


def moments(plan: Plan) -> list[tuple[Unit, ...]]:
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
    sizes = {b: _aligned(b.elements * element_bytes) for b in spans}
    spaces = {"batch": _Space(), "fixed": _Space()}
    offsets = {
        buffer: spaces[buffer.region].take(sizes[buffer], *spans[buffer])
        for buffer in sorted(spans, key=lambda b: (-sizes[b], spans[b], b.name))
    }
    return Memory(offsets, spaces["fixed"].total, spaces["batch"].total)


class _Space:
    """Places taken in one space, in rows by their start: start, end, first and last kernel.

    Deep nets have thousands of buffers and almost all of them are alive together: hence NumPy.
    """

    def __init__(self) -> None:
        self._taken = np.empty((0, 4), np.int64)
        self.total = 0

    def take(self, size: int, first: int, last: int) -> int:
        """The lowest offset that is free from one kernel to another; it is taken from now on."""
        _, _, firsts, lasts = self._taken.T
        busy = self._taken[(firsts <= last) & (lasts >= first)]
        reached = np.maximum.accumulate(np.append(0, busy[:, 1]))  # below each, and above all
        fits = reached[:-1] + size <= busy[:, 0]
        offset = int(reached[fits.argmax() if fits.any() else -1])
        row = np.searchsorted(self._taken[:, 0], offset)
        self._taken = np.insert(self._taken, row, (offset, offset + size, first, last), axis=0)
        self.total = max(self.total, offset + size)
        return offset


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
