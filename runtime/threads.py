"""The worker threads of this process, shared by all models: one job at a time, on all of them.

Invariant: a worker is inside native code from its first to its last moment and never holds the GIL;
a process that was forked has none of its parent's workers and makes its own.
"""

from __future__ import annotations

import atexit
import os
from ctypes import CFUNCTYPE, c_void_p
from functools import cache
from math import ceil
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from netc.compiler.program import BARRIER_LINE, SEAT_BYTES, TeamCode
from netc.runtime.arrays import address
from netc.runtime.blocks import aligned_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.program import FunctionSpec

    pass

MOST: Final = 64
"""Threads of a team, the caller's among them."""

WORK_EACH: Final = 40_000
"""Work on blocks of samples, in nanoseconds of one thread, that is worth a thread that is awake."""

MOVED: Final = 4
"""How many times the work on what all samples share that on the samples must be at least.

Weights that one thread has changed come to the others from its cache, which takes longer than to
change them.
"""

WORTH_WAKING: Final = 200_000
"""Work that is worth waking the others, even if it comes alone."""

AWAKE_SECONDS: Final = 1e-4
"""How soon a call must follow the last one for less work: then the next will find them awake."""

_ONE_ADDRESS: Final = CFUNCTYPE(None, c_void_p)
_CPUS: Final = Path("/sys/devices/system/cpu")
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """How many processor cores this process may use, as far as the system tells.

    Those of its affinity, where several processors of one core count once, and no more than the
    quota of its control group.
    """
    if not hasattr(os, "sched_getaffinity"):
        return min(os.cpu_count() or 1, bounded(MOST))
    found = len({_core(number) for number in os.sched_getaffinity(0)})
    return max(min(found, _quota(), bounded(MOST)), 1)


def bounded(threads: int) -> int:
    """As many threads as a team may have here: one where its workers cannot run."""
    return min(threads, MOST) if os.name == "posix" else 1


def worth(spec: FunctionSpec, blocks: int) -> int:
    """How many threads a call with so many blocks of samples pays for; 0 and 1 are the same."""
    time = spec.work_per_block * blocks
    return min(time // WORK_EACH, blocks) if time >= MOVED * spec.work else 1


@cache
def _core(number: int) -> str:
    """A name for the core of a processor."""
    try:
        return (_CPUS / f"cpu{number}" / "topology" / "thread_siblings_list").read_text()
    except OSError:
        return str(number)


def _quota() -> int:
    try:
        limit, period = _QUOTA.read_text().split()
        return MOST if limit == "max" else ceil(int(limit) / int(period))
    except (OSError, ValueError):
        return MOST


class Team:
    """Workers in their seats, started when a job first needs them."""

    def __init__(self, code: TeamCode) -> None:
        self._lock = Lock()
        self._ready, self._work, self._dismiss = (
            _ONE_ADDRESS(a) for a in (code.ready, code.work, code.dismiss)
        )
        self._share = _ONE_ADDRESS(code.share)
        self._memory = aligned_bytes(SEAT_BYTES * MOST)
        self._words = aligned_bytes(BARRIER_LINE * MOST * (MOST + 1) // 2)
        self._workers: list[Thread] = []
        self.seats = address(self._memory)

    def barrier(self, threads: int) -> int:
        """The address of the barrier for exactly so many threads."""
        before = threads * (threads - 1) // 2
        return address(self._words) + BARRIER_LINE * before

    def share(self, job: int, threads: int) -> bool:
        """Runs the job at an address with `threads` threads; False when the team is not free.

        The team is not free while it runs another job, or when the system gives no more threads.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if len(self._workers) + 1 < threads and not self._enough(threads):
                return False
            self._share(job)
        finally:
            self._lock.release()
        return True

    def close(self) -> None:
        """Ends all workers, unless a job is still running."""
        if not self._lock.acquire(timeout=1):
            return
        try:
            for number in range(len(self._workers)):
                self._dismiss(self.seats + SEAT_BYTES * number)
            for worker in self._workers:
                worker.join(1)
            self._workers.clear()
        finally:
            self._lock.release()

    def _serve(self, seat: int) -> None:
        self._work(seat)  # through `self`, so that the seats live as long as their workers

    def _enough(self, threads: int) -> bool:
        """Starts the workers that are missing; False when the system refuses."""
        for number in range(len(self._workers), threads - 1):
            seat = self.seats + SEAT_BYTES * number
            self._ready(seat)
            name = f"netc-{number + 1}"
            worker = Thread(target=self._serve, args=(seat,), name=name, daemon=True)
            try:
                worker.start()
            except RuntimeError:
                return False
            self._workers.append(worker)
        return True


class _Shared:
    """The team of this process, made at its first job."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._team: Team | None = None

    def team(self, code: Callable[[], TeamCode]) -> Team:
        if self._team is None:
            with self._lock:
                self._team = self._team or Team(code())
        return self._team

    def forget(self) -> None:
        """In a forked process, where no worker lives and a lock may be held by nobody."""
        self._lock, self._team = Lock(), None

    def close(self) -> None:
        if self._team is not None:
            self._team.close()


_SHARED: Final = _Shared()
team = _SHARED.team
"""The team of this process; `code` gives the native functions when it must be made."""

atexit.register(_SHARED.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SHARED.forget)
