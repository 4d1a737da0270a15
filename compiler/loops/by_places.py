"""Convolutions and the gradients of their inputs: lanes are samples.

A tile is some rows (filters) of the weights by some neighbouring places of the last window; the
places' vectors are loaded once for all rows, and shared between taps that fall on one element.
Taps in the padding are not there: outer windows bound their loops, the last one has tiles of its
own at the borders.
"""

from __future__ import annotations

from itertools import groupby, product
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import Affine, Operand
from netc.compiler.loops.product import Loads, Product, ranges
from netc.compiler.loops.tile import finish
from netc.compiler.loops.tracks import Track, tracks
from netc.compiler.loops.window_loops import outer_results, summed_terms
from netc.compiler.ops.contract import Contract
from netc.compiler.plan import tiles
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS: Final = 8
"""Most rows of a tile."""

VECTOR_COST: Final = 1.5
BROADCAST_COST: Final = 0.6
"""Multiply-adds in the time of a load, measured: vectors come from the second cache."""

SIZE_COST: Final = 0.06
"""What a second size of tiles must save: it is as much code again."""


@record
class Piece:
    """`times` tiles of `size` neighbouring results from `first` on, with the same valid terms."""

    first: int
    size: int
    times: int
    valid: frozenset[tuple[int, int]]


def write_places(product_: Product) -> None:
    """All tracks of all windows, one after the other, under one loop over blocks of samples."""
    assert isinstance(product_.node.op, Contract)
    with product_.writer.blocks():
        for chosen in product(*tracks(product_.node.op)):
            _write_tracks(product_, chosen)


def _write_tracks(product_: Product, chosen: Sequence[Track]) -> None:
    writer, row = product_.writer, product_.tile.row
    *outer, last = chosen
    sizes = product_.axes.sizes
    rows = 1 if row is None else sizes[row]
    letters = {c: sizes[c] for c in product_.axes.free if c != row}
    with outer_results(writer, outer) as places, writer.named_loops(letters) as free:
        split, width = _shape(rows, last, product_.limits)
        for start, height, times in ranges(split):
            with writer.loop(times, hint="f") as tile:
                at = free if row is None else {**free, row: tile * height + start}
                for piece in pieces(last, width):
                    with writer.loop(piece.times, hint="p") as across:
                        corner = across * piece.size + piece.first
                        tile_of = _Tile(product_, outer, last, places, at, height, piece, corner)
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
    piece: Piece
    corner: Affine

    def row(self, i: Affine | int) -> dict[str, Affine]:
        """The free letters at a row of the tile."""
        row = self.product.tile.row
        return self.at if row is None else {**self.at, row: self.at[row] + i}


def _sums(tile: _Tile) -> Sequence[Operand]:
    """The accumulators, row by row."""
    zeros: list[Operand] = [0.0] * (tile.rows * tile.piece.size)
    if any(track.terms == 0 for track in tile.outer):
        return zeros
    with summed_terms(tile.product, tile.outer, tile.places, zeros) as summed:
        summed.sums = _multiply(tile, summed.sums, summed.letters)
    return summed.sums


def _multiply(
    tile: _Tile, sums: Sequence[Operand], letters: dict[str, Affine]
) -> Sequence[Operand]:
    """All valid taps of the last window, written out."""
    result = list(sums)
    product_, size = tile.product, tile.piece.size
    load = Loads(product_)
    for j in range(tile.last.terms):
        valid = [p for p in range(size) if (p, j) in tile.piece.valid]
        vectors = {}
        for p in valid:
            last = tile.last.letters(tile.corner + p, Affine(j))
            vectors[p] = load(product_.moving, {**tile.at, **letters, **last})
        for i in range(tile.rows if valid else 0):
            last = tile.last.letters(tile.corner, Affine(j))
            weight = load(product_.broadcast, {**tile.row(i), **letters, **last})
            for p in valid:
                place = i * size + p
                result[place] = product_.writer.compute("fma", weight, vectors[p], result[place])
    return result


def _finish(tile: _Tile, sums: Sequence[Operand]) -> None:
    outer = {
        track.result: track.lines[track.result].at(t, Affine())
        for track, t in zip(tile.outer, tile.places, strict=True)
    }
    line = tile.last.lines[tile.last.result]

    def enter(i: Affine, p: Affine) -> dict[str, Affine]:
        return {**tile.row(i), **outer, tile.last.result: line.at(tile.corner + p, Affine())}

    finish(tile.product, sums, (tile.rows, tile.piece.size), enter)


def pieces(track: Track, most: int) -> list[Piece]:
    """The results of a track in tiles of at most `most`; equal neighbours are one loop."""
    found: list[Piece] = []
    for start, size, times in ranges(tiles.split(track.results, most)):
        firsts = [start + n * size for n in range(times)]
        valid = {first: _valid(track, first, size) for first in firsts}
        for terms, equal in groupby(firsts, valid.__getitem__):
            same = list(equal)
            found.append(Piece(same[0], size, len(same), terms))
    return found


def _valid(track: Track, first: int, size: int) -> frozenset[tuple[int, int]]:
    pairs = product(range(size), range(track.terms))
    return frozenset((p, j) for p, j in pairs if track.valid(first + p, j))


def _shape(rows: int, track: Track, limits: tiles.Limits) -> tuple[list[tuple[int, int]], int]:
    """The rows as tiles, and the most places of a tile: the least time to multiply and to load.

    The accumulators and the vectors under all their taps fit in the registers.
    """

    def cost(rows_of_all: list[tuple[int, int]], most: int) -> float:
        widths = tiles.split(track.results, most)
        total = sum(
            down * across * (high * (wide + BROADCAST_COST) * track.terms + VECTOR_COST * vectors)
            for wide, across in widths
            for vectors in [_vectors(track, wide)]
            for high, down in rows_of_all
        )
        return total * (1 + SIZE_COST * (len(rows_of_all) - 1 + (len(widths) - 1) / 2))

    shapes = [
        (tiles.split(rows, high), wide)
        for wide in range(1, min(track.results, limits.places) + 1)
        for high in range(1, min(rows, ROWS) + 1)
        if wide == 1 or high * wide + _vectors(track, wide) <= limits.all
        if high * wide <= limits.places
    ]
    return min(shapes, key=lambda shape: cost(*shape))


def _vectors(track: Track, size: int) -> int:
    """Elements under the taps of so many neighbouring places."""
    ends = product(range(size), range(track.terms))
    return len({track.inside.per_t * p + track.inside.per_j * j for p, j in ends})
