"""Contractions whose lanes are columns of an unbatched result.

Summed over the batch (outer): the operand with the columns is transposed to panels of samples by a
kernel of its own, block by block.
Nothing batched (columns): the operand with the columns is read as it lies.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import (
    Affine,
    Bind,
    Count,
    Operand,
    Prefetch,
    TransposeTile,
    var,
)
from netc.compiler.loops.product import (
    Access,
    Product,
    Summed,
    outer_letters,
    ranges,
    row_split,
    summed_letters,
)
from netc.compiler.loops.tile import accumulate, finish
from netc.compiler.plan import tiles
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.writer import Writer
    from netc.compiler.plan.plan import Buffer

PREFETCH_ELEMENTS: Final = 50_000
"""Below this what the epilogue reads stays near by itself."""

STREAM_ELEMENTS: Final = 400_000
"""From this on the epilogue's rows are read along, and the panels again for each row of tiles.

Measured on an Adam step of 22 MB of state: its weight gradients take 14 % less time. With weights
that stay in the second cache it is 7 % more.
"""

STREAM_PANELS: Final = 8
"""So many lie in the second cache, for 512 samples still: 16 of them take 60 % more time."""

STREAMED_ELEMENTS: Final = 1 << 14
"""From this on an operand that a few rows read once is fetched ahead: it exceeds the first cache.

Its rows are far apart. For 8 rows and 7 MB of weights it saves a quarter of the time; for a single
row, which reads longer pieces, it is slower.
"""

PIECE: Final = 8
"""Vectors of a longer row at a time: sums of fewer wait for each other, 16 take 8 % more time."""

BLOCK, LANE = "block", "lane"
"""Summed loops of the batch, beside the letters of the contraction."""


@record
class Panel:
    """The moving operand by samples: for each block, letters and panel, rows of `width` vectors."""

    buffer: int
    per_block: int
    strides: dict[str, int]
    splits: list[tuple[int, int]] = field(default_factory=list)


def write_outer(product: Product, buffer: Buffer) -> None:
    """Sums over the batch: a product of panels of the moving operand with the other's samples."""
    writer = product.writer
    panel = _panel(product, buffer)
    full = writer.name("n")
    writer.add(Bind(full, Count("B", writer.lanes)))
    stream = sum(n.type.size for n in _read_beside(product)) >= STREAM_ELEMENTS
    for first, width, count in ranges(panel.splits):
        for start, rows, number in ranges(row_split(product, width)):
            with _tile_loops(writer, number, count, stream=stream) as (tile, across):
                corner = (tile * rows + start, across * width + first)
                _column_tile(product, corner, (rows, width), panel, full)


@contextmanager
def _tile_loops(
    writer: Writer, rows: int, columns: int, *, stream: bool
) -> Iterator[tuple[Affine, Affine]]:
    """Loops over tiles: panel by panel, or with `stream` along the rows of some panels.

    The longer one is shared out.
    """
    down = rows >= columns
    if stream:
        ((beside, chunks),) = tiles.split(columns, STREAM_PANELS, 1)
        with (
            writer.loop(chunks, hint="p", split=not down) as chunk,
            writer.loop(rows, hint="f", split=down) as tile,
            writer.loop(beside, hint="p") as across,
        ):
            yield tile, chunk * beside + across
    else:
        with (
            writer.loop(columns, hint="p", split=not down) as across,
            writer.loop(rows, hint="f", split=down) as tile,
        ):
            yield tile, across


def _panel(product: Product, buffer: Buffer) -> Panel:
    """How the moving operand lies when it is transposed."""
    writer, lanes, column = product.writer, product.writer.lanes, product.tile.column
    assert column is not None
    vectors = tiles.panel_vectors(product.axes.sizes[column], lanes)
    strides, step = {}, vectors * lanes * lanes
    for letter in dict.fromkeys(product.moving.letters):
        if letter != column:
            strides[letter] = step
            step *= product.axes.sizes[letter]
    return Panel(writer.number(buffer), step, strides, tiles.split(vectors, product.limits.vectors))


def write_panel(product: Product, buffer: Buffer) -> None:
    """Transposes the moving operand, a square of samples and elements at a time."""
    writer, lanes, column = product.writer, product.writer.lanes, product.tile.column
    assert column is not None
    size = product.axes.sizes[column]
    vectors = tiles.panel_vectors(size, lanes)
    panel = _panel(product, buffer)
    with (
        writer.blocks() as block,
        writer.named_loops({c: product.axes.sizes[c] for c in panel.strides}) as at,
    ):
        for first, width, count in ranges(panel.splits):
            whole = count if first + width * count < vectors else count - 1
            if whole:
                with writer.loop(whole, hint="p") as across, writer.loop(width, hint="p") as inside:
                    corner = across * width + first
                    _transpose(product, panel, (block, at), (corner, inside, width), lanes)
            if whole < count:
                corner = Affine(first + width * whole)
                if width > 1:
                    with writer.loop(width - 1, hint="p") as inside:
                        _transpose(product, panel, (block, at), (corner, inside, width), lanes)
                inside = Affine(width - 1)
                valid = size - (vectors - 1) * lanes
                _transpose(product, panel, (block, at), (corner, inside, width), valid)


def _transpose(
    product: Product,
    panel: Panel,
    sample: tuple[Affine, dict[str, Affine]],
    place: tuple[Affine, Affine, int],
    valid: int,
) -> None:
    """A square from element-major to sample-major; what lies beyond the axis repeats the last."""
    writer, lanes = product.writer, product.writer.lanes
    (block, at), (corner, inside, width) = sample, place
    assert product.tile.column is not None
    plain = product.access(
        product.moving, {**at, product.tile.column: (corner + inside) * lanes}, wide=True
    )
    target = block * panel.per_block + corner * (lanes * lanes) + inside * lanes
    for letter, stride in panel.strides.items():
        target += at[letter] * stride
    writer.add(
        TransposeTile(
            plain.buffer,
            plain.offset + block * product.moving.per_block,
            product.moving.stride_of(product.tile.column),
            valid,
            panel.buffer,
            target,
            width * lanes,
        )
    )


def _column_tile(
    product: Product,
    corner: tuple[Affine, Affine],
    shape: tuple[int, int],
    panel: Panel,
    full: str,
) -> None:
    writer, row, column = product.writer, product.tile.row, product.tile.column
    lanes = writer.lanes
    (place, first), (rows, width) = corner, shape
    with outer_letters(product, row, column) as outer:
        at = [outer if row is None else {**outer, row: place + i} for i in range(rows)]
        broadcast = [_by_sample(product, a) for a in at]
        start = first * (lanes * lanes)
        for letter, stride in panel.strides.items():
            if letter in outer:
                start += outer[letter] * stride
        steps = {c: s for c, s in panel.strides.items() if c not in outer}
        steps |= {BLOCK: panel.per_block, LANE: width * lanes}
        vectors = [Access(panel.buffer, start + j * lanes, steps, wide=True) for j in range(width)]

        def fetch(block: Affine) -> None:
            _prefetch(product, shape, outer, corner, block)

        sums = _over_samples(product, broadcast, vectors, full, fetch)
        _finish_columns(product, sums, shape, outer, corner)


def _prefetch(
    product: Product,
    shape: tuple[int, int],
    outer: dict[str, Affine],
    corner: tuple[Affine, Affine],
    block: Affine,
) -> None:
    """Fetches, beside each block of samples, a row of what the tile's epilogue will read.

    Rows of a tile are far apart, so the processor's own prefetching does not see them coming.
    """
    writer, (rows, columns) = product.writer, shape
    beside = _read_beside(product)
    if sum(n.type.size for n in beside) < PREFETCH_ELEMENTS:
        return
    _, i = writer.guard(block, rows)
    for j in range(columns):
        at = _place(product, outer, corner, (i, Affine(j)), Affine())
        index = tuple(at[letter] for letter in product.axes.out)
        for node in beside:
            writer.add(Prefetch(writer.number(writer.plan.where[node]), writer.offset(node, index)))


def _read_beside(product: Product) -> list[Node]:
    """What the epilogue reads at the index of the result."""
    stored, node = product.writer.plan.where, product.node
    read = {stored[n].name: n for s in product.stores for n in s.reads if n in stored}
    return [n for _, n in sorted(read.items()) if n.type == node.type and n is not node]


def _place(
    product: Product,
    outer: dict[str, Affine],
    corner: tuple[Affine, Affine],
    inside: tuple[Affine, Affine],
    lane: Affine,
) -> dict[str, Affine]:
    """The letters of the result at row and vector `inside` a tile."""
    assert product.tile.column is not None
    at = {**outer, product.tile.column: (corner[1] + inside[1]) * product.writer.lanes + lane}
    return at if product.tile.row is None else {**at, product.tile.row: corner[0] + inside[0]}


def _by_sample(product: Product, at: dict[str, Affine]) -> Access:
    plain = product.access(product.broadcast, at, wide=False)
    return Access(
        plain.buffer,
        plain.offset,
        plain.steps | {BLOCK: product.broadcast.per_block, LANE: 1},
        wide=False,
    )


def _over_samples(
    product: Product,
    rows: Sequence[Access],
    columns: Sequence[Access],
    full: str,
    each: Callable[[Affine], None],
) -> Sequence[Operand]:
    """Full blocks first, then the samples of the last block: exactly the batch, no masks.

    `each` may write something beside each full block.
    """
    writer, letters = product.writer, summed_letters(product)
    zeros: list[Operand] = [0.0] * (len(rows) * len(columns))
    whole = [*letters, Summed(BLOCK, Count(full)), Summed(LANE, writer.lanes)]
    sums = accumulate(writer, whole, rows, columns, zeros, {BLOCK: each})
    tail = [*letters, Summed(LANE, Count("B", writer.lanes, remainder=True))]

    def last_block(access: Access) -> Access:
        offset = access.offset + var(full) * access.steps[BLOCK]
        steps = {n: s for n, s in access.steps.items() if n != BLOCK}
        return Access(access.buffer, offset, steps, access.wide)

    rows, columns = [last_block(a) for a in rows], [last_block(a) for a in columns]
    return accumulate(writer, tail, rows, columns, sums)


def write_columns(product: Product) -> None:
    """Nothing batched: rows of one operand by vectors of the other.

    A single row takes whole rows of the other operand, one stream, where its sums fit in registers,
    else pieces of them. A few rows are one tile, so the other operand is read only once.
    """
    writer, row, column = product.writer, product.tile.row, product.tile.column
    assert column is not None
    lanes = writer.lanes
    vectors = tiles.panel_vectors(product.axes.sizes[column], lanes)
    height = 1 if row is None else product.axes.sizes[row]
    once = height <= product.limits.rows[1]
    summed = summed_letters(product)
    large = product.node.args[product.tile.moving].type.size >= STREAMED_ELEMENTS
    streamed = height > 1 and large and bool(summed)
    for first, width, times in ranges(tiles.split(vectors, _most_vectors(product, height))):
        for start, rows, count in [(0, height, 1)] if once else ranges(row_split(product, width)):
            with (
                _tile_loops(writer, count, times, stream=False) as (tile, across),
                outer_letters(product, row, column) as outer,
            ):
                corner = across * width + first
                place = tile * rows + start
                at = [outer if row is None else {**outer, row: place + i} for i in range(rows)]
                starts = [{**outer, column: (corner + j) * lanes} for j in range(width)]
                moving = [product.access(product.moving, a, wide=True) for a in starts]
                sums = accumulate(
                    writer,
                    summed,
                    [product.access(product.broadcast, a, wide=False) for a in at],
                    moving,
                    [0.0] * (rows * width),
                    far=moving if streamed else (),
                )
                _finish_columns(product, sums, (rows, width), outer, (place, corner))


def _most_vectors(product: Product, rows: int) -> int:
    """Vectors of a tile with so many rows, where they are all rows that there are."""
    limits = product.limits
    if rows == 1:
        assert product.tile.column is not None
        whole = tiles.panel_vectors(product.axes.sizes[product.tile.column], product.writer.lanes)
        return whole if whole <= limits.shared else PIECE
    return limits.all // (rows + 1) if rows <= limits.rows[1] else limits.vectors


def _finish_columns(
    product: Product,
    sums: Sequence[Operand],
    shape: tuple[int, int],
    outer: dict[str, Affine],
    corner: tuple[Affine, Affine],
) -> None:
    with product.writer.along_lanes(1) as lane:

        def enter(i: Affine, j: Affine) -> dict[str, Affine]:
            return _place(product, outer, corner, (i, j), lane)

        finish(product, sums, shape, enter)
