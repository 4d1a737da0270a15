"""Where the threads of one native function meet: a barrier that spins, then yields.

Every thread has a word of its own, on cache lines of its own: how many barriers it has reached. It
adds one and waits until no other word is behind. One write and one read by each of the others is
all that passes between two processors; nothing is ever reset.

Invariant: what a thread wrote before a barrier is seen by all after it. The words are shared by the
same number of threads always, so all are equal when nobody waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, Value, define
from netc.compiler.program import BARRIER_LINE, Slot

if TYPE_CHECKING:
    from netc.compiler.backend.target import Target

SPINS: Final = 128
"""Looks at a word before the processor is offered to others: some 7 µs where a pause is long."""


def barrier(b: Builder, target: Target, call: Value) -> None:
    """Emits a barrier of the threads that run `call`'s function; nothing happens with one."""
    b.declare(_barrier(b, target))
    b.call("netc.barrier", "void", call)


def await_word(b: Builder, target: Target, word: Value, least: Value) -> None:
    """Emits a loop that ends once the i64 at `word` is at least `least`; acquires."""
    head, idle, rest, go = (b.new_label(hint) for hint in ("await", "idle", "rest", "reached"))
    before = b.block
    b.branch(head)
    b.label(head)
    spins = b.phi("i64", [(b.constant(0, "i64"), before)])
    found = load_acquire(b, word)
    b.branch_if(b.icmp("sge", found, least), go, idle)
    b.label(idle)
    pause(b, target)
    more = b.add(spins, b.constant(1, "i64"))
    b.add_incoming(spins, more, b.block)
    b.branch_if(b.icmp("ult", more, b.constant(SPINS, "i64")), head, rest)
    b.label(rest)
    b.add_incoming(spins, more, b.block)
    offer(b, target)
    b.branch(head)
    b.label(go)


def load_acquire(b: Builder, word: Value) -> Value:
    return b.op(f"load atomic i64, {word.typed} acquire, align 8", "i64")


def store_release(b: Builder, value: Value, word: Value) -> None:
    b.do(f"store atomic {value.typed}, {word.typed} release, align 8")


def pause(b: Builder, target: Target) -> None:
    """Tells the processor that this is a loop that waits."""
    if target.x86:
        b.intrinsic("llvm.x86.sse2.pause", "void")
    elif target.triple.startswith(("aarch64", "arm64")):
        b.intrinsic("llvm.aarch64.hint", "void", b.constant(1, "i32"))


def offer(b: Builder, target: Target) -> None:
    """Lets another thread have the processor, if one waits for it."""
    name = "SwitchToThread" if "windows" in target.triple else "sched_yield"
    b.declare(f"declare i32 @{name}()")
    b.call(name, "i32")


def _barrier(b: Builder, target: Target) -> str:
    inner = Builder(b.precision, b.declarations)
    call = Value("%call", "ptr")
    alone, together, head, done = "alone", "together", "head", "done"
    one = inner.constant(1, "i64")
    threads = inner.load("i64", inner.offset(call, 8 * Slot.THREADS), 8)
    inner.branch_if(inner.icmp("sgt", threads, one), together, alone)
    inner.label(together)
    address = inner.load("i64", inner.offset(call, 8 * Slot.BARRIER), 8)
    words = inner.convert("inttoptr", address, "ptr")
    line = inner.constant(BARRIER_LINE, "i64")
    thread = inner.load("i64", inner.offset(call, 8 * Slot.THREAD), 8)
    mine = inner.offset(words, inner.mul(thread, line))
    reached = inner.add(inner.load("i64", mine, 8), one)
    store_release(inner, reached, mine)
    inner.branch(head)
    inner.label(head)
    other = inner.phi("i64", [(inner.constant(0, "i64"), together)])
    await_word(inner, target, inner.offset(words, inner.mul(other, line)), reached)
    following = inner.add(other, one)
    inner.add_incoming(other, following, inner.block)
    inner.branch_if(inner.icmp("slt", following, threads), head, done)
    inner.label(done)
    inner.branch(alone)
    inner.label(alone)
    inner.do("ret void")
    return define("netc.barrier", [call], inner, internal=True)
