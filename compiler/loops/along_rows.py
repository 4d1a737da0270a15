"""Unbatched values along the vectors of their last axis, whatever its length.

Where rows are not padded to whole vectors the last vector of each is cut off: nothing beyond a row
is read or written. Elements need not be neighbours where they come from.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from netc.compiler.loops.loops import Affine
from netc.compiler.loops.moves import groups
from netc.compiler.loops.writer import NotAlongLanesError
from netc.compiler.ops.movement import Reshape
from netc.compiler.plan.storage import row_major

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.plan.plan import Store


def along_rows(
    writer: Writer, shape: tuple[int, ...], write: Callable[[Index], None], *, split: bool
) -> None:
    """`write` at every vector of a shape; NotAlongLanesError when there is none."""
    if not shape or shape[-1] == 1:
        raise NotAlongLanesError
    *outer, last = shape
    whole, rest = divmod(last, writer.lanes)
    writer.steps = True
    try:
        with writer.loops(outer, split=split) as index:
            if whole:
                with writer.along_lanes(whole * writer.lanes) as lane:
                    write((*index, lane))
            if rest:
                with writer.along_lanes(1) as lane, writer.some(rest):
                    write((*index, lane + whole * writer.lanes))
    finally:
        writer.steps = False


def write_merged(writer: Writer, store: Store, *, split: bool) -> None:
    """A reshape that merges axes, along the rows of what it merges: no index is taken apart.

    Raises NotAlongLanesError for any other.
    """
    node = store.node
    if not isinstance(node.op, Reshape) or writer.plan.where.get(node) is not store.buffer:
        raise NotAlongLanesError
    (x,) = node.args
    found = list(groups(x.type.shape, node.type.shape))
    if any(len([n for n in made if n > 1]) > 1 for _, made in found):
        raise NotAlongLanesError

    def write(index: Index) -> None:
        axes, target = iter(index), list[Affine]()
        for sizes, made in found:
            flat = Affine()
            for stride in row_major(sizes):
                flat += next(axes) * stride
            target += [flat if n > 1 or prod(made) == 1 else Affine() for n in made]
        writer.store(store.buffer, node, tuple(target), writer.value(x, index))

    along_rows(writer, x.type.shape, write, split=split)
