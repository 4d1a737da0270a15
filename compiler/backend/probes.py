"""What one core of this machine can do at most: multiply-adds on registers, bytes from memory."""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_int64, c_void_p
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.backend import jit
from netc.compiler.backend.stamps import (
    CLOCK_MODULE,
    COUNTERS,
    CYCLES,
    STAMPED_CALLS,
    STAMPS,
    stamps_module,
)
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision

ROUNDS: Final = 1 << 16
"""Of the loop of multiply-adds in one call."""

MULTIPLY_ADD: Final = """
define void @netc_multiply_add(i64 %rounds, ptr %memory) {{
entry:
  %x = load {vector}, ptr %memory, align 4
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{carried}
{sums}
  %next = add i64 %i, 1
  %again = icmp ult i64 %next, %rounds
  br i1 %again, label %loop, label %done
done:
{stores}
  ret void
}}
declare {vector} @llvm.{operation}.v{lanes}{kind}({vector}, {vector}, {vector})
"""

STREAM: Final = """
define void @netc_stream(i64 %rounds, ptr %memory) {{
entry:
  %target = getelementptr i8, ptr %memory, i64 {bytes}
  br label %again
again:
  %round = phi i64 [ 0, %entry ], [ %following, %over ]
  br label %loop
loop:
  %at = phi i64 [ 0, %again ], [ %next, %loop ]
{copies}
  %next = add i64 %at, {step}
  %more = icmp ult i64 %next, {bytes}
  br i1 %more, label %loop, label %over
over:
  %following = add i64 %round, 1
  %further = icmp ult i64 %following, %rounds
  br i1 %further, label %again, label %done
done:
  ret void
}}
"""

COPIES: Final = 4
"""Vectors in one round of the stream."""

TRIALS: Final = 32

LEAST_HALF: Final = 1 << 12
LEAST_STREAMED: Final = 1 << 23
"""Bytes in a half of the memory, and bytes that a call reads and writes, at least."""


@record
class Probes:
    """Native loops: `operations` of one call of `multiply_add`; what `stream` reads and writes."""

    library: jit.Library
    stamps: jit.Library
    operations: int
    memory: np.ndarray[tuple[int], np.dtype[np.uint8]]
    rounds: int
    streamed: int

    def multiply_add(self) -> None:
        """Does `operations`; a multiply-add counts as two."""
        self._call("netc_multiply_add", ROUNDS)

    def stream(self) -> None:
        """Copies one half of the memory to the other: `streamed` bytes read and written."""
        self._call("netc_stream", self.rounds)

    def cycles(self) -> int:
        """The cycle counter now."""
        return int(CFUNCTYPE(c_int64)(self.library.address(CYCLES))())

    def stamp(self) -> tuple[float, float]:
        """Cycles that a stamp adds to what it times, and beside it; the least of some trials."""
        run = CFUNCTYPE(None)(self.stamps.address(STAMPS))
        counters = (c_int64 * (2 * STAMPED_CALLS)).from_address(self.stamps.address(COUNTERS))
        found = []
        for _ in range(TRIALS):
            counters[:] = [0] * len(counters)
            start = self.cycles()
            run()
            whole = self.cycles() - start
            inside = sum(counters[::2])
            found.append((whole, inside))
        whole, inside = min(found)
        return inside / STAMPED_CALLS, max(whole - inside, 0) / STAMPED_CALLS

    def _call(self, name: str, number: int) -> None:
        CFUNCTYPE(None, c_int64, c_void_p)(self.library.address(name))(
            number, self.memory.ctypes.data
        )


def probes(target: Target, precision: Precision, footprint: int) -> Probes:
    """The loops for this processor; the stream runs over about `footprint` bytes."""
    lanes, kind = target.lanes(precision), "f32" if precision == "f32" else "f64"
    count = 3 * target.registers // 4
    step = COPIES * lanes * (4 if precision == "f32" else 8)
    half = max(footprint // 2, LEAST_HALF) // step * step
    vector = f"<{lanes} x {'float' if precision == 'f32' else 'double'}>"
    text = _multiply_add(vector, lanes, kind, count, "fma" if target.fused else "fmuladd")
    text += _stream(vector, half, step) + CLOCK_MODULE
    library, stamps = (
        jit.load(jit.compile_object(part, target)) for part in (text, stamps_module())
    )
    memory = np.ones(2 * half, np.uint8)
    rounds = -(-LEAST_STREAMED // (2 * half))
    operations = 2 * lanes * count * ROUNDS
    return Probes(library, stamps, operations, memory, rounds, 2 * half * rounds)


def _multiply_add(vector: str, lanes: int, kind: str, count: int, operation: str) -> str:
    """The loop with `count` accumulators: enough to hide the latency, few enough for registers."""
    call = f"call {vector} @llvm.{operation}.v{lanes}{kind}"

    def each(line: str) -> str:
        return "\n".join(line.replace("#", str(n)) for n in range(count))

    return MULTIPLY_ADD.format(
        vector=vector,
        lanes=lanes,
        kind=kind,
        operation=operation,
        carried=each(f"  %a# = phi {vector} [ %x, %entry ], [ %b#, %loop ]"),
        sums=each(f"  %b# = {call}({vector} %x, {vector} %x, {vector} %a#)"),
        stores=each(f"  store volatile {vector} %b#, ptr %memory, align 4"),
    )


def _stream(vector: str, half: int, step: int) -> str:
    lines = []
    for n in range(COPIES):
        lines += [
            f"  %o{n} = add i64 %at, {n * step // COPIES}",
            f"  %f{n} = getelementptr i8, ptr %memory, i64 %o{n}",
            f"  %t{n} = getelementptr i8, ptr %target, i64 %o{n}",
            f"  %v{n} = load {vector}, ptr %f{n}, align 1",
            f"  store {vector} %v{n}, ptr %t{n}, align 1",
        ]
    return STREAM.format(copies="\n".join(lines), bytes=half, step=step)
