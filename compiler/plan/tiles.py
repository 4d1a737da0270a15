"""The register tile of a contraction: which axes run along vectors, rows and accumulators.

Every contraction is C[m, n] += A[m, k] · B[k, n] in some order of axes. What lies along the vector
decides the form:

samples  one operand batched: lanes are samples; the other operand is broadcast, its rows are tiled.
pairs    both batched, result batched: lanes are samples; a small tile of both operands' axes.
outer    summed over the batch: lanes run along the last axis of the result; the operand with that
         axis is first transposed to panels of rows.
columns  nothing batched: lanes run along the last axis of the result, dense in one operand.
places   windows over one batched operand: lanes are samples; rows of the weights by neighbouring
         places (or elements, in a gradient) of the last window.
taps     windows, summed over the batch: lanes are samples and summed at the end; rows of one
         operand by channels and taps of the other.
along    windows, nothing batched: lanes are neighbouring places of the window along the result's
         last axis; rows of the weights by vectors of places.
loops    everything else: one accumulator.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, Literal

from netc.compiler.ops.contract import Contract
from netc.compiler.plan.fuse import view_base
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node


@record
class Limits:
    """What a tile may hold such that its accumulators stay in registers.

    `rows` are those for 4, 2 and 1 vectors. The operands of a window's tile stay in registers as
    well: `shared` are its accumulators; form places has up to `places` of them, and `all` counts
    them together with the vectors they need.
    """

    rows: dict[int, int]
    shared: int
    places: int
    all: int

    @property
    def vectors(self) -> int:
        return max(self.rows)


ENOUGH_ACCUMULATORS: Final = 22
"""Fewer hide the latency of two multiply-add units as well, but load more for each operation."""


def limits(registers: int) -> Limits:
    """24 accumulators of 32 registers, 12 of 16: what measured fastest."""
    if registers >= 32:
        return Limits({4: 6, 3: 8, 2: 12, 1: 14}, 20, 24, 31)
    return Limits({2: 6, 1: 10}, 8, 12, 16)


FEW_RESULTS: Final = 2
"""Up to so many vectors of sums over the batch are formed one by one, with samples in the lanes:
turning the operand would take longer.
"""


@record
class Tile:
    """The form and the axes of the tile.

    `moving` is the operand (0 or 1) whose values are loaded as vectors, the other is broadcast.
    `row` is an axis of the broadcast operand that the result has, `column` the axis along the
    vectors (forms outer and columns) or the second tiled axis (forms pairs and taps); None if there
    is none.
    """

    form: Literal["samples", "pairs", "outer", "columns", "places", "taps", "along", "loops"]
    moving: int = 1
    row: str | None = None
    column: str | None = None


@record
class Axes:
    """The axes of a contraction by letter, with their sizes."""

    operands: tuple[str, str]
    out: str
    sizes: dict[str, int]
    tied: str
    """The letters of windows: their loops are not a box."""

    @property
    def summed(self) -> list[str]:
        return [c for c in self.sizes if c not in self.out and c not in self.tied]

    @property
    def free(self) -> list[str]:
        """The letters of the result that no window ties."""
        return [c for c in self.out if c not in self.tied]


def axes_of(node: Node) -> Axes:
    """The letters of a contraction and the size each stands for."""
    assert isinstance(node.op, Contract)
    first, second, out = node.op.letters
    sizes = node.op.sizes(*(a.type for a in node.args))
    return Axes((first, second), out, sizes, "".join(letters for letters, _ in node.op.windows))


def choose_tile(node: Node, lanes: int) -> Tile:
    """The tile form of a contraction, by which of its operands and results are batched."""
    assert isinstance(node.op, Contract)
    axes = axes_of(node)
    batched = [a.type.batched for a in node.args]
    if node.op.windows:
        return _window_tile(node.op, axes, batched)
    if node.type.batched:
        if all(batched):
            return Tile("pairs", 1, _largest(axes, 0), _largest(axes, 1))
        moving = batched.index(True)
        return Tile("samples", moving, _largest(axes, 1 - moving))
    column = axes.out[-1:]
    owners = [i for i, letters in enumerate(axes.operands) if column and column in letters]
    if len(owners) != 1 or not _whole_vectors(node, lanes):
        return Tile("loops")
    moving = owners[0]
    if node.op.sum_batch and node.type.size <= FEW_RESULTS * lanes:
        return Tile("loops")
    if node.op.sum_batch:
        return Tile("outer", moving, _largest(axes, 1 - moving), column)
    operand = node.args[moving]
    dense = axes.operands[moving][-1] == column and view_base(operand) is operand
    if dense and not any(batched) and _whole_vectors(operand, lanes):
        return Tile("columns", moving, _largest(axes, 1 - moving), column)
    return Tile("loops")


def _window_tile(op: Contract, axes: Axes, batched: list[bool]) -> Tile:
    """The form of a convolution or of one of its gradients."""
    weights = next((i for i in (0, 1) if _holds_taps(op, axes.operands[i])), None)
    if weights is not None and not batched[weights] and batched[1 - weights]:
        return Tile("places", 1 - weights, _largest(axes, weights))
    if weights is not None and not any(batched) and _along_last(op, axes.out):
        return Tile("along", 1 - weights, _largest(axes, weights))
    if weights is None and op.sum_batch:
        moving = next(i for i in (0, 1) if op.windows[0][0][0] in axes.operands[i])
        return Tile("taps", moving, _largest(axes, 1 - moving), _largest(axes, moving))
    return Tile("loops")


def _along_last(op: Contract, out: str) -> bool:
    """Whether neighbours along the last axis are neighbouring places, or elements, of a window."""
    for letters, window in op.windows:
        element, place, _ = tuple(letters)
        if out[-1] == place or (out[-1] == element and window.stride == 1):
            return True
    return False


def _holds_taps(op: Contract, letters: str) -> bool:
    return any(tied[2] in letters for tied, _ in op.windows)


def _whole_vectors(node: Node, lanes: int) -> bool:
    """A vector may run over the end of a padded row, never over the end of an inner axis."""
    return node.type.rank <= 2 or node.type.shape[-1] % lanes == 0


def panel_elements(node: Node, lanes: int) -> int:
    """Elements for each block of the transposed operand; 0 for forms without one."""
    tile, axes = choose_tile(node, lanes), axes_of(node)
    if tile.form != "outer" or tile.column is None:
        return 0
    others = prod(n for c, n in axes.sizes.items()
                  if c in axes.operands[tile.moving] and c != tile.column)  # fmt: skip
    return others * panel_vectors(axes.sizes[tile.column], lanes) * lanes * lanes


def _largest(axes: Axes, operand: int) -> str | None:
    """The largest axis that only this operand and the result have."""
    own, other = axes.operands[operand], axes.operands[1 - operand]
    free = [c for c in own if c in axes.free and c not in other]
    return max(free, key=axes.sizes.__getitem__, default=None)


def split(extent: int, most: int, enough: int = 0) -> list[tuple[int, int]]:
    """`extent` as tiles of at most `most`: (size, count), larger first.

    One size if a divisor of at least `enough` exists (half the code), else two neighbouring sizes.
    """
    exact = [n for n in range(min(most, extent), max(enough, 1) - 1, -1) if extent % n == 0]
    if enough and exact:
        return [(exact[0], extent // exact[0])]
    tiles = -(-extent // most)
    small, larger = divmod(extent, tiles)
    parts = [(small + 1, larger), (small, tiles - larger)]
    return [(size, count) for size, count in parts if count]


def panel_vectors(extent: int, lanes: int) -> int:
    """Vectors that cover an axis of this size."""
    return -(-extent // lanes)
