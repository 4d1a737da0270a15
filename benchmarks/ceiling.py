"""What one core can do at most in f32: a loop of multiply-adds on registers, and nothing else."""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_int64, c_void_p
from typing import Final

import numpy as np

from benchmarks.measure import Way, interleaved
from netc.compiler.backend import jit
from netc.compiler.backend.target import host_target

ROUNDS: Final = 1 << 12

LOOP: Final = """
define void @multiply_add(i64 %rounds, ptr %memory) {{
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
declare {vector} @llvm.{operation}.v{lanes}f32({vector}, {vector}, {vector})
"""


def ceiling(seconds: float) -> float:
    """Operations a second, the best of many samples; a multiply-add counts as two."""
    target = host_target()
    lanes = target.lanes("f32")
    count = 3 * target.registers // 4
    operation = "fma" if target.fused else "fmuladd"
    library = jit.load(jit.compile_object(_text(lanes, count, operation), target))
    signature = CFUNCTYPE(None, c_int64, c_void_p)
    loop, memory = signature(library.address("multiply_add")), np.ones(lanes, np.float32)

    def run(times: int) -> None:
        loop(times * ROUNDS, memory.ctypes.data)

    best = interleaved({"loop": Way(run)}, seconds)["loop"].least
    return 2 * lanes * count * ROUNDS / best


def _text(lanes: int, count: int, operation: str) -> str:
    """The loop with `count` accumulators: enough to hide the latency, few enough for registers."""
    vector = f"<{lanes} x float>"
    call = f"call {vector} @llvm.{operation}.v{lanes}f32"

    def each(line: str) -> str:
        return "\n".join(line.replace("#", str(n)) for n in range(count))

    return LOOP.format(
        vector=vector,
        lanes=lanes,
        operation=operation,
        carried=each(f"  %a# = phi {vector} [ %x, %entry ], [ %b#, %loop ]"),
        sums=each(f"  %b# = {call}({vector} %x, {vector} %x, {vector} %a#)"),
        stores=each(f"  store volatile {vector} %b#, ptr %memory, align 4"),
    )
