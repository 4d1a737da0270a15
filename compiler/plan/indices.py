"""At which indices a value is computed from others: what may share loops, and what lies in line.

Each stored value has an index for each of its axes. How many leading ones are those at which it
reads another value tells which loops the two may share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.ops.movement import Concat, Pad, Reshape, Slice, Transpose
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Lift, Reduce
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.unfold import Fold, Unfold
from netc.compiler.plan.fuse import few_taps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Store

GATHERED: Final = ("sum", "max", "min", "prod")
"""Reductions that may share their loops with others."""


def in_parts(node: Node) -> bool:
    """Whether an op writes its result in loops of its own shape."""
    if isinstance(node.op, Fold):
        return not node.op.tiling
    return isinstance(node.op, Pad | Concat | Gather | Scatter)


def gathers(node: Node) -> bool:
    """Whether a node is a reduction of trailing axes that may share its loops."""
    op = node.op
    return (
        isinstance(op, Reduce)
        and op.kind in GATHERED
        and op.axes == tuple(range(node.type.rank, node.args[0].type.rank))
        and few_taps(node) is None
    )


def read_axes(store: Store, where: Mapping[Node, Buffer]) -> dict[Node, int]:
    """For each stored node that is read: how many of its leading indices are the store's own."""
    node = store.node
    home = where.get(node) is store.buffer
    found: dict[Node, int] = {}
    seen: set[tuple[Node, int]] = set()
    stack = [(a, _under(node, node.type.rank)) for a in node.args] if home else []
    if home and gathers(node):
        stack = [(node.args[0], node.args[0].type.rank)]
    elif not home:
        stack = [(node, node.type.rank)]
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        current, axes = at
        if current in where:
            found[current] = min(found.get(current, axes), axes)
            continue
        stack.extend((a, _under(current, axes)) for a in current.args)
    return found


def _under(node: Node, axes: int) -> int:
    """How many leading indices of the operands are those of the node, of `axes` that are known."""
    match node.op:
        case Elementwise() | Lift() | BatchReduce():
            return axes
        case Broadcast(axes=kept):
            same = [i for i, axis in enumerate(kept) if i != axis]
            return min(axes, len(kept), *same)
        case Transpose(permutation=order):
            moved = [i for i, axis in enumerate(order) if i != axis]
            return min([axes, *moved])
        case Slice(starts=starts):
            return min([axes, *(i for i, start in enumerate(starts) if start)])
        case Unfold(windows=windows) | Fold(windows=windows):
            return min(axes, windows[0][0])
        case Reduce(axes=gone):
            return min(axes, gone[0])
        case Reshape():
            pairs = zip(node.type.shape, node.args[0].type.shape, strict=False)
            moved = [i for i, (a, b) in enumerate(pairs) if a != b]
            return min([axes, node.type.rank, node.args[0].type.rank, *moved])
    return 0
