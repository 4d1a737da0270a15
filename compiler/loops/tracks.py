"""A window as loops: how its three letters move when the result and the sum advance.

The letters (element, place, tap) are tied by one equation, so two numbers decide all three: `t`
counts the result's letter, `j` the summed one. Each case (result a place, an element or a tap)
comes down to the same form: three affine letters, and one of the operands' letters that must stay
inside its axis. When the elements are the result and the stride is s, element s·t + r is one track
for each r: only every few taps reach it.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.loops.loops import Affine
    from netc.compiler.ops.contract import Contract, Tied
    from netc.compiler.ops.window import Window


@record
class Line:
    """`first + per_t · t + per_j · j`."""

    first: int
    per_t: int
    per_j: int

    def at(self, t: Affine, j: Affine) -> Affine:
        return t * self.per_t + j * self.per_j + self.first


@record
class Track:
    """One window, or the part of it that one residue of the result's letter needs.

    `t` runs over `results` values, `j` over `terms`; `inside` is the line that must stay within
    0 … `length` − 1, and rises with t and j.
    """

    result: str
    lines: dict[str, Line]
    results: int
    terms: int
    inside: Line
    length: int

    def valid(self, t: int, j: int) -> bool:
        """Whether a term exists: neither operand is read in its padding."""
        return 0 <= self.inside.first + self.inside.per_t * t + self.inside.per_j * j < self.length

    def letters(self, t: Affine, j: Affine) -> dict[str, Affine]:
        """The indices of all three letters."""
        return {letter: line.at(t, j) for letter, line in self.lines.items()}


def tracks(op: Contract) -> list[list[Track]]:
    """For each window of a contraction its tracks."""
    out = op.letters[2]
    return [_tracks(tied, out) for tied in op.windows]


def _tracks(tied: Tied, out: str) -> list[Track]:
    letters, window = tied
    element, place, tap = tuple(letters)
    if element in out:
        return [_to_element(letters, window, r) for r in range(min(window.stride, window.length))]
    shift = -window.before
    if place in out:
        line = Line(shift, window.stride, window.dilation)
        lines = {place: Line(0, 1, 0), tap: Line(0, 0, 1), element: line}
        return [Track(place, lines, window.places, window.size, line, window.length)]
    line = Line(shift, window.dilation, window.stride)
    lines = {tap: Line(0, 1, 0), place: Line(0, 0, 1), element: line}
    return [Track(tap, lines, window.size, window.places, line, window.length)]


def _to_element(letters: str, window: Window, residue: int) -> Track:
    """The terms of the elements s·t + residue: every m-th tap, the last first."""
    element, place, tap = tuple(letters)
    s, d = window.stride, window.dilation
    every = s // gcd(s, d)
    shifted = residue + window.before
    fitting = [k for k in range(min(every, window.size)) if (shifted - d * k) % s == 0]
    taps = range(fitting[0], window.size, every) if fitting else range(0)
    last = taps[-1] if taps else 0
    line = Line((shifted - d * last) // s, 1, d * every // s)
    return Track(
        element,
        {element: Line(residue, s, 0), tap: Line(last, 0, -every), place: line},
        -(-(window.length - residue) // s),
        len(taps),
        line,
        window.places,
    )
