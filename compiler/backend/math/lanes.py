"""Sums and maxima over the lanes of one vector, always in the same order: halves against halves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.backend.builder import element_of, lanes_of
from netc.compiler.backend.math.basic import maximum, minimum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.backend.builder import Builder, Value


def reduce_add(b: Builder, x: Value) -> Value:
    """The sum of the lanes, a scalar."""
    return _reduce(b, x, b.fadd)


def reduce_mul(b: Builder, x: Value) -> Value:
    """The product of the lanes, a scalar."""
    return _reduce(b, x, b.fmul)


def reduce_max(b: Builder, x: Value) -> Value:
    """The largest lane, a scalar; NaN if any lane is."""
    return _reduce(b, x, lambda low, high: maximum(b, low, high))


def reduce_min(b: Builder, x: Value) -> Value:
    """The smallest lane, a scalar; NaN if any lane is."""
    return _reduce(b, x, lambda low, high: minimum(b, low, high))


def _reduce(b: Builder, x: Value, combine: Callable[[Value, Value], Value]) -> Value:
    while (lanes := lanes_of(x.type)) > 1:
        half = lanes // 2
        low = b.shuffle(x, x, range(half))
        high = b.shuffle(x, x, range(half, lanes))
        x = combine(low, high)
    return b.extract(x, 0) if x.type.startswith("<") else x


def lane_sums(b: Builder, values: Sequence[Value]) -> Value:
    """The vector whose lane i is the sum of the lanes of `values[i]`, added as `reduce_add` does.

    Pairs of vectors fold into one, each its own halves, until every lane is a sum. There are at
    most as many values as lanes; the lanes beyond them are unspecified.
    """
    lanes = lanes_of(values[0].type)
    bits = 64 if element_of(values[0].type) == "double" else 32
    owner = _owners(lanes, bits)
    level: list[Value | None] = [None] * lanes
    for lane, value in enumerate(values):
        level[owner[lane]] = value
    for order, width in _folds(lanes, bits):
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [_fold(b, first, second, order, width) for first, second in pairs]
    (result,) = level
    assert result is not None
    return result


def _folds(lanes: int, bits: int) -> list[tuple[list[int], int]]:
    """For each level the order of the chunks of two vectors, and their width before it."""
    widths = [lanes >> level for level in range(lanes.bit_length() - 1)]
    return [(_folded(lanes // width, width, bits), width) for width in widths]


def _owners(lanes: int, bits: int) -> list[int]:
    """Which of so many vectors each lane of the result is the sum of."""
    owners = [[number] for number in range(lanes)]
    for order, _ in _folds(lanes, bits):
        pairs = zip(owners[::2], owners[1::2], strict=True)
        owners = [[(first + second)[chunk] for chunk in order] for first, second in pairs]
    return owners[0]


def _folded(chunks: int, width: int, bits: int) -> list[int]:
    """The order of the chunks of two vectors when each is folded: the second's count on.

    Inside 128 bits the two take turns, as the instructions do.
    """
    each = min(128 // bits // width, chunks)
    if width * bits > 128:
        return list(range(2 * chunks))
    turns = range(0, chunks, each)
    return [
        n
        for start in turns
        for first in (start, chunks + start)
        for n in range(first, first + each)
    ]


def _fold(
    b: Builder, first: Value | None, second: Value | None, order: Sequence[int], width: int
) -> Value | None:
    if first is None and second is None:
        return None
    one, other = first or second, second or first
    assert one is not None
    assert other is not None
    half = width // 2
    low = [chunk * width + lane for chunk in order for lane in range(half)]
    high = [lane + half for lane in low]
    return b.fadd(b.shuffle(one, other, low), b.shuffle(one, other, high))
