"""Which calls use several threads, and what each thread is given."""

import os
import subprocess
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, c_int64, c_void_p, cast

import numpy as np
import pytest

from netc.compiler.driver import team_code
from netc.compiler.program import FunctionSpec, Slot
from netc.runtime import executable as executable_file
from netc.runtime import threads as threads_file
from netc.runtime.executable import Executable
from netc.runtime.threads import MOST, MOVED, WORK_EACH, WORTH_WAKING, bounded, cores, team

ROWS = 24  # three blocks of eight
MUCH = 100 * WORK_EACH


@pytest.fixture
def one_is_enough(monkeypatch):
    """A single call wakes the others."""
    monkeypatch.setattr(executable_file, "WORTH_WAKING", 0)


class Recording:
    """A native function that notes what each thread is given; it has work for `each` threads."""

    def __init__(self, program, work=0, work_per_block=0, together=True):
        self.seen = []
        self.guard = threading.Lock()
        spec = FunctionSpec(
            "step", "f_step", ("x", "t"), (), 128, 64, work, work_per_block, together=together
        )
        callback = CFUNCTYPE(None, c_void_p)(self._run)
        self._keep = callback
        self.native = lambda name: (cast(callback, c_void_p).value, spec)
        self.executable = Executable(
            program.manifest, self.native, program.initial(0), 0, threads=4, team=team_code
        )

    def _run(self, address):
        block = np.ctypeslib.as_array(cast(address, POINTER(c_int64)), (Slot.DATA + 4,)).copy()
        with self.guard:
            self.seen.append((threading.current_thread().name, block))

    def call(self, rows=4 * 8):
        self.seen.clear()
        self.executable.run("step", rows, [64, 128, 0, 0])
        return sorted((b.tolist() for _, b in self.seen), key=lambda b: b[Slot.THREAD])


@pytest.mark.parametrize(
    ("work", "per_block", "expected"),
    [
        (0, 0, 1),
        (0, 2 * WORK_EACH // 3, 1),
        (0, 2 * WORK_EACH // 3 + 1, 2),
        (0, WORK_EACH, 3),
        (0, 1000 * WORK_EACH, 3),  # no more than blocks
        (3 * WORK_EACH // MOVED, WORK_EACH, 3),
        (3 * WORK_EACH // MOVED + 1, WORK_EACH, 1),
        (1000 * WORK_EACH, 0, 1),
    ],
)
def test_threads_by_work(program, one_is_enough, work, per_block, expected):
    recording = Recording(program, work, per_block)
    blocks = recording.call(ROWS)
    assert [b[Slot.THREAD] for b in blocks] == list(range(expected))
    assert {b[Slot.THREADS] for b in blocks} == {expected}
    names = {name for name, _ in recording.seen}
    assert len(names) == expected
    if expected > 1:
        assert len({b[Slot.BARRIER] for b in blocks}) == 1
        assert blocks[0][Slot.BARRIER] == team(team_code).barrier(expected)
    for block in blocks[1:]:  # all else is the same
        block[Slot.THREAD] = 0
        assert block == blocks[0]
    assert blocks[0][Slot.DATA : Slot.DATA + 4] == [64, 128, 0, 0]


def test_little_work_wakes_others_when_more_of_it_follows(program, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(executable_file, "perf_counter", lambda: now[0])
    recording = Recording(program, work_per_block=WORK_EACH // 2)
    for gap, expected in ((0.0, 1), (0.0, 2), (1e-5, 2), (1e-2, 1), (5e-5, 2), (1.0, 1)):
        now[0] += gap
        assert len(recording.call()) == expected
    much = Recording(program, work_per_block=WORTH_WAKING)
    assert len(much.call()) == 4


def test_the_number_of_threads_may_change(program):
    recording = Recording(program, work_per_block=MUCH)
    for count in (2, 1, 7, 3):
        recording.executable.threads = count
        assert len(recording.call(rows=7 * 8)) == count
        assert recording.executable.threads == count


def test_one_thread_while_the_team_is_busy(program):
    recording = Recording(program, work_per_block=MUCH)
    with team(team_code)._lock:
        (block,) = recording.call()
    assert block[Slot.THREADS] == 1
    assert len(recording.call()) == 4


def test_a_function_that_threads_cannot_share(program):
    assert len(Recording(program, 0, MUCH, together=False).call()) == 1


def test_without_a_team_there_is_one_thread(program):
    recording = Recording(program, work_per_block=MUCH)
    executable = Executable(program.manifest, recording.native, program.initial(0), 0, threads=4)
    executable.run("step", ROWS, [64, 128, 0, 0])
    assert len(recording.seen) == 1


# -- how many cores --------------------------------------------------------------------------------


def test_cores_are_those_of_the_affinity(monkeypatch, tmp_path):
    monkeypatch.setattr(threads_file, "_QUOTA", tmp_path / "none")
    monkeypatch.setattr(threads_file, "_core", str)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7})
    assert cores() == 3
    monkeypatch.setattr(threads_file, "_core", lambda number: str(number % 2))
    assert cores() == 2  # processors of one core
    monkeypatch.setattr(threads_file, "_core", str)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000)))
    assert cores() == MOST


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000\n", 8), ("250000 100000\n", 3), ("5000 100000\n", 1), ("unreadable", 8)],
)
def test_cores_within_a_quota(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(threads_file, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads_file, "_core", str)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores() == expected


def test_where_workers_cannot_run_there_is_one_thread(monkeypatch):
    assert bounded(3) == 3
    assert bounded(10_000) == MOST
    monkeypatch.setattr(os, "name", "nt")
    assert bounded(3) == 1


# -- processes -------------------------------------------------------------------------------------

_FORK = """
import os, sys, time
from tests.unit.native.test_team import Work
from netc.compiler.driver import team_code
from netc.runtime.threads import team

parent = team(team_code)
assert Work(parent, 3).do()
child = os.fork()
if child == 0:
    own = team(team_code)
    assert own is not parent and not own._workers
    work = Work(own, 3)
    assert work.do() and work.words.tolist() == [3, 3, 3]
    sys.exit(7)  # with the exit handlers
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert Work(parent, 3).do()
time.sleep(0.01)  # the workers sleep
print("done")
"""


def test_a_forked_process_has_workers_of_its_own_and_all_end_at_exit():
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORK],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (found.stdout, found.stderr, found.returncode) == ("done\n", "", 0)
