"""Threads of one native function meet at barriers: each sees what the others wrote before."""

import threading
from ctypes import CFUNCTYPE, c_void_p

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend.barrier import barrier
from netc.compiler.backend.builder import Builder, Value, define, module
from netc.compiler.backend.target import target
from netc.compiler.program import BARRIER_LINE, Slot
from tests.native import TARGETS

WIDTH = 8  # words of a row, one for each thread
CALL = Value("%call", "ptr")


def rounds(target_name):
    """A function: in each round every thread adds 1 to its word and then sums those of all.

    Without a barrier before the sum a thread would miss additions, without one after it a thread
    would see additions of the next round: a sum that is not threads · round is counted as wrong.
    """
    chosen = target(target_name)
    b = Builder("f32", {})
    slot = lambda s: b.load("i64", b.offset(CALL, 8 * s), 8)  # noqa: E731
    zero, one = b.constant(0, "i64"), b.constant(1, "i64")
    words, wrong = (b.convert("inttoptr", slot(s), "ptr") for s in (Slot.ARENA, Slot.RESULTS))
    threads, limit = slot(Slot.THREADS), slot(Slot.SAMPLES)
    thread = slot(Slot.THREAD)
    mine = b.offset(words, thread, "i64")
    b.branch("round")
    b.label("round")
    done = b.phi("i64", [(zero, "entry")])
    b.store(b.add(b.load("i64", mine, 8), one), mine, 8)
    barrier(b, chosen, CALL)
    b.branch("sum")
    b.label("sum")
    i = b.phi("i64", [(zero, "round")])
    total = b.phi("i64", [(zero, "round")])
    more = b.add(total, b.load("i64", b.offset(words, i, "i64"), 8))
    following = b.add(i, one)
    b.add_incoming(i, following, "sum")
    b.add_incoming(total, more, "sum")
    b.branch_if(b.icmp("slt", following, threads), "sum", "compared")
    b.label("compared")
    finished = b.add(done, one)
    bad = b.icmp("ne", more, b.mul(finished, threads))
    place = b.offset(wrong, thread, "i64")
    b.store(b.add(b.load("i64", place, 8), b.convert("zext", bad, "i64")), place, 8)
    barrier(b, chosen, CALL)
    b.add_incoming(done, finished, "compared")
    b.branch_if(b.icmp("slt", finished, limit), "round", "left")
    b.label("left")
    b.do("ret void")
    text = module([define("rounds", [CALL], b)], b.declarations)
    library = jit.load(jit.compile_object(text, chosen))
    return library, CFUNCTYPE(None, c_void_p)(library.address("rounds"))


def run(function, threads, count):
    """(words, wrong) after `count` rounds of `threads` threads."""
    words, wrong = np.zeros(WIDTH, np.int64), np.zeros(WIDTH, np.int64)
    raw = np.zeros(BARRIER_LINE * (threads + 1), np.uint8)
    calls = np.zeros((threads, Slot.DATA), np.int64)
    calls[:, Slot.THREAD], calls[:, Slot.THREADS] = range(threads), threads
    calls[:, Slot.ARENA], calls[:, Slot.RESULTS] = words.ctypes.data, wrong.ctypes.data
    calls[:, Slot.SAMPLES] = count
    if threads > 1:
        calls[:, Slot.BARRIER] = raw.ctypes.data + -raw.ctypes.data % BARRIER_LINE
    others = [threading.Thread(target=function, args=(c.ctypes.data,)) for c in calls[1:]]
    for other in others:
        other.start()
    function(calls[0].ctypes.data)
    for other in others:
        other.join()
    return words, wrong


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_nobody_passes_before_all_have_come(name, threads):
    library, function = rounds(name)
    count = 20_000 if threads <= 2 else 500
    words, wrong = run(function, threads, count)
    assert words[:threads].tolist() == [count] * threads
    assert not wrong.any()
    del library
