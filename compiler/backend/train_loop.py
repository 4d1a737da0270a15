"""The native training loop: shuffle, minibatches, steps, sums for the history, progress, stop.

It repeats `netc.call` (the fused step) on a call block of its own that names each minibatch's rows.
Every thread runs the loop; the first one shuffles, adds up results and reports.

Invariant: all threads leave before the same step: the first one decides, the others read it after a
barrier.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.barrier import barrier
from netc.compiler.backend.builder import Builder, Value, define
from netc.compiler.backend.random import order_function
from netc.compiler.program import Slot
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.compiler.backend.target import Target
    from netc.compiler.program import Manifest

CALL: Final = Value("%call", "ptr")
STEPS_DONE, STOP, EPOCHS_DONE, LEAVE = range(4)
"""Words of the progress array."""


@record
class _Loop:
    """The pieces of memory the loop works on: counters, the step's call block, results, sums.

    `first` says whether this is the first thread.
    """

    b: Builder
    target: Target
    first: Value
    block: Value
    results: Value
    sums: Value
    step: Value
    seen: Value
    count: int

    def slot(self, slot: int) -> Value:
        return self.b.load("i64", self.b.offset(CALL, 8 * slot), 8)

    def pointer(self, slot: int) -> Value:
        return self.b.convert("inttoptr", self.slot(slot), "ptr")

    def give(self, slot: int, value: Value) -> None:
        """Sets a slot of the step's call block."""
        self.b.store(value, self.b.offset(self.block, 8 * slot), 8)

    def number(self, value: int) -> Value:
        return self.b.constant(value, "i64")

    def progress(self, word: int) -> Value:
        """The address of a word of the progress array."""
        return self.b.offset(self.pointer(Slot.PROGRESS), 8 * word)

    @contextmanager
    def by_the_first(self) -> Iterator[None]:
        """What only the first thread does."""
        then, after = self.b.new_label("first"), self.b.new_label("all")
        self.b.branch_if(self.first, then, after)
        self.b.label(then)
        yield
        self.b.branch(after)
        self.b.label(after)


def train_loop(manifest: Manifest, target: Target, declarations: dict[str, None]) -> list[str]:
    """The functions `netc.train` and what it needs beside `netc.call`."""
    b = Builder(manifest.precision, declarations)
    slots = Slot.DATA + len(manifest.inputs) + len(manifest.targets) + len(manifest.outputs)
    count = len(manifest.results)
    block, sums = (
        b.op(f"alloca [{n} x {t}], align 64", "ptr")
        for n, t in ((slots, "i64"), (max(count, 1), "double"))
    )
    step, seen = (b.op("alloca i64", "ptr") for _ in range(2))
    thread = b.load("i64", b.offset(CALL, 8 * Slot.THREAD), 8)
    first = b.icmp("eq", thread, b.constant(0, "i64"))
    results = b.load("ptr", b.offset(CALL, 8 * Slot.RESULTS), 8)
    loop = _Loop(b, target, first, block, results, sums, step, seen, count)
    for slot in range(slots):
        loop.give(slot, loop.slot(slot))
    b.store(loop.number(0), step, 8)
    leave = b.new_label("leave")
    with _counting(b, loop.slot(Slot.RUN_EPOCHS), leave) as epoch:
        _epoch(loop, epoch, leave)
    b.branch(leave)
    b.label(leave)
    b.do("ret void")
    text = define("netc.train", [CALL], b, internal=True)
    return [order_function(declarations), text]


@contextmanager
def _counting(b: Builder, count: Value, leave: str) -> Iterator[Value]:
    """A counted loop; the body may jump to `leave`."""
    head, done = b.new_label("head"), b.new_label("done")
    zero, one = b.constant(0, "i64"), b.constant(1, "i64")
    before = b.block
    b.branch_if(b.icmp("sgt", count, zero), head, leave)
    b.label(head)
    index = b.phi("i64", [(zero, before)])
    yield index
    following = b.add(index, one)
    b.add_incoming(index, following, b.block)
    b.branch_if(b.icmp("slt", following, count), head, done)
    b.label(done)


def _epoch(loop: _Loop, epoch: Value, leave: str) -> None:
    b = loop.b
    number = b.add(loop.slot(Slot.EPOCH), epoch)
    loop.give(Slot.EPOCH, number)
    samples = loop.slot(Slot.SAMPLES)
    with loop.by_the_first():
        order, mode = loop.pointer(Slot.ORDER), loop.slot(Slot.SHUFFLE)
        b.call("netc.order", "void", order, samples, loop.slot(Slot.SEED), number, mode)
        b.store(loop.number(0), loop.seen, 8)
        for i in range(loop.count):
            b.store(b.constant(0.0, "double"), b.offset(loop.sums, 8 * i), 8)
    batch = loop.slot(Slot.BATCH)
    begun = b.icmp("eq", epoch, loop.number(0))
    first = b.select(begun, loop.slot(Slot.FIRST), loop.number(0))
    up = b.sub(b.add(b.sub(samples, first), batch), loop.number(1))
    minibatches = b.op(f"udiv i64 {up.text}, {batch.text}", "i64")
    with _counting(b, minibatches, leave) as index:
        _minibatch(loop, epoch, b.add(first, b.mul(index, batch)), leave)
    with loop.by_the_first():
        b.store(b.add(epoch, loop.number(1)), loop.progress(EPOCHS_DONE), 8)


def _minibatch(loop: _Loop, epoch: Value, start: Value, leave: str) -> None:
    b = loop.b
    go = b.new_label("go")
    b.branch_if(_agreed_to_leave(loop), leave, go)
    b.label(go)
    left = b.sub(loop.slot(Slot.SAMPLES), start)
    batch = loop.slot(Slot.BATCH)
    size = b.select(b.icmp("slt", left, batch), left, batch)
    order = b.offset(loop.pointer(Slot.ORDER), start, "i64")
    loop.give(Slot.BATCH, size)
    loop.give(Slot.ORDER, b.convert("ptrtoint", order, "i64"))
    done = b.load("i64", loop.step, 8)
    loop.give(Slot.STEP, b.add(loop.slot(Slot.STEP), done))
    b.call("netc.call", "void", loop.block)
    done = b.add(done, loop.number(1))
    b.store(done, loop.step, 8)
    barrier(b, loop.target, CALL)  # the results are there
    with loop.by_the_first():
        _add_results(loop, size)
        _write_history(loop, epoch)
        place = loop.progress(STEPS_DONE)
        b.do(f"store volatile i64 {done.text}, {place.typed}, align 8")


def _agreed_to_leave(loop: _Loop) -> Value:
    """Whether to stop before this step; all threads have ended the one before."""
    b = loop.b
    with loop.by_the_first():
        stop = b.op(f"load volatile i64, {loop.progress(STOP).typed}, align 8", "i64")
        limit, done = loop.slot(Slot.MAX_STEPS), b.load("i64", loop.step, 8)
        spent = b.and_(b.icmp("sgt", limit, loop.number(0)), b.icmp("sge", done, limit))
        leaves = b.or_(b.icmp("ne", stop, loop.number(0)), spent)
        b.store(b.convert("zext", leaves, "i64"), loop.progress(LEAVE), 8)
    barrier(b, loop.target, CALL)
    return b.icmp("ne", b.load("i64", loop.progress(LEAVE), 8), loop.number(0))


def _add_results(loop: _Loop, size: Value) -> None:
    b = loop.b
    weight = b.convert("sitofp", size, "double")
    for i in range(loop.count):
        place = b.offset(loop.sums, 8 * i)
        value = b.load("double", b.offset(loop.results, 8 * i), 8)
        b.store(b.fadd(b.load("double", place, 8), b.fmul(value, weight)), place, 8)
    b.store(b.add(b.load("i64", loop.seen, 8), size), loop.seen, 8)


def _write_history(loop: _Loop, epoch: Value) -> None:
    """Means over the samples seen in this epoch so far, for those who watch."""
    b = loop.b
    total = b.convert("sitofp", b.load("i64", loop.seen, 8), "double")
    row = b.mul(epoch, loop.number(8 * loop.count))
    history = b.offset(loop.pointer(Slot.HISTORY), row)
    for i in range(loop.count):
        mean = b.fdiv(b.load("double", b.offset(loop.sums, 8 * i), 8), total)
        b.store(mean, b.offset(history, 8 * i), 8)
