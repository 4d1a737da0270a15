"""The body of a native function: its kernels, called phase by phase by every thread.

Invariant: what a thread does depends on its number and on how many there are; what is computed does
not.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.barrier import barrier
from netc.compiler.backend.builder import Builder, Value, define
from netc.compiler.program import Slot
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision
    from netc.compiler.loops.loops import Kernel
    from netc.compiler.loops.lower import Launch
    from netc.compiler.plan.phases import Phase
    from netc.compiler.plan.plan import Buffer, Memory

CALL: Final = Value("%call", "ptr")

PIECE: Final = 64
"""Kernels called by one function at most."""

BLOCK_SLOTS: Final = {
    "parameter": Slot.PARAMETERS,
    "state": Slot.STATES,
    "optimizer": Slot.OPTIMIZER,
    "gradient": Slot.GRADIENTS,
}


@record
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
    if sum(len(launches) for _, launches in phases) <= PIECE:
        body.find(launch for _, launches in phases for launch in launches)
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
    return "\n".join([*body.pieces, define("netc.call", [CALL], body.b, internal=True)])


class _Addresses:
    """Where buffers are, computed once in one function."""

    def __init__(self, b: Builder, where: Layout, target: Target) -> None:
        self.b, self._where = b, where
        lanes = target.lanes(b.precision)
        self.batch = self.slot(Slot.BATCH)
        up = b.add(self.batch, b.constant(lanes - 1, "i64"))
        self.blocks = b.op(f"udiv i64 {up.text}, {lanes}", "i64")
        self._pointers: dict[int, Value] = {}
        self._found: dict[Buffer, Value] = {}

    def of(self, launch: Launch) -> list[Value]:
        """The addresses that a kernel is called with."""
        for buffer in launch.buffers:
            if buffer not in self._found:
                self._found[buffer] = self._address(buffer)
        return [self._found[buffer] for buffer in launch.buffers]

    def slot(self, slot: int) -> Value:
        return self.b.load("i64", self.b.offset(CALL, 8 * slot), 8)

    def _pointer(self, slot: int) -> Value:
        if slot not in self._pointers:
            self._pointers[slot] = self.b.convert("inttoptr", self.slot(slot), "ptr")
        return self._pointers[slot]

    def _address(self, buffer: Buffer) -> Value:
        b, memory = self.b, self._where.memory
        match buffer.region:
            case "batch":
                arena = b.offset(self._pointer(Slot.ARENA), memory.fixed)
                size = b.constant(memory.offsets[buffer], "i64")
                return b.offset(arena, b.mul(self.blocks, size))
            case "fixed":
                return b.offset(self._pointer(Slot.ARENA), memory.offsets[buffer])
            case "input" | "output" as region:
                return self._pointer(self._where.data[region, buffer.name])
            case "result":
                return self._pointer(Slot.RESULTS)
            case region:
                block = self._pointer(BLOCK_SLOTS[region])
                return b.offset(block, self._where.stored[region, buffer.name])


class _Body:
    """The body in the making: the numbers of this thread, and how it does a phase.

    With many kernels it calls `pieces`, functions that call some of them: the time that LLVM takes
    grows faster than a function does.
    """

    def __init__(
        self, b: Builder, names: Mapping[Kernel, str], where: Layout, target: Target
    ) -> None:
        self.b = b
        self.pieces: list[str] = []
        self._names, self._where, self._target = names, where, target
        self._addresses = _Addresses(b, where, target)
        self._all = self._addresses.blocks
        self._zero, self._one = (b.constant(n, "i64") for n in (0, 1))
        self._thread, threads = (self._addresses.slot(n) for n in (Slot.THREAD, Slot.THREADS))
        self._threads = b.select(b.icmp("sgt", threads, self._one), threads, self._one)
        self._first = b.icmp("eq", self._thread, self._zero)
        self._from = self._share(self._thread)
        self._to = self._share(b.add(self._thread, self._one))
        self._in_pieces = True

    def find(self, launches: Iterable[Launch]) -> None:
        """Computes all addresses first, known to all that follows: no pieces are needed."""
        for launch in launches:
            self._addresses.of(launch)
        self._in_pieces = False

    def blocks(self, launches: Sequence[Launch], chunk: int) -> None:
        """All kernels on a chunk of this thread's blocks, then on the next chunk."""
        with self._chunks(self._from, self._to, chunk) as blocks:
            self._calls(launches, (*blocks, self._zero, self._one))

    def parts(self, launches: Sequence[Launch]) -> None:
        """This thread's part of every kernel; the first thread does what has no parts."""
        part = (self._thread, self._threads)
        for (split, at_once), together in groupby(launches, _sharing):
            if at_once:
                with self._chunks(self._zero, self._all, at_once) as blocks:
                    self._calls(together, (*blocks, *part))
            elif split:
                self._calls(together, (self._zero, self._all, *part))
            else:
                self.single(together)

    def single(self, launches: Iterable[Launch]) -> None:
        """Everything, by the first thread."""
        with self._if(self._first):
            self._calls(launches, (self._zero, self._all, self._zero, self._one))

    def _calls(self, launches: Iterable[Launch], work: Sequence[Value]) -> None:
        """Calls kernels with blocks and part of their work: directly, or by pieces."""
        if not self._in_pieces:
            _call_all(self._addresses, launches, self._names, work)
            return
        rest = iter(launches)
        while some := list(islice(rest, PIECE)):
            name = f"netc.calls.{len(self.pieces)}"
            self.pieces.append(self._piece(name, some))
            self.b.call(name, "void", *work, CALL)

    def _piece(self, name: str, launches: Sequence[Launch]) -> str:
        """A function that calls some kernels with the blocks and the part that it is given."""
        b = Builder(self.b.precision)
        work = [Value(f"%{n}", "i64") for n in ("first", "count", "part", "parts")]
        _call_all(_Addresses(b, self._where, self._target), launches, self._names, work)
        b.do("ret void")
        return define(name, [*work, CALL], b, internal=True)

    @contextmanager
    def _chunks(self, start: Value, end: Value, most: int) -> Iterator[tuple[Value, Value]]:
        """A loop over blocks from `start` to `end`, at most so many at a time: (first, count)."""
        b = self.b
        head, done = b.new_label("chunk"), b.new_label("done")
        before = b.block
        b.branch_if(b.icmp("slt", start, end), head, done)
        b.label(head)
        first = b.phi("i64", [(start, before)])
        left, limit = b.sub(end, first), b.constant(most, "i64")
        count = b.select(b.icmp("slt", left, limit), left, limit)
        yield first, count
        following = b.add(first, count)
        b.add_incoming(first, following, b.block)
        b.branch_if(b.icmp("slt", following, end), head, done)
        b.label(done)

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


def _sharing(launch: Launch) -> tuple[bool, int]:
    """Whether a kernel has parts, and how many blocks of samples it takes at once (0: all)."""
    return launch.kernel.split, launch.unit.at_once


def _call_all(
    addresses: _Addresses,
    launches: Iterable[Launch],
    names: Mapping[Kernel, str],
    work: Sequence[Value],
) -> None:
    b = addresses.b
    for launch in launches:
        given = (*addresses.of(launch), addresses.batch, *work, CALL)
        b.call(names[launch.kernel], "void", *given)
