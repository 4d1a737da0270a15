"""Loops over windows whose bounds depend on where they stand: no term lies in the padding."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netc.compiler.loops.loops import Affine, Count, Operand, Within, var

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netc.compiler.loops.product import Product
    from netc.compiler.loops.tracks import Track
    from netc.compiler.loops.writer import Loop, Writer


@contextmanager
def outer_results(writer: Writer, chosen: Sequence[Track]) -> Iterator[list[Affine]]:
    """Nested loops over the results of tracks."""
    with ExitStack() as stack:
        yield [stack.enter_context(writer.loop(t.results, hint="t")) for t in chosen]


@dataclass(slots=True)
class Summed:
    """The body of summed loops: the letters known there, and the sums carried through."""

    letters: dict[str, Affine]
    sums: Sequence[Operand]


@contextmanager
def summed_terms(
    product: Product,
    chosen: Sequence[Track],
    places: Sequence[Affine],
    initial: Sequence[Operand],
    *,
    chunk: tuple[Affine, int] | None = None,
    wide: bool = True,
) -> Iterator[Summed]:
    """Loops over the summed letters and the valid terms of tracks that stand at `places`.

    Of the first track only a chunk counts, (the first term, how many), when one is given. The
    caller replaces `sums` by those of one more round; afterwards they are the totals.
    """
    writer = product.writer
    summed = Summed({}, list(initial))
    opened: list[Loop] = []

    def open_(extent: int | Count) -> Affine:
        if extent == 1:
            return Affine()
        loop = writer.begin(extent, summed.sums, wide, hint="k")
        summed.sums = loop.carried
        opened.append(loop)
        return loop.index

    valid = []
    for n, (track, t) in enumerate(zip(chosen, places, strict=True)):
        start, terms = chunk if chunk is not None and n == 0 else (Affine(), track.terms)
        valid.append(_valid_terms(writer, track, t, start, terms))
    for letter in product.axes.summed:
        summed.letters[letter] = open_(product.axes.sizes[letter])
    for track, t, (first, extent) in zip(chosen, places, valid, strict=True):
        summed.letters |= track.letters(t, open_(extent) + first)
    yield summed
    for loop in reversed(opened):
        summed.sums = writer.end(loop, summed.sums)


def _valid_terms(
    writer: Writer, track: Track, t: Affine, start: Affine, terms: int
) -> tuple[Affine, int | Count]:
    """The first of the `terms` terms from `start` on that is valid at result `t`, and how many."""
    ends = [(t_, j) for t_ in (0, track.results - 1) for j in (0, track.terms - 1)]
    if all(track.valid(*end) for end in ends):
        return start, terms
    first, count = writer.name("j"), writer.name("n")
    index = t * track.inside.per_t + start * track.inside.per_j + track.inside.first
    writer.add(Within(first, count, index, track.inside.per_j, track.length, terms))
    return var(first) + start, Count(count)
