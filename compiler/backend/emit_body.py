"""The body of a native function: its kernels, called phase by phase by every thread.

Invariant: what a thread does depends on its number and on how many there are; what is computed does
not.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.barrier import barrier
from netc.compiler.backend.builder import Builder, Value, define
from netc.compiler.program import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision
    from netc.compiler.loops.loops import Kernel
    from netc.compiler.loops.lower import Launch
    from netc.compiler.plan.phases import Phase
    from netc.compiler.plan.plan import Buffer, Memory

CALL: Final = Value("%call", "ptr")

BLOCK_SLOTS: Final = {
    "parameter": Slot.PARAMETERS,
    "state": Slot.STATES,
    "optimizer": Slot.OPTIMIZER,
    "gradient": Slot.GRADIENTS,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of a function lie: arena offsets, and bytes inside the persistent blocks."""

    memory: Memory
    stored: Mapping[tuple[str, str], int]
    data: Mapping[tuple[str, str], int]
    """Slots of the caller's arrays, by ("input" or "output", name)."""


def emit_body(
    phases: Sequence[tuple[Phase, Sequence[Launch]]],
    names: Mapping[Kernel, str],
    where: Layout,
    precision: Precision,
    target: Target,
    declarations: dict[str, None],
) -> str:
    """The function `netc.call`: every phase with its launches; `names` are those of kernels."""
    body = _Body(Builder(precision, declarations), names, where, target)
    for _, launches in phases:
        for launch in launches:
            body.find(launch)
    for phase, launches in phases:
        if phase.barrier:
            barrier(body.b, target, CALL)
        match phase.kind:
            case "blocks":
                body.blocks(launches, phase.chunk)
            case "parts":
                body.parts(launches)
            case "single":
                body.single(launches)
    body.b.do("ret void")
    return define("netc.call", [CALL], body.b, internal=True)


class _Body:
    """The body in the making: the numbers of this thread, and addresses computed once."""

    def __init__(
        self, b: Builder, names: Mapping[Kernel, str], where: Layout, target: Target
    ) -> None:
        self.b = b
        self._names, self._where = names, where
        lanes = target.lanes(b.precision)
        self._zero, self._one = (b.constant(n, "i64") for n in (0, 1))
        self._batch = self._slot(Slot.BATCH)
        up = b.add(self._batch, b.constant(lanes - 1, "i64"))
        self._all = b.op(f"udiv i64 {up.text}, {lanes}", "i64")
        self._thread = self._slot(Slot.THREAD)
        threads = self._slot(Slot.THREADS)
        self._threads = b.select(b.icmp("sgt", threads, self._one), threads, self._one)
        self._first = b.icmp("eq", self._thread, self._zero)
        self._from = self._share(self._thread)
        self._to = self._share(b.add(self._thread, self._one))
        self._pointers: dict[int, Value] = {}
        self._addresses: dict[Buffer, Value] = {}

    def find(self, launch: Launch) -> None:
        """Computes the addresses of a launch's buffers, known to all that follows."""
        for buffer in launch.buffers:
            if buffer not in self._addresses:
                self._addresses[buffer] = self._address(buffer)

    def blocks(self, launches: Sequence[Launch], chunk: int) -> None:
        """All kernels on a chunk of this thread's blocks, then on the next chunk."""
        b = self.b
        head, done = b.new_label("chunk"), b.new_label("done")
        before = b.block
        b.branch_if(b.icmp("slt", self._from, self._to), head, done)
        b.label(head)
        first = b.phi("i64", [(self._from, before)])
        left, most = b.sub(self._to, first), b.constant(chunk, "i64")
        count = b.select(b.icmp("slt", left, most), left, most)
        for launch in launches:
            self._call(launch, (first, count), (self._zero, self._one))
        following = b.add(first, count)
        b.add_incoming(first, following, b.block)
        b.branch_if(b.icmp("slt", following, self._to), head, done)
        b.label(done)

    def parts(self, launches: Sequence[Launch]) -> None:
        """This thread's part of every kernel; the first thread does what has no parts."""
        for launch in launches:
            if launch.kernel.split:
                self._call(launch, (self._zero, self._all), (self._thread, self._threads))
            else:
                self.single([launch])

    def single(self, launches: Sequence[Launch]) -> None:
        """Everything, by the first thread."""
        with self._if(self._first):
            for launch in launches:
                self._call(launch, (self._zero, self._all), (self._zero, self._one))

    def _call(self, launch: Launch, blocks: tuple[Value, Value], part: tuple[Value, Value]) -> None:
        addresses = [self._addresses[buffer] for buffer in launch.buffers]
        name = self._names[launch.kernel]
        self.b.call(name, "void", *addresses, self._batch, *blocks, *part, CALL)

    @contextmanager
    def _if(self, condition: Value) -> Iterator[None]:
        then, done = self.b.new_label("then"), self.b.new_label("done")
        self.b.branch_if(condition, then, done)
        self.b.label(then)
        yield
        self.b.branch(done)
        self.b.label(done)

    def _share(self, thread: Value) -> Value:
        """The first block of a thread."""
        blocks = self.b.mul(self._all, thread)
        return self.b.op(f"udiv i64 {blocks.text}, {self._threads.text}", "i64")

    def _slot(self, slot: int) -> Value:
        return self.b.load("i64", self.b.offset(CALL, 8 * slot), 8)

    def _pointer(self, slot: int) -> Value:
        if slot not in self._pointers:
            self._pointers[slot] = self.b.convert("inttoptr", self._slot(slot), "ptr")
        return self._pointers[slot]

    def _address(self, buffer: Buffer) -> Value:
        b, memory = self.b, self._where.memory
        match buffer.region:
            case "batch":
                arena = b.offset(self._pointer(Slot.ARENA), memory.fixed)
                size = b.constant(memory.offsets[buffer], "i64")
                return b.offset(arena, b.mul(self._all, size))
            case "fixed":
                return b.offset(self._pointer(Slot.ARENA), memory.offsets[buffer])
            case "input" | "output" as region:
                return self._pointer(self._where.data[region, buffer.name])
            case "result":
                return self._pointer(Slot.RESULTS)
            case region:
                block = self._pointer(BLOCK_SLOTS[region])
                return b.offset(block, self._where.stored[region, buffer.name])
