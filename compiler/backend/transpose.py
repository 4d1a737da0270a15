"""Squares of vectors turned in registers: native functions that a module has once if it needs them.

Invariant: a square is read whole before it is written. Quarters of 128 bits are put in place while
they are loaded, which the load ports do; what is left are exchanges inside the quarters.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, Value, define, lanes_of, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.types import Precision

TRANSPOSE: Final = "netc.transpose"
PACK: Final = "netc.pack"


@cache
def transpose_function(precision: Precision, lanes: int) -> str:
    """`netc.transpose(from, step, valid, to, stride)`: distances in bytes.

    Vector i is read at `from + min(i, valid - 1) * step`, lane i of all is written at
    `to + i * stride`.
    """
    b = Builder(precision)
    origin, step = Value("%from", "ptr"), Value("%step", "i64")
    target, stride = Value("%to", "ptr"), Value("%stride", "i64")
    last = b.sub(Value("%valid", "i64"), b.constant(1, "i64"))
    rows: list[Value] = []
    for i in range(lanes):
        number = b.constant(i, "i64")
        number = b.select(b.icmp("slt", number, last), number, last)
        rows.append(b.offset(origin, b.mul(number, step)))
    for i, row in enumerate(_turned(b, rows)):
        b.store(row, b.offset(target, b.mul(b.constant(i, "i64"), stride)), _bytes(b))
    b.do("ret void")
    parameters = [origin, step, Value("%valid", "i64"), target, stride]
    return define(TRANSPOSE, parameters, b, attributes="nounwind noinline", internal=True)


@cache
def pack_function(precision: Precision, lanes: int) -> str:
    """`netc.pack(from, places, size, to)`: rows of `size` >= `lanes` elements, one for each lane.

    Row i is read at `from + places[i]` bytes, element e of all rows is written as vector e of `to`.
    The last square overlaps the one before: nothing is read beyond a row.
    """
    b = Builder(precision)
    origin, places = Value("%from", "ptr"), Value("%places", "ptr")
    size, target = Value("%size", "i64"), Value("%to", "ptr")
    last = b.sub(size, b.constant(lanes, "i64"))
    b.branch("head")
    b.label("head")
    start = b.phi("i64", [(b.constant(0, "i64"), "entry")])
    corner = b.offset(origin, start, b.element)
    rows = [b.offset(corner, b.load("i64", b.offset(places, 8 * i), 8)) for i in range(lanes)]
    to = b.offset(target, start, vector(b.element, lanes))
    for i, row in enumerate(_turned(b, rows)):
        b.store(row, b.offset(to, i * lanes * _bytes(b)), lanes * _bytes(b))
    following = b.add(start, b.constant(lanes, "i64"))
    following = b.select(b.icmp("slt", following, last), following, last)
    b.add_incoming(start, following, b.block)
    b.branch_if(b.icmp("slt", start, last), "head", "done")
    b.label("done")
    b.do("ret void")
    parameters = [origin, places, size, target]
    return define(PACK, parameters, b, attributes="nounwind noinline", internal=True)


def _bytes(b: Builder) -> int:
    return 4 if b.precision == "f32" else 8


def _turned(b: Builder, rows: Sequence[Value]) -> list[Value]:
    """The vectors that hold element 0, 1 … of all rows; rows are given by their addresses."""
    lanes, size = len(rows), _bytes(b)
    quarter = min(16 // size, lanes)
    type_ = vector(b.element, quarter)
    turned: list[Value] = []
    for first in range(0, lanes, quarter):
        group: list[Value] = []
        for i in range(quarter):
            parts = [b.load(type_, b.offset(r, first * size), size) for r in rows[i::quarter]]
            while len(parts) > 1:
                parts = [_joined(b, *parts[n : n + 2]) for n in range(0, len(parts), 2)]
            group += parts
        turned += _exchanged(b, group, 1)
    return turned


def _joined(b: Builder, low: Value, high: Value) -> Value:
    return b.shuffle(low, high, range(2 * lanes_of(low.type)))


def _exchanged(b: Builder, vectors: Sequence[Value], unit: int) -> list[Value]:
    """As many vectors as a quarter has units: the square of units inside each quarter, turned.

    Neighbours exchange units, then what they have become exchanges units twice as long.
    """
    if len(vectors) == 1:
        return list(vectors)
    quarter = len(vectors) * unit
    pairs = [
        [b.shuffle(low, high, _mixed(lanes_of(low.type), quarter, unit, half)) for half in (0, 1)]
        for low, high in zip(vectors[::2], vectors[1::2], strict=True)
    ]
    halves = [_exchanged(b, half, 2 * unit) for half in zip(*pairs, strict=True)]
    return [vector for half in halves for vector in half]


def _mixed(lanes: int, quarter: int, unit: int, half: int) -> list[int]:
    """Units in turn of one vector and another, from one half of each quarter."""
    return [
        owner + start + n
        for corner in range(half * quarter // 2, lanes, quarter)
        for start in range(corner, corner + quarter // 2, unit)
        for owner in (0, lanes)
        for n in range(unit)
    ]
