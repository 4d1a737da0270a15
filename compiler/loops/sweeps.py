"""One pass over some axes: several reductions at once, in tiles written out where that helps.

A tile is a few neighbouring elements of each axis. Those of pools' gradients are their windows:
what belongs to a window is read once for all its taps. Short sums go over four elements at a time,
because one accumulator waits four cycles for each addition.
"""

from __future__ import annotations

from itertools import product
from math import inf, lcm, prod
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.windows import COMBINE
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.unfold import Fold
from netc.compiler.plan.costs import FEW_TAPS, own_cost
from netc.compiler.plan.indices import gathers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.groups import Part, Shape
    from netc.compiler.loops.loops import Operand
    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.plan.plan import Buffer

IDENTITY: Final = {"sum": 0.0, "max": -inf, "min": inf, "prod": 1.0}

SIDE_BY_SIDE: Final = (4, 3, 2)
"""How many elements of the last axis a reduction takes at once: the first that divides."""

STRAIGHT: Final = 80
"""Instructions of a tile of a reduction; longer ones hide their latency without."""


def sweep(
    writer: Writer,
    sizes: Shape,
    kinds: Sequence[str],
    at: Callable[[Index], Sequence[Operand]],
    tile: Shape,
) -> Sequence[Operand]:
    """Reduces what `at` gives for each index; every axis has accumulators of its own.

    Partial results of the inner axes bound the rounding error of long sums.
    """

    def combined(a: Sequence[Operand], b: Sequence[Operand]) -> list[Operand]:
        pairs = zip(kinds, a, b, strict=True)
        return [writer.compute(COMBINE[kind], x, y) for kind, x, y in pairs]

    def walk(corner: Index) -> Sequence[Operand]:
        axis = len(corner)
        if axis == len(sizes):
            return _pairwise([at(index) for index in _places(corner, tile)], combined)
        if sizes[axis] == tile[axis]:
            with writer.loop(1) as here:
                return walk((*corner, here))
        loop = writer.begin(sizes[axis] // tile[axis], [IDENTITY[k] for k in kinds])
        values = walk((*corner, loop.index * tile[axis]))
        return writer.end(loop, combined(loop.carried, values))

    return walk(())


def _places(corner: Index, tile: Shape) -> Iterator[Index]:
    for shift in product(*map(range, tile)):
        yield tuple(i + s for i, s in zip(corner, shift, strict=True))


def _pairwise(
    values: list[Sequence[Operand]],
    combined: Callable[[Sequence[Operand], Sequence[Operand]], list[Operand]],
) -> Sequence[Operand]:
    """All values combined as a balanced tree."""
    while len(values) > 1:
        pairs = [combined(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(values) & ~1 :]
    return values[0]


def tile_of(part: Part, outer: int, where: Mapping[Node, Buffer]) -> Shape:
    """The elements of each axis that are written out at once; each number divides its axis."""
    ones = (1,) * len(part.inner)
    nodes = _inside(part, where)
    folds = [n.op for n in nodes if isinstance(n.op, Fold) and n.type.rank == outer + len(ones)]
    windows = [(axis - outer, w.size) for op in folds for axis, w in op.windows if axis >= outer]
    tile = list(ones)
    for axis, size in windows:
        tile[axis] = lcm(tile[axis], size)
    divides = all(n % t == 0 for n, t in zip(part.inner, tile, strict=True))
    if prod(tile) > 1 and divides and prod(tile) <= FEW_TAPS:
        return tuple(tile)
    cost = len(part.stores) + sum(own_cost(n) for n in nodes)
    if part.inner and any(gathers(s.node) for s in part.stores):
        fits = (n for n in SIDE_BY_SIDE if part.inner[-1] % n == 0 and n * cost <= STRAIGHT)
        return (*ones[:-1], next(fits, 1))
    return ones


def _inside(part: Part, where: Mapping[Node, Buffer]) -> set[Node]:
    """The nodes that are computed at each element of a part."""
    seen: set[Node] = set()
    stack = [n for s in part.stores for n in (s.node.args if gathers(s.node) else [s.node])]
    roots = {s.node for s in part.stores}
    while stack:
        node = stack.pop()
        if node in seen or (node in where and node not in roots):
            continue
        seen.add(node)
        if isinstance(node.op, Elementwise):
            stack.extend(node.args)
    return seen
