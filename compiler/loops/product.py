"""What the forms of a contraction share: operands as accesses, the loops around a tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import Load
from netc.compiler.plan import tiles
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Affine, Extent
    from netc.compiler.loops.views import View
    from netc.compiler.loops.writer import Writer
    from netc.compiler.plan.plan import Store


@record
class Access:
    """Memory that moves with the summed loops: elements per round of each loop."""

    buffer: int
    offset: Affine
    steps: dict[str, int]
    wide: bool

    def at(self, shift: Mapping[str, Affine]) -> Affine:
        """The element in the given rounds of the summed loops."""
        offset = self.offset
        for name, step in self.steps.items():
            offset += shift[name] * step
        return offset


@record
class Summed:
    """One summed loop."""

    name: str
    extent: Extent


@record
class Product:
    """What all forms need: the node, its epilogue, its axes and operands."""

    writer: Writer
    node: Node
    stores: tuple[Store, ...]
    tile: tiles.Tile
    limits: tiles.Limits
    axes: tiles.Axes
    views: tuple[View, View]

    @property
    def broadcast(self) -> View:
        return self.views[1 - self.tile.moving]

    @property
    def moving(self) -> View:
        return self.views[self.tile.moving]

    def access(self, operand: View, at: dict[str, Affine], wide: bool) -> Access:
        """An operand at the given letters; the letters not given are summed over."""
        offset = operand.offset
        steps: dict[str, int] = {}
        for letter, stride in zip(operand.letters, operand.strides, strict=True):
            if letter in at:
                offset += at[letter] * stride
            else:
                steps[letter] = steps.get(letter, 0) + stride
        return Access(self.writer.number(operand.buffer), offset, steps, wide)


class Loads:
    """The loads of one loop body: what is loaded once is used again.

    With a mask `live` the other lanes are zero.
    """

    def __init__(self, product: Product, live: str | None = None) -> None:
        self.product = product
        self.live = live
        self.found: dict[tuple[View, Affine], str] = {}

    def __call__(self, operand: View, at: dict[str, Affine]) -> str:
        """An operand at the given letters: of the open block of samples when it is batched."""
        writer = self.product.writer
        offset = operand.offset
        for letter, stride in zip(operand.letters, operand.strides, strict=True):
            offset += at[letter] * stride
        if operand.per_block:
            assert writer.block is not None
            offset += writer.block * operand.per_block
        name = self.found.get((operand, offset))
        if name is None:
            name = writer.name()
            number = writer.number(operand.buffer)
            writer.add(Load(name, number, offset, wide=operand.per_block > 0))
            if self.live is not None:
                name = writer.compute("keep", self.live, name, 0.0)
            self.found[operand, offset] = name
        return name


def summed_letters(product: Product) -> list[Summed]:
    """The summed letters; the one with the smallest steps innermost."""

    def stride(letter: str) -> int:
        return min(abs(v.stride_of(letter)) or 1 << 60 for v in product.views)

    letters = sorted(product.axes.summed, key=stride, reverse=True)
    return [Summed(c, product.axes.sizes[c]) for c in letters]


def outer_letters(
    product: Product, *tiled: str | None
) -> AbstractContextManager[dict[str, Affine]]:
    """Loops over the letters of the result that the tile does not cover."""
    letters = [c for c in product.axes.out if c not in tiled]
    return product.writer.named_loops({c: product.axes.sizes[c] for c in letters})


def parts(product: Product, letter: str | None, most: int) -> list[tuple[int, int, int]]:
    extent = 1 if letter is None else product.axes.sizes[letter]
    return ranges(tiles.split(extent, most))


def ranges(splits: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(start, size, count) of successive tiles."""
    found, start = [], 0
    for size, count in splits:
        found.append((start, size, count))
        start += size * count
    return found


def row_split(product: Product, width: int) -> list[tuple[int, int]]:
    row = product.tile.row
    extent = 1 if row is None else product.axes.sizes[row]
    most = product.limits.rows[width]
    main = width == product.limits.vectors
    return tiles.split(extent, most, most - 1 if main else tiles.ENOUGH_ACCUMULATORS // width)
