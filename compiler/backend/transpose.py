"""A square of vectors turned in registers: one native function for each module that needs it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, Value, define, vector

if TYPE_CHECKING:
    from netc.compiler.ir.types import Precision

NAME: Final = "netc.transpose"


@cache
def transpose_function(precision: Precision, lanes: int) -> str:
    """`netc.transpose(from, step, valid, to, stride)`: distances in bytes.

    Vector i is read at `from + min(i, valid - 1) * step`, lane i of all is written at
    `to + i * stride`. Butterflies: round by round, vectors `bit` apart exchange halves of
    twice as many lanes.
    """
    b = Builder(precision)
    origin, step = Value("%from", "ptr"), Value("%step", "i64")
    target, stride = Value("%to", "ptr"), Value("%stride", "i64")
    type_ = vector(b.element, lanes)
    size = 4 if precision == "f32" else 8
    last = b.sub(Value("%valid", "i64"), b.constant(1, "i64"))
    vectors: list[Value] = []
    for i in range(lanes):
        number = b.constant(i, "i64")
        number = b.select(b.icmp("slt", number, last), number, last)
        vectors.append(b.load(type_, b.offset(origin, b.mul(number, step)), size))
    bit = lanes // 2
    while bit:
        low = [(n & bit and lanes + n - bit) or n for n in range(lanes)]
        high = [n + bit if not n & bit else lanes + n for n in range(lanes)]
        for i in (i for i in range(lanes) if not i & bit):
            first, second = vectors[i], vectors[i + bit]
            vectors[i] = b.shuffle(first, second, low)
            vectors[i + bit] = b.shuffle(first, second, high)
        bit //= 2
    for i, row in enumerate(vectors):
        b.store(row, b.offset(target, b.mul(b.constant(i, "i64"), stride)), size)
    b.do("ret void")
    parameters = [origin, step, Value("%valid", "i64"), target, stride]
    return define(NAME, parameters, b, attributes="nounwind noinline", internal=True)
