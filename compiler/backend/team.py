"""Native code of the worker threads: how a job reaches them, and how they wait for one.

A worker owns a seat in memory. Whoever gives it a job writes function and call block there and then
raises the seat's number of jobs given; the worker raises its number of jobs done. A worker without
a job looks for one for a while and then sleeps on a condition variable.

Invariant: a worker says that it sleeps before it looks for a job a last time, and a job is there
before anyone looks whether the worker sleeps, both in the one order of sequentially consistent
operations: so no job is missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.backend.barrier import await_word, load_acquire, pause, store_release
from netc.compiler.backend.builder import Builder, Value, define, module
from netc.compiler.program import BARRIER_LINE, SEAT_BYTES, Job, Slot

if TYPE_CHECKING:
    from netc.compiler.backend.target import Target

SPINS: Final = 2000
"""Looks for a job before sleep: some 100 µs where a pause is long, 20 where it is short."""

GIVEN, FUNCTION, CALL = 0, 8, 16
DONE: Final = BARRIER_LINE
ASLEEP: Final = 2 * BARRIER_LINE
MUTEX: Final = ASLEEP + 64
CONDITION: Final = MUTEX + 128
"""Bytes from the start of a seat; mutex and condition have more room than any system's take."""

_SEAT: Final = Value("%seat", "ptr")
_JOB: Final = Value("%job", "ptr")


def team_module(target: Target) -> str:
    """The module with `netc_ready`, `netc_work`, `netc_share` and `netc_dismiss`."""
    declarations: dict[str, None] = {}
    builders = [Builder("f32", declarations) for _ in range(5)]
    ready, work, share, dismiss, give = builders
    _ready(ready)
    _work(work, target)
    _share(share, target)
    _dismiss(dismiss)
    _give(give)
    call = Value("%call", "ptr")
    function = Value("%function", "ptr")
    texts = [
        define("netc.give", [_SEAT, function, call], give, internal=True),
        define("netc_ready", [_SEAT], ready),
        define("netc_work", [_SEAT], work),
        define("netc_share", [_JOB], share),
        define("netc_dismiss", [_SEAT], dismiss),
    ]
    return module(texts, declarations)


def _libc(b: Builder, name: str, *args: Value) -> None:
    b.declare(f"declare i32 @{name}({', '.join(a.type for a in args)})")
    b.call(name, "i32", *args)


def _ready(b: Builder) -> None:
    null = Value("null", "ptr")
    _libc(b, "pthread_mutex_init", b.offset(_SEAT, MUTEX), null)
    _libc(b, "pthread_cond_init", b.offset(_SEAT, CONDITION), null)
    b.do("ret void")


# -- the worker ------------------------------------------------------------------------------------


def _work(b: Builder, target: Target) -> None:
    given, done = b.offset(_SEAT, GIVEN), b.offset(_SEAT, DONE)
    b.branch("next")
    b.label("next")
    before = b.load("i64", done, 8)
    number = b.add(before, b.constant(1, "i64"))
    _look(b, target, given, number)
    b.label("go")
    function = b.load("ptr", b.offset(_SEAT, FUNCTION), 8)
    b.branch_if(b.icmp("eq", function, Value("null", "ptr")), "leave", "run")
    b.label("run")
    call = b.load("ptr", b.offset(_SEAT, CALL), 8)
    b.do(f"call void {function.text}({call.typed})")
    store_release(b, number, done)
    b.branch("next")
    b.label("leave")
    store_release(b, number, done)
    b.do("ret void")


def _look(b: Builder, target: Target, given: Value, number: Value) -> None:
    """Waits for job `number`: awake, then asleep; goes on at `go`."""
    zero, one = b.constant(0, "i64"), b.constant(1, "i64")
    before = b.block
    b.branch("look")
    b.label("look")
    spins = b.phi("i64", [(zero, before)])
    b.branch_if(b.icmp("sge", load_acquire(b, given), number), "go", "idle")
    b.label("idle")
    pause(b, target)
    more = b.add(spins, one)
    b.add_incoming(spins, more, "idle")
    b.branch_if(b.icmp("slt", more, b.constant(SPINS, "i64")), "look", "tired")
    b.label("tired")
    mutex, asleep = b.offset(_SEAT, MUTEX), b.offset(_SEAT, ASLEEP)
    _libc(b, "pthread_mutex_lock", mutex)
    _store_ordered(b, one, asleep)
    b.branch("last")
    b.label("last")
    found = _load_ordered(b, given)
    b.branch_if(b.icmp("sge", found, number), "awake", "sleep")
    b.label("sleep")
    _libc(b, "pthread_cond_wait", b.offset(_SEAT, CONDITION), mutex)
    b.branch("last")
    b.label("awake")
    _store_ordered(b, zero, asleep)
    _libc(b, "pthread_mutex_unlock", mutex)
    b.branch("go")


# -- the thread that has a job for the team --------------------------------------------------------


def _share(b: Builder, target: Target) -> None:
    function, calls, seats = (_pointer(b, s) for s in (Job.FUNCTION, Job.CALLS, Job.SEATS))
    stride, threads = _slot(b, Job.STRIDE), _slot(b, Job.THREADS)
    one, size = b.constant(1, "i64"), b.constant(SEAT_BYTES, "i64")

    def seat_of(thread: Value) -> Value:
        return b.offset(seats, b.mul(b.sub(thread, one), size))

    thread = _begin(b, "give")
    call = b.offset(calls, b.mul(thread, stride))
    b.intrinsic("llvm.memcpy.p0.p0.i64", "void", call, calls, stride, Value("false", "i1"))
    b.store(thread, b.offset(call, 8 * Slot.THREAD), 8)
    b.call("netc.give", "void", seat_of(thread), function, call)
    _end(b, "give", thread, threads)
    b.do(f"call void {function.text}({calls.typed})")
    thread = _begin(b, "wait")
    seat = seat_of(thread)
    await_word(b, target, b.offset(seat, DONE), b.load("i64", b.offset(seat, GIVEN), 8))
    _end(b, "wait", thread, threads)
    b.do("ret void")


def _begin(b: Builder, name: str) -> Value:
    """A loop over the threads from 1 on; there are two at least."""
    before = b.block
    b.branch(name)
    b.label(name)
    return b.phi("i64", [(b.constant(1, "i64"), before)])


def _end(b: Builder, name: str, thread: Value, threads: Value) -> None:
    following = b.add(thread, b.constant(1, "i64"))
    b.add_incoming(thread, following, b.block)
    b.branch_if(b.icmp("slt", following, threads), name, f"{name}.done")
    b.label(f"{name}.done")


def _dismiss(b: Builder) -> None:
    b.call("netc.give", "void", _SEAT, Value("null", "ptr"), Value("null", "ptr"))
    b.do("ret void")


def _give(b: Builder) -> None:
    """Writes a job into a seat and wakes its worker if it sleeps."""
    b.store(Value("%function", "ptr"), b.offset(_SEAT, FUNCTION), 8)
    b.store(Value("%call", "ptr"), b.offset(_SEAT, CALL), 8)
    given = b.offset(_SEAT, GIVEN)
    number = b.add(b.load("i64", given, 8), b.constant(1, "i64"))
    _store_ordered(b, number, given)
    asleep = _load_ordered(b, b.offset(_SEAT, ASLEEP))
    b.branch_if(b.icmp("eq", asleep, b.constant(0, "i64")), "given", "wake")
    b.label("wake")
    mutex = b.offset(_SEAT, MUTEX)
    _libc(b, "pthread_mutex_lock", mutex)
    _libc(b, "pthread_cond_signal", b.offset(_SEAT, CONDITION))
    _libc(b, "pthread_mutex_unlock", mutex)
    b.branch("given")
    b.label("given")
    b.do("ret void")


def _slot(b: Builder, slot: int) -> Value:
    return b.load("i64", b.offset(_JOB, 8 * slot), 8)


def _pointer(b: Builder, slot: int) -> Value:
    return b.load("ptr", b.offset(_JOB, 8 * slot), 8)


def _load_ordered(b: Builder, word: Value) -> Value:
    return b.op(f"load atomic i64, {word.typed} seq_cst, align 8", "i64")


def _store_ordered(b: Builder, value: Value, word: Value) -> None:
    b.do(f"store atomic {value.typed}, {word.typed} seq_cst, align 8")
