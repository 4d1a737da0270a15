"""Sums and maxima over the lanes of one vector, always in the same order: halves against halves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.backend.builder import lanes_of
from netc.compiler.backend.math.basic import maximum, minimum

if TYPE_CHECKING:
    from collections.abc import Callable

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
