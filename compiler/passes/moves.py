"""Movements composed, dropped where nothing moves, and taken out of elementwise ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import Add
from netc.compiler.ops.movement import (
    Concat,
    Movement,
    Pad,
    Reshape,
    Reverse,
    Slice,
    Transpose,
    concat,
    pad,
    reshape,
    slice_,
    transpose,
)
from netc.compiler.ops.reduce import Broadcast, Lift, Reduce, broadcast, lift
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, constant

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.passes.rewrite import Rule


def unmoved(node: Node) -> Node | None:
    """A movement that leaves every element where it is."""
    if not isinstance(node.op, Movement) or len(node.args) != 1:
        return None
    (x,) = node.args
    match node.op:
        case Reshape() | Slice() | Pad() | Broadcast() if node.type == x.type:
            return x
        case Transpose(permutation) if node.type.shape == x.type.shape:
            return x if permutation == tuple(range(x.type.rank)) else None
        case Reverse(axes):
            left = tuple(a for a in axes if x.type.shape[a] > 1)
            if left != axes:
                return make(Reverse(left), x) if left else x
    return None


def composed(node: Node) -> Node | None:
    """Two movements of a kind are one."""
    if not isinstance(node.op, Movement) or len(node.args) != 1:
        return None
    (inner,) = node.args
    match node.op, inner.op:
        case Reshape(shape), Reshape():
            return reshape(inner.args[0], shape)
        case Transpose(outer), Transpose(first):
            return transpose(inner.args[0], tuple(first[i] for i in outer))
        case Broadcast(shape, outer), Broadcast(_, first):
            return broadcast(inner.args[0], shape, tuple(outer[a] for a in first))
        case Reverse(outer), Reverse(first):
            axes = tuple(sorted(set(outer) ^ set(first)))
            return make(Reverse(axes), inner.args[0]) if axes else inner.args[0]
        case Slice(starts, stops), Slice(first, _):
            low = tuple(a + b for a, b in zip(first, starts, strict=True))
            high = tuple(a + b for a, b in zip(first, stops, strict=True))
            return slice_(inner.args[0], low, high)
    return None


def transposed_ones(node: Node) -> Node | None:
    """A transpose that moves only axes of size 1 is a reshape."""
    if not isinstance(node.op, Transpose):
        return None
    (x,) = node.args
    long = [axis for axis in node.op.permutation if x.type.shape[axis] > 1]
    return reshape(x, node.type.shape) if long == sorted(long) else None


def part_of_concat(node: Node) -> Node | None:
    """A slice that lies in one part of a concatenation."""
    if not isinstance(node.op, Slice) or not isinstance(node.args[0].op, Concat):
        return None
    joined = node.args[0]
    axis = node.args[0].op.axis
    start, stop = node.op.starts[axis], node.op.stops[axis]
    for part in joined.args:
        size = part.type.shape[axis]
        if start >= 0 and stop <= size and part.type.batched == joined.type.batched:
            starts, stops = list(node.op.starts), list(node.op.stops)
            starts[axis], stops[axis] = start, stop
            return slice_(part, tuple(starts), tuple(stops))
        start, stop = start - size, stop - size
    return None


def sum_of_neighbours(node: Node) -> Node | None:
    """The sum of two tensors with zeros around, side by side in it, is one with both in a row.

    Slices of one tensor have such cotangents.
    """
    if not isinstance(node.op, Add):
        return None
    for first, second in (node.args, node.args[::-1]):
        if not isinstance(first.op, Pad) or not isinstance(second.op, Pad):
            return None
        edges, others = (list(zip(o.before, o.after, strict=True)) for o in (first.op, second.op))
        apart = [axis for axis, edge in enumerate(edges) if edge != others[axis]]
        if len(apart) != 1:
            return None
        axis = apart[0]
        if first.op.before[axis] + first.args[0].type.shape[axis] == second.op.before[axis]:
            parts = [*_parts(first.args[0], axis), *_parts(second.args[0], axis)]
            after = list(first.op.after)
            after[axis] = second.op.after[axis]
            return pad(concat(parts, axis), first.op.before, tuple(after))
    return None


def _parts(x: Node, axis: int) -> tuple[Node, ...]:
    return x.args if isinstance(x.op, Concat) and x.op.axis == axis else (x,)


def broadcast_last(node: Node) -> Node | None:
    """f(broadcast a, broadcast b) = broadcast f(a, b), when both repeat along the same axes."""
    if not isinstance(node.op, Elementwise):
        return None
    spread = [a for a in node.args if isinstance(a.op, Broadcast)]
    if not spread or any(a.op != spread[0].op for a in spread):
        return None
    if not all(isinstance(a.op, Broadcast | Constant) for a in node.args):
        return None
    shape = spread[0].args[0].type.shape
    small = [
        constant(a.op.value, shape, a.type.precision) if isinstance(a.op, Constant) else a.args[0]
        for a in node.args
    ]
    return make(spread[0].op, make(node.op, *small))


def lift_last(node: Node) -> Node | None:
    """What is the same for each sample is computed once: f(lift a) = lift f(a).

    Beside a batched operand the lift of an elementwise op's operand is simply dropped.
    """
    if not isinstance(node.op, Elementwise | Movement | Reduce):
        return None
    if not any(isinstance(a.op, Lift) for a in node.args):
        return None
    inner = make(node.op, *(a.args[0] if isinstance(a.op, Lift) else a for a in node.args))
    return lift(inner)


MOVES: Final[tuple[Rule, ...]] = (
    unmoved,
    composed,
    transposed_ones,
    part_of_concat,
    sum_of_neighbours,
    lift_last,
    broadcast_last,
)
