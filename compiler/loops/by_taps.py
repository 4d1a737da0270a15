"""Gradients of a convolution's weights: lanes are samples, summed at the end.

A tile is some rows (filters) of the operand with places by some channels and taps of the operand
with elements; an element's vector serves all taps that meet it. The plane is cut into chunks that
stay in the cache while every tile passes over them, so the sums of a chunk are added to the result
in memory. The lanes of samples beyond the batch are masked there: they never count.
"""

from __future__ import annotations

from itertools import groupby, product
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import AddSums, Affine, Count, Mask, Operand
from netc.compiler.loops.product import Loads, Product, ranges
from netc.compiler.loops.tracks import Track, tracks
from netc.compiler.loops.window_loops import outer_results, summed_terms
from netc.compiler.ops.contract import Contract
from netc.compiler.plan import tiles
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_BYTES: Final = 1 << 20
"""Half of the second-level cache: both operands' rows of a chunk stay there."""

TILE_BYTES: Final = 40 << 10
"""Most of the first-level cache: the part of the chunk that one tile reads passes several times."""

STRAIGHT: Final = 10
"""So many places of the last window need no loop."""

UNROLL: Final = 8
"""Most places in one body of a loop."""


@record
class _Sweep:
    """One pass over a chunk: the windows, the first place of the chunk and how many it has.

    `live` masks the samples of the block; the pass without one clears the result.
    """

    product: Product
    outer: Sequence[Track]
    last: Track
    live: str | None
    first: Affine
    size: int

    def extent(self, letter: str | None) -> int:
        return 1 if letter is None else self.product.axes.sizes[letter]


@record
class _Tile:
    """Rows by columns by taps: where they start, and how many there are."""

    rows: tuple[Affine, int]
    columns: tuple[Affine, int]
    taps: range

    @property
    def size(self) -> int:
        return self.rows[1] * self.columns[1] * len(self.taps)


def write_taps(product_: Product) -> None:
    """The result is cleared, then every chunk of every block adds its part."""
    writer = product_.writer
    assert isinstance(product_.node.op, Contract)
    *outer, last = [only for (only,) in tracks(product_.node.op)]
    _write_sweep(_Sweep(product_, outer, last, None, Affine(), 0))
    blocks = writer.begin(Count("blocks"), hint="b")
    writer.block = blocks.index
    live = writer.name("live")
    writer.add(Mask(live, blocks.index * writer.lanes, "B"))
    for start, size, times in ranges(tiles.split(*_chunks(product_, outer, last))):
        with writer.loop(times, hint="y") as chunk:
            _write_sweep(_Sweep(product_, outer, last, live, chunk * size + start, size))
    writer.block = None
    writer.end(blocks)


def _chunks(product_: Product, outer: Sequence[Track], last: Track) -> tuple[int, int]:
    """Places of the outermost window, and how many of them make a chunk."""
    if not outer:
        return 1, 1
    places, sizes, tile = outer[0].terms, product_.axes.sizes, product_.tile
    rows, columns = (1 if c is None else sizes[c] for c in (tile.row, tile.column))
    high, wide = _shape(rows, columns, _taps(product_, last)[0][1], product_)
    element = ELEMENT_BYTES[product_.node.type.precision]
    broadcast, moving = product_.broadcast.per_block, product_.moving.per_block
    whole = (broadcast + moving) * element
    part = (broadcast * high // rows + moving * wide // columns) * element
    most = min(CHUNK_BYTES * places // whole, TILE_BYTES * places // part)
    return places, max(most, 1)


def _write_sweep(sweep: _Sweep) -> None:
    """All tiles: the loops over those of one shape are written once."""
    axes, tile = sweep.product.axes, sweep.product.tile
    rows, columns = sweep.extent(tile.row), sweep.extent(tile.column)
    others = {c: axes.sizes[c] for c in axes.free if c not in (tile.row, tile.column)}
    for first, width, times in _taps(sweep.product, sweep.last):
        high, wide = _shape(rows, columns, width, sweep.product)
        shapes = product(
            range(first, first + width * times, width),
            ranges(tiles.split(rows, high)),
            ranges(tiles.split(columns, wide)),
        )
        for tap, row, column in shapes:
            _write_tiles(sweep, others, (row, column), range(tap, tap + width))


def _taps(product_: Product, last: Track) -> list[tuple[int, int, int]]:
    """The taps of the last window as tiles: (start, size, count)."""
    return ranges(tiles.split(last.results, max(product_.limits.shared // 3, 1)))


def _shape(rows: int, columns: int, taps: int, product_: Product) -> tuple[int, int]:
    """Rows and columns of a tile that fits: the least multiplying and loading."""
    most = max(product_.limits.shared // taps, 1)

    def cost(shape: tuple[int, int]) -> int:
        high, wide = shape
        passes = -(-rows // high) * -(-columns // wide)
        return passes * (high * wide * taps + high + wide * taps)

    highs = range(1, min(rows, most) + 1)
    return min(((h, w) for h in highs for w in range(1, min(columns, most // h) + 1)), key=cost)


def _write_tiles(
    sweep: _Sweep,
    others: dict[str, int],
    splits: tuple[tuple[int, int, int], tuple[int, int, int]],
    taps: range,
) -> None:
    writer = sweep.product.writer
    (row, high, down), (column, wide, across) = splits
    with (
        writer.named_loops(others) as free,
        writer.loop(down, hint="f", split=down >= across) as i,
        writer.loop(across, hint="c", split=down < across) as j,
        outer_results(writer, sweep.outer) as places,
    ):
        tile = _Tile((i * high + row, high), (j * wide + column, wide), taps)
        indices = _indices(sweep, tile, free, places)
        if sweep.live is None:
            _clear(sweep, indices)
        else:
            _add(sweep, indices, _sums(sweep, tile, free, places))


def _sums(
    sweep: _Sweep, tile: _Tile, free: dict[str, Affine], places: list[Affine]
) -> Sequence[Operand]:
    """One accumulator for each row, column and tap, over the chunk's places."""
    zeros: list[Operand] = [0.0] * tile.size
    chunk = (sweep.first, sweep.size)
    with summed_terms(sweep.product, sweep.outer, places, zeros, chunk=chunk) as summed:
        at = free | summed.letters
        for valid, places_ in groupby(range(sweep.last.terms), lambda j: _valid(sweep, tile, j)):
            if valid:
                summed.sums = _region(sweep, tile, at, list(places_), valid, summed.sums)
    return summed.sums


def _valid(sweep: _Sweep, tile: _Tile, j: int) -> tuple[int, ...]:
    return tuple(t for t in tile.taps if sweep.last.valid(t, j))


def _region(
    sweep: _Sweep,
    tile: _Tile,
    at: dict[str, Affine],
    places: Sequence[int],
    valid: tuple[int, ...],
    sums: Sequence[Operand],
) -> Sequence[Operand]:
    """Neighbouring places of the last window where the same taps are valid."""
    writer = sweep.product.writer
    unroll = _unroll(len(places))
    rounds, rest = divmod(len(places), unroll)
    if rounds > 1:
        loop = writer.begin(rounds, sums, hint="k")
        first = loop.index * unroll + places[0]
        body = [first + u for u in range(unroll)]
        sums = writer.end(loop, _multiply(sweep, tile, at, body, valid, loop.carried))
    elif rounds:
        rest = len(places)
    if rest:
        body = [Affine(j) for j in places[-rest:]]
        sums = _multiply(sweep, tile, at, body, valid, sums)
    return sums


def _unroll(places: int) -> int:
    """Places of one body: a divisor if a large one exists."""
    if places <= STRAIGHT:
        return places
    exact = [n for n in range(UNROLL, UNROLL // 2, -1) if places % n == 0]
    return exact[0] if exact else UNROLL


def _multiply(
    sweep: _Sweep,
    tile: _Tile,
    at: dict[str, Affine],
    places: Sequence[Affine],
    valid: tuple[int, ...],
    sums: Sequence[Operand],
) -> Sequence[Operand]:
    product_ = sweep.product
    load = Loads(product_)
    (row, high), (column, wide) = tile.rows, tile.columns
    result = list(sums)
    for j in places:
        first = sweep.last.letters(Affine(valid[0]), j)
        heights = [
            load(product_.broadcast, _at(at | first, product_.tile.row, row + i))
            for i in range(high)
        ]
        for c in range(wide):
            for t in valid:
                letters = at | sweep.last.letters(Affine(t), j)
                vector = load(product_.moving, _at(letters, product_.tile.column, column + c))
                for i, height in enumerate(heights):
                    place = (i * wide + c) * len(tile.taps) + t - tile.taps.start
                    result[place] = product_.writer.compute("fma", height, vector, result[place])
    return result


def _at(letters: dict[str, Affine], letter: str | None, place: Affine) -> dict[str, Affine]:
    return letters if letter is None else {**letters, letter: place}


def _indices(
    sweep: _Sweep, tile: _Tile, free: dict[str, Affine], places: Sequence[Affine]
) -> list[tuple[Affine, ...]]:
    """Where in the result each accumulator of a tile belongs."""
    product_ = sweep.product
    (row, high), (column, wide) = tile.rows, tile.columns
    outer = {t.result: at for t, at in zip(sweep.outer, places, strict=True)}
    found = []
    for i, c, t in product(range(high), range(wide), tile.taps):
        at = _at(free | outer, product_.tile.row, row + i)
        at = _at(at, product_.tile.column, column + c) | {sweep.last.result: Affine(t)}
        found.append(tuple(at[letter] for letter in product_.axes.out))
    return found


def _clear(sweep: _Sweep, indices: Sequence[tuple[Affine, ...]]) -> None:
    product_, (store,) = sweep.product, sweep.product.stores
    for index in indices:
        product_.writer.store(store.buffer, product_.node, index, 0.0)


def _add(sweep: _Sweep, indices: Sequence[tuple[Affine, ...]], sums: Sequence[Operand]) -> None:
    """Adds the lanes of every accumulator to the result in memory."""
    product_, writer = sweep.product, sweep.product.writer
    node, (store,) = product_.node, product_.stores
    assert sweep.live is not None
    offsets = [writer.offset(node, index) for index in indices]
    alive = [writer.compute("keep", sweep.live, total, 0.0) for total in sums]
    number = writer.number(store.buffer)
    for start in range(0, len(alive), writer.lanes):
        some = slice(start, start + writer.lanes)
        writer.add(AddSums(number, tuple(offsets[some]), tuple(alive[some])))
