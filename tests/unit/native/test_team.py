"""The worker threads: jobs reach all of them, awake or asleep, and they end when told to."""

import threading
import time
from ctypes import addressof, c_int64

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend.barrier import barrier
from netc.compiler.backend.builder import Builder, Value, define, module
from netc.compiler.backend.target import host_target
from netc.compiler.driver import team_code
from netc.compiler.program import Job, Slot
from netc.runtime.threads import Team

CALL = Value("%call", "ptr")


def meeting(count):
    """A function: `count` times each thread meets the others and adds 1 to its word."""
    b = Builder("f32", {})
    thread = b.load("i64", b.offset(CALL, 8 * Slot.THREAD), 8)
    words = b.load("ptr", b.offset(CALL, 8 * Slot.ARENA), 8)
    for _ in range(count):
        barrier(b, host_target(), CALL)
        place = b.offset(words, thread, "i64")
        b.store(b.add(b.load("i64", place, 8), b.constant(1, "i64")), place, 8)
    b.do("ret void")
    text = module([define("meeting", [CALL], b)], b.declarations)
    return jit.load(jit.compile_object(text, host_target()))


class Work:
    """A job for a team, and the words that it counts in."""

    def __init__(self, team, threads, meetings=3):
        self.team, self.threads = team, threads
        self.library = meeting(meetings)
        self.words = np.zeros(threads, np.int64)
        self.calls = (c_int64 * (Slot.DATA * threads))()
        self.calls[Slot.ARENA] = self.words.ctypes.data
        self.calls[Slot.THREADS] = threads
        self.calls[Slot.BARRIER] = team.barrier(threads)
        start = self.library.address("meeting")
        block = addressof(self.calls)
        self.job = (c_int64 * len(Job))(start, block, 8 * Slot.DATA, threads, team.seats)

    def do(self):
        return self.team.share(addressof(self.job), self.threads)


@pytest.fixture
def team():
    made = Team(team_code())
    yield made
    made.close()


@pytest.mark.parametrize("threads", [2, 3, 4, 7])
def test_every_thread_does_every_job_once(team, threads):
    work = Work(team, threads)
    for _ in range(200):
        assert work.do()
    assert work.words.tolist() == [600] * threads


@pytest.mark.parametrize("pause", [0.0, 1e-5, 1e-4, 3e-4, 2e-3])
def test_workers_awake_falling_asleep_and_asleep(team, pause):
    """Pauses around the time after which a worker sleeps."""
    work = Work(team, 2)
    for _ in range(100):
        assert work.do()
        time.sleep(pause)
    assert work.words.tolist() == [300, 300]


def test_jobs_of_different_sizes_share_the_workers(team):
    works = [Work(team, threads) for threads in (4, 2, 3)]
    for _ in range(50):
        for work in works:
            assert work.do()
    assert [w.words.tolist() for w in works] == [[150] * 4, [150] * 2, [150] * 3]
    names = [t.name for t in threading.enumerate() if t.name.startswith("netc-")]
    assert {"netc-1", "netc-2", "netc-3"} <= set(names)


def test_a_busy_team_says_so(team):
    work = Work(team, 2)
    with team._lock:
        assert not work.do()
    assert not work.words.any()


def test_close_ends_the_workers_and_the_team_can_work_again(team):
    work = Work(team, 3)
    assert work.do()
    workers = list(team._workers)
    team.close()
    assert not any(w.is_alive() for w in workers)
    assert work.do()
    assert work.words.tolist() == [6, 6, 6]


def test_no_more_threads_than_the_system_gives(team, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    work = Work(team, 2)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not work.do()
    monkeypatch.undo()
    assert work.do()
    assert work.words.tolist() == [3, 3]
