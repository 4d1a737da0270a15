"""Contractions whose lanes are samples: one operand batched (samples), or both (pairs)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import Affine, Bind, Count, var
from netc.compiler.loops.product import (
    Access,
    Product,
    outer_letters,
    parts,
    row_split,
    summed_letters,
)
from netc.compiler.loops.tile import accumulate, finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.loops.product import Summed
    from netc.compiler.loops.views import View


FAR_ELEMENTS: Final = 20_000
"""Measured on one step of 128 samples: 13 % of a product of 1024x1024, 5 % of 784x256."""


def write_samples(product: Product) -> None:
    """Tiles of rows of the unbatched operand by blocks of samples; wider tiles first."""
    writer = product.writer
    first = var("first")
    left = Count("blocks")
    widths = sorted(product.limits.rows, reverse=True)
    for width in (w for w in widths if w != 3):
        taken = Count(left.base, width)
        rest = writer.name("n")
        if width > 1:
            groups = writer.name("n")
            writer.add(Bind(groups, taken))
            writer.add(Bind(rest, Count(left.base, width, remainder=True)))
        else:
            groups = left.base
        _sample_tiles(product, width, Count(groups), first)
        first += var(groups) * width
        left = Count(rest)


def _sample_tiles(product: Product, width: int, groups: Count, first: Affine) -> None:
    writer, row = product.writer, product.tile.row
    start = 0
    for rows, count in row_split(product, width):
        with (
            writer.loop(count, hint="f", split=True) as tile,
            outer_letters(product, row) as outer,
        ):
            opened = writer.begin(groups, hint="g")
            block = first + opened.index * width
            _sample_tile(product, outer, tile * rows + start, (rows, width), block)
            writer.end(opened)
        start += rows * count


def _sample_tile(
    product: Product,
    outer: dict[str, Affine],
    start: Affine,
    shape: tuple[int, int],
    block: Affine,
) -> None:
    writer, row = product.writer, product.tile.row
    rows, width = shape

    def at(i: Affine | int) -> dict[str, Affine]:
        return outer if row is None else {**outer, row: start + i}

    broadcast = [product.access(product.broadcast, at(i), wide=False) for i in range(rows)]
    plain = product.access(product.moving, outer, wide=True)
    per_block = product.moving.per_block
    vectors = [
        Access(plain.buffer, plain.offset + (block + j) * per_block, plain.steps, wide=True)
        for j in range(width)
    ]
    summed = summed_letters(product)
    far = broadcast[-1:] if _scattered(product, summed) else ()
    sums = accumulate(writer, summed, broadcast, vectors, [0.0] * (rows * width), far=far)

    def enter(i: Affine, j: Affine) -> dict[str, Affine]:
        writer.block = block + j
        return at(i)

    finish(product, sums, shape, enter)
    writer.block = None


def _scattered(product: Product, summed: Sequence[Summed]) -> bool:
    """Whether successive broadcast values are rows apart, in more memory than the first cache.

    The processor fetches neither across pages nor one element of each row.
    """
    if not summed:
        return False
    step = product.broadcast.stride_of(summed[-1].name)
    return step > product.writer.lanes and product.broadcast.buffer.elements >= FAR_ELEMENTS


def write_pairs(product: Product) -> None:
    """Both operands have a value for each sample: a small tile of both, block by block."""
    writer, row, column = product.writer, product.tile.row, product.tile.column
    with writer.blocks():
        for start, rows, count in parts(product, row, 4):
            for begin, columns, times in parts(product, column, 4):
                with (
                    writer.loop(count, hint="f") as tile,
                    writer.loop(times, hint="f") as across,
                    outer_letters(product, row, column) as outer,
                ):
                    corner = (tile * rows + start, across * columns + begin)
                    _pair_tile(product, outer, corner, (rows, columns))


def _pair_tile(
    product: Product,
    outer: dict[str, Affine],
    corner: tuple[Affine, Affine],
    shape: tuple[int, int],
) -> None:
    writer, row, column = product.writer, product.tile.row, product.tile.column
    assert writer.block is not None
    block = writer.block

    def at(letter: str | None, place: Affine) -> dict[str, Affine]:
        return outer if letter is None else {**outer, letter: place}

    def vectors(operand: View, letter: str | None, first: Affine, count: int) -> list[Access]:
        shift = block * operand.per_block
        found = [product.access(operand, at(letter, first + i), wide=True) for i in range(count)]
        return [Access(a.buffer, a.offset + shift, a.steps, wide=True) for a in found]

    sums = accumulate(
        writer,
        summed_letters(product),
        vectors(product.broadcast, row, corner[0], shape[0]),
        vectors(product.moving, column, corner[1], shape[1]),
        [0.0] * (shape[0] * shape[1]),
    )

    def enter(i: Affine, j: Affine) -> dict[str, Affine]:
        return at(row, corner[0] + i) | at(column, corner[1] + j) | outer

    finish(product, sums, shape, enter)
