"""A graph of one vector evaluated for many at once: a new leading axis through every op.

A Jacobian is the derivative for each direction of a cotangent, a call with few samples the net for
each; here they are one more axis, so the graph of all has as many nodes as the graph of one.
Invariant: slice i of a stacked node is the node for the i-th vector.
"""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import make, toposort
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.custom import Custom, placeholder, remade
from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.ops.movement import (
    Concat,
    Pad,
    Reshape,
    Reverse,
    Slice,
    Transpose,
    concat,
    reshape,
    slice_axis,
)
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Lift, Reduce, broadcast
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Source
from netc.compiler.ops.unfold import Fold, Unfold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.ir.op import Op


class Unstackable(Exception):
    """An op that no rule pushes an axis through: a bug of this file."""


def stacked(roots: Sequence[Node], variable: Node, vectors: Node) -> list[Node]:
    """`roots` for each of the `vectors` [n, …] in the place of `variable` […], as [n, …] each.

    Raises Unstackable for an op that depends on the variable and has no rule here.
    """
    count = vectors.type.shape[0]
    given = _cotangents(toposort(roots), variable, count) | {variable: vectors}
    return stacked_from(roots, given, count)


def stacked_from(roots: Sequence[Node], given: Mapping[Node, Node], count: int) -> list[Node]:
    """`roots` […] as [count, …], where what is `given` has that axis already.

    Raises Unstackable for an op of these that has no rule here.
    """
    new = dict(given)
    for node in toposort(roots):
        if node not in new and any(arg in new for arg in node.args):
            new[node] = _stacked(node, new, count)
    return [new[root] if root in new else _repeated(root, count) for root in roots]


def stackable(graph: Graph) -> bool:
    """Whether every contraction has a letter left for one more axis."""
    return all(_free_letters(n.op) for n in graph.nodes() if isinstance(n.op, Contract))


def _cotangents(order: Sequence[Node], variable: Node, count: int) -> dict[Node, Node]:
    """The placeholders of rules of one's own that are applied to what depends on the variable."""
    dependent = {variable}
    found: dict[Node, Node] = {}
    known = -1
    while len(found) > known:  # a rule may apply another
        known = len(found)
        for node in order:
            if not dependent.intersection(node.args):
                continue
            dependent.add(node)
            if isinstance(node.op, Custom):
                own = node.args[1]
                assert isinstance(own.op, Source)
                shape = own.type.with_shape((count, *own.type.shape))
                found[own] = placeholder(f"{own.op.name}*{count}", shape)
                dependent.add(own)
    return found


def _repeated(node: Node, count: int) -> Node:
    """The same value for each vector."""
    return broadcast(node, (count, *node.type.shape), tuple(range(1, node.type.rank + 1)))


def _stacked(node: Node, new: dict[Node, Node], count: int) -> Node:
    """One op of stacked operands."""
    op = node.op
    own = [arg in new for arg in node.args]
    match op:
        case Contract():
            return make(_with_letter(op, own), *(new.get(a, a) for a in node.args))
        case Gather() | Scatter() if own == [True, False]:
            return make(replace(op, axis=op.axis + 1), new[node.args[0]], node.args[1])
        case Gather() | Scatter():
            return _one_by_one(node, new, count)
        case _:
            args = [new[a] if a in new else _repeated(a, count) for a in node.args]
            return remade(_shifted(op, count), args)


def _shifted(op: Op, count: int) -> Op:
    """The op of all operands with one more axis in front."""
    match op:
        case Elementwise() | Lift() | BatchReduce() | Custom():
            return op
        case Reduce():
            return replace(op, axes=_up(op.axes))
        case Broadcast():
            return Broadcast((count, *op.shape), (0, *_up(op.axes)))
        case Reshape():
            return Reshape((count, *op.shape))
        case Transpose():
            return Transpose((0, *_up(op.permutation)))
        case Slice():
            return Slice((0, *op.starts), (count, *op.stops))
        case Pad():
            return Pad((0, *op.before), (0, *op.after))
        case Concat():
            return Concat(op.axis + 1)
        case Reverse():
            return Reverse(_up(op.axes))
        case Unfold() | Fold():
            windows = tuple((axis + 1, window) for axis, window in op.windows)
            return replace(op, windows=windows)
        case _:
            raise Unstackable(f"no rule pushes an axis through {op}")


def _up(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def _with_letter(op: Contract, own: Sequence[bool]) -> Contract:
    """The contraction with a letter for the new axis in its stacked operands and the result."""
    first, second, out = op.letters
    free = _free_letters(op)
    if not free:
        raise Unstackable(f"no letter is left for a new axis of {op}")
    a, b = (free[0] * stack + part for stack, part in zip(own, (first, second), strict=True))
    return replace(op, spec=f"{a},{b}->{free[0]}{out}")


def _free_letters(op: Contract) -> list[str]:
    used = {*op.spec, *(letter for letters, _ in op.windows for letter in letters)}
    return [letter for letter in ascii_lowercase if letter not in used]


def _one_by_one(node: Node, new: dict[Node, Node], count: int) -> Node:
    """The op for each vector in turn, where the new axis would fall between others."""
    parts = []
    for i in range(count):
        slices = (slice_axis(new[a], 0, i, i + 1) if a in new else None for a in node.args)
        pairs = zip(node.args, slices, strict=True)
        args = [a if part is None else reshape(part, a.type.shape) for a, part in pairs]
        parts.append(reshape(make(node.op, *args), (1, *node.type.shape)))
    return concat(parts, 0)
