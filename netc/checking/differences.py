"""Derivatives by central differences of several lengths, with what is not known about them.

Invariant: the length is chosen by how well neighbouring lengths agree, never by the derivative that
is to be checked.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, isnan
from typing import TYPE_CHECKING, Final

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTHS: Final = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""A long step crosses kinks and bends, a short one loses digits."""

JUMP: Final = 1e-3
"""Two one-sided slopes that differ by this share, at the two shortest steps alike, are a kink."""


@record
class Slope:
    """A derivative in one direction: at a kink every number from `low` to `high` is one."""

    value: float
    doubt: float
    low: float
    high: float

    @property
    def kink(self) -> bool:
        return self.low < self.high

    def distance(self, derivative: float) -> float:
        """How far a number is from being the derivative; NaN if it is none."""
        if not self.kink:
            return abs(derivative - self.value)
        inside = self.low <= derivative <= self.high
        return 0.0 if inside else min(abs(derivative - self.low), abs(derivative - self.high))


def slope(f: Callable[[float], float], scale: float = 1.0) -> Slope:
    """The derivative of f at 0; `scale` is the length of a long way. NaN where f is."""
    centre = f(0.0)
    sides = [(f(-scale * length), f(scale * length), scale * length) for length in LENGTHS]
    middle = [(above - below) / (2 * h) for below, above, h in sides]
    pairs = [(abs(b - a), b) for a, b in pairwise(middle)]
    doubt, value = min(pairs, key=lambda pair: inf if isnan(pair[0]) else pair[0])
    ends = [((centre - below) / h, (above - centre) / h) for below, above, h in sides[-2:]]
    if all(_apart(left, right) for left, right in ends) and _lasting(ends):
        return Slope(value, doubt, min(ends[-1]), max(ends[-1]))
    return Slope(value, doubt, value, value)


def _apart(left: float, right: float) -> bool:
    return abs(right - left) > JUMP * max(abs(left), abs(right))


def _lasting(ends: list[tuple[float, float]]) -> bool:
    """Whether a jump stays as the step gets shorter; that of a bend shrinks with it."""
    (left, right), (near_left, near_right) = ends
    return abs((near_right - near_left) - (right - left)) < 0.1 * abs(right - left)
