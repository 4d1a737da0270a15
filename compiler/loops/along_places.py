"""Convolutions of one sample: lanes are neighbouring places of the last window.

A tile is some rows (filters) of the weights by some vectors of places. A vector under a tap is read
where it lies, at any alignment, and without the lanes that fall in the padding; outer windows bound
their loops. The last vector of a row of places overlaps the one before where a row has more than
one, so that no lane is idle, and is cut off where it has but one.
"""

from __future__ import annotations

from itertools import groupby, pairwise, product
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import Affine, Load, Operand
from netc.compiler.loops.product import Loads, Product, ranges
from netc.compiler.loops.tile import finish
from netc.compiler.loops.tracks import Track, tracks
from netc.compiler.loops.window_loops import outer_results, summed_terms
from netc.compiler.ops.contract import Contract
from netc.compiler.plan import tiles
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

VECTORS: Final = 4
"""Vectors of a tile at most."""

Span = tuple[int, int]
"""Lanes from the first up to, not including, the second."""


@record
class Strip:
    """Neighbouring vectors of places: where each starts, its live lanes, and those of each tap.

    There are `times` such strips, `step` places apart, the first at `first`.
    """

    first: int
    offsets: tuple[int, ...]
    live: int
    taps: tuple[tuple[Span, ...], ...]
    times: int = 1
    step: int = 0


def strips(track: Track, lanes: int, most: int) -> list[Strip]:
    """All places of a window in strips of at most `most` vectors; equal neighbours are one loop."""
    live = min(track.results, lanes)
    starts = [min(n * lanes, track.results - live) for n in range(-(-track.results // lanes))]
    found: list[Strip] = []
    for first, size, times in ranges(tiles.split(len(starts), most)):
        for n in range(times):
            chosen = starts[first + n * size : first + (n + 1) * size]
            taps = tuple(
                tuple(_span(track, start, j, live) for start in chosen) for j in range(track.terms)
            )
            offsets = tuple(start - chosen[0] for start in chosen)
            found.append(Strip(chosen[0], offsets, live, taps, step=size * lanes))
    merged = []
    for _, group in groupby(found, lambda s: (s.offsets, s.taps)):
        same = list(group)
        apart = [b.first - a.first for a, b in pairwise(same)]
        if all(step == same[0].step for step in apart):
            one = same[0]
            merged.append(Strip(one.first, one.offsets, one.live, one.taps, len(same), one.step))
        else:
            merged += same
    return merged


def _span(track: Track, start: int, j: int, live: int) -> Span:
    """The lanes of the vector at `start` whose term j exists: always a range."""
    valid = [lane for lane in range(live) if track.valid(start + lane, j)]
    return (valid[0], valid[-1] + 1) if valid else (0, 0)


def write_along_places(product_: Product) -> None:
    """All tracks of the other windows, one after the other."""
    assert isinstance(product_.node.op, Contract)
    found = tracks(product_.node.op)
    last = next(t for t in found if t[0].result == product_.axes.out[-1])
    for chosen in product(*(t for t in found if t is not last)):
        _write_tracks(product_, chosen, last[0])


def _write_tracks(product_: Product, outer: Sequence[Track], last: Track) -> None:
    writer, row, sizes = product_.writer, product_.tile.row, product_.axes.sizes
    rows = 1 if row is None else sizes[row]
    letters = {c: sizes[c] for c in product_.axes.free if c != row}
    for strip in strips(last, writer.lanes, min(VECTORS, product_.limits.vectors)):
        most = max(product_.limits.shared // len(strip.offsets), 1)
        for start, height, times in ranges(tiles.split(rows, most)):
            with (
                writer.named_loops(letters) as free,
                writer.loop(times, hint="f", split=True) as tile,
                outer_results(writer, outer) as places,
                writer.loop(strip.times, hint="p") as across,
            ):
                at = free if row is None else {**free, row: tile * height + start}
                corner = across * strip.step + strip.first
                tile_of = _Tile(product_, outer, last, places, at, height, strip, corner)
                _finish(tile_of, _sums(tile_of))


@record
class _Tile:
    """One tile: where it stands in the outer windows, the free letters and the last window."""

    product: Product
    outer: Sequence[Track]
    last: Track
    places: list[Affine]
    at: dict[str, Affine]
    rows: int
    strip: Strip
    corner: Affine

    def row(self, i: Affine | int) -> dict[str, Affine]:
        """The free letters at a row of the tile."""
        row = self.product.tile.row
        return self.at if row is None else {**self.at, row: self.at[row] + i}


def _sums(tile: _Tile) -> Sequence[Operand]:
    """The accumulators, row by row."""
    zeros: list[Operand] = [0.0] * (tile.rows * len(tile.strip.offsets))
    if any(track.terms == 0 for track in (*tile.outer, tile.last)):
        return zeros
    with summed_terms(tile.product, tile.outer, tile.places, zeros) as summed:
        summed.sums = _multiply(tile, summed.sums, summed.letters)
    return summed.sums


def _multiply(
    tile: _Tile, sums: Sequence[Operand], letters: dict[str, Affine]
) -> Sequence[Operand]:
    """All taps of the last window, written out."""
    result, width = list(sums), len(tile.strip.offsets)
    load = Loads(tile.product)
    for j in range(tile.last.terms):
        vectors = {v: _vector(tile, letters, v, j) for v in range(width) if _lives(tile, v, j)}
        for i in range(tile.rows if vectors else 0):
            last = tile.last.letters(tile.corner, Affine(j))
            weight = load(tile.product.broadcast, {**tile.row(i), **letters, **last})
            for v, vector in vectors.items():
                place = i * width + v
                result[place] = tile.product.writer.compute("fma", weight, vector, result[place])
    return result


def _lives(tile: _Tile, v: int, j: int) -> bool:
    first, end = tile.strip.taps[j][v]
    return first < end


def _vector(tile: _Tile, letters: dict[str, Affine], v: int, j: int) -> str:
    """The moving operand under tap j of the places of vector v."""
    writer, moving = tile.product.writer, tile.product.moving
    last = tile.last.letters(tile.corner + tile.strip.offsets[v], Affine(j))
    at = {**tile.at, **letters, **last}
    offset = moving.offset
    for letter, stride in zip(moving.letters, moving.strides, strict=True):
        offset += at[letter] * stride
    step = sum(line.per_t * moving.stride_of(letter) for letter, line in tile.last.lines.items())
    name = writer.name()
    live = tile.strip.taps[j][v]
    writer.add(Load(name, writer.number(moving.buffer), offset, wide=True, step=step, live=live))
    return name


def _finish(tile: _Tile, sums: Sequence[Operand]) -> None:
    """The epilogue, one vector of places after the other."""
    product_, width = tile.product, len(tile.strip.offsets)
    outer = {
        track.result: track.lines[track.result].at(t, Affine())
        for track, t in zip(tile.outer, tile.places, strict=True)
    }
    with product_.writer.along_lanes(1) as lane, product_.writer.some(tile.strip.live):
        for v, shift in enumerate(tile.strip.offsets):
            place = tile.corner + shift + lane

            def enter(i: Affine, _: Affine, place: Affine = place) -> dict[str, Affine]:
                return {**tile.row(i), **outer, tile.last.result: place}

            column = [sums[i * width + v] for i in range(tile.rows)]
            finish(product_, column, (tile.rows, 1), enter)
