"""Movements as index arithmetic: which element of its operand an element of a movement is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import Affine
from netc.compiler.ops.movement import Reshape, Reverse, Slice, Transpose
from netc.compiler.ops.reduce import Broadcast
from netc.compiler.ops.unfold import Fold, Unfold
from netc.compiler.plan.storage import row_major

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Operand
    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.ops.unfold import Windows

Shape = tuple[int, ...]


def moved(writer: Writer, node: Node, index: Index) -> Operand:
    """The value of a movement at an index, read where it comes from."""
    if isinstance(node.op, Unfold):
        return _unfolded(writer, node, index)
    if isinstance(node.op, Fold):
        return _folded(writer, node, index)
    return writer.value(node.args[0], _source(writer, node, index))


def _source(writer: Writer, node: Node, index: Index) -> Index:
    match node.op:
        case Reshape():
            return _reshaped(writer, node, index)
        case Broadcast(axes=axes):
            return tuple(index[a] for a in axes)
        case Transpose(permutation=permutation):
            return tuple(index[permutation.index(axis)] for axis in range(len(permutation)))
        case Slice(starts=starts):
            return tuple(i + s for i, s in zip(index, starts, strict=True))
        case Reverse(axes=axes):
            last = [n - 1 for n in node.type.shape]
            return tuple(i * -1 + last[k] if k in axes else i for k, i in enumerate(index))
    raise AssertionError(f"{node.op} needs loops of its own")


def _reshaped(writer: Writer, node: Node, index: Index) -> Index:
    """Axes that were kept or split are affine; those that were merged need quotients."""
    found: list[Affine] = []
    axes = iter(index)
    for sizes, inner in groups(node.args[0].type.shape, node.type.shape):
        flat = Affine()
        for size, stride in zip(inner, row_major(inner), strict=True):
            axis = next(axes)
            flat += axis * stride if size > 1 else 0
        if len(sizes) == 1:
            found.append(flat)
        else:
            writer.require_one(flat)
            found += writer.unflatten(flat, sizes)
    return tuple(found)


def groups(source: Shape, result: Shape) -> Iterator[tuple[Shape, Shape]]:
    """The axes of two shapes of one size in the smallest groups that have the same elements."""
    left, right = list(source), list(result)
    while left:
        sizes, inner = [left.pop(0)], []
        m, n = sizes[0], 1
        while m != n or (not left and right):
            if m > n or not left:
                inner.append(right.pop(0))
                n *= inner[-1]
            else:
                sizes.append(left.pop(0))
                m *= sizes[-1]
        yield tuple(sizes), tuple(inner)


def _unfolded(writer: Writer, node: Node, index: Index) -> Operand:
    """The element under a tap, or the filling in the padding."""
    assert isinstance(node.op, Unfold)
    (x,) = node.args
    inner, guards = under_taps(writer, node.op.windows, index, x.type.rank)
    return guarded(writer, guards, writer.value(x, inner), node.op.fill)


def _folded(writer: Writer, node: Node, index: Index) -> Operand:
    """The one tap that lies on an element."""
    assert isinstance(node.op, Fold)
    assert node.op.tiling
    places, taps = list(index), []
    for axis, window in node.op.windows:
        writer.require_one(index[axis])
        places[axis], tap = writer.divided(index[axis], window.size)
        taps.append(tap)
    return writer.value(node.args[0], (*places, *taps))


def guarded(writer: Writer, guards: list[str], value: Operand, other: float) -> Operand:
    """The value where all guards hold, else another."""
    if not guards:
        return value
    first, *rest = guards
    for guard in rest:
        first = writer.compute("and", first, guard)
    return writer.compute("keep", first, value, other)


def under_taps(
    writer: Writer, windows: Windows, index: Index, rank: int
) -> tuple[Index, list[str]]:
    """The element that an index of unfolded windows shows, and what must hold for it.

    Where a guard fails the element is another one of the same axis.
    """
    found, guards = list(index[:rank]), []
    for (axis, window), tap in zip(windows, index[rank:], strict=True):
        at = index[axis] * window.stride + tap * window.dilation + -window.before
        if window.padded:
            writer.require_one(at)
        if window.padded and not _always_inside(writer, at, window.length):
            guard, at = writer.guard(at, window.length)
            guards.append(guard)
        found[axis] = at
    return tuple(found), guards


def _always_inside(writer: Writer, index: Affine, length: int) -> bool:
    """Whether 0 <= index < length for all values of the loop variables."""
    ends = [factor * (writer.extents[name] - 1) for name, factor in index.terms]
    low, high = (sum(pick(end, 0) for end in ends) for pick in (min, max))
    return index.constant + low >= 0 and index.constant + high < length
