"""Squared distances from a mean over the batch are summed around each sample's own mean first.

sum_p (x - m)^2  →  max(sum_p d^2 + e (2 sum_p d + n e), 0)
    d = x - s,  e = s - m,  s = mean_p x,  m = the mean of s over the batch

The two sides are equal for every s and m. The left needs m before the second look at the data, so
all samples pass twice; the right looks twice at a sample that is still near. With s near the mean
nothing cancels, and what s lacks by rounding counts in its square only, as on the left.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from netc.compiler.ops.elementwise import Div, Max, Mul, Sub, add, div, mul, sub
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Reduce, broadcast, reduce_sum
from netc.compiler.ops.scalar import apply
from netc.compiler.passes.centred import CLOSE, is_mean
from netc.compiler.passes.rewrite import number, rewrite

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.passes.rewrite import Rule


def spread(graph: Graph) -> Graph:
    """The graph with the squares of its deviations summed sample by sample."""
    return rewrite(graph, RULES)


def around_own_mean(node: Node) -> Node | None:
    """Σ (x - m)² = Σ d² + e (2 Σ d + n e)."""
    match node.op, node.args:
        case Reduce("sum", axes), (square,) if node.type.batched and isinstance(square.op, Mul):
            distance, same = square.args
            if distance is not same or not isinstance(distance.op, Sub):
                return None
            x, far = distance.args
            kept = tuple(i for i in range(x.type.rank) if i not in axes)
            if not isinstance(far.op, Broadcast) or far.op.axes != kept or far.type.batched:
                return None
            (mean,) = far.args
            if not x.type.batched or not is_mean(mean, x, axes, 1):
                return None
            return _around(x, axes, kept, mean)
    return None


def _around(x: Node, axes: tuple[int, ...], kept: tuple[int, ...], mean: Node) -> Node:
    own = _own_mean(mean, x, axes)
    near = sub(x, broadcast(own, x.type.shape, kept))
    apart = sub(own, mean)
    count = prod(x.type.shape[a] for a in axes)
    rest = add(mul(reduce_sum(near, axes), 2), mul(apart, count))
    return apply(Max(), add(reduce_sum(mul(near, near), axes), mul(apart, rest)), 0)


def _own_mean(mean: Node, x: Node, axes: tuple[int, ...]) -> Node:
    """The mean of each sample: as the mean over the batch has it, if it goes by way of it."""
    total = reduce_sum(x, axes)
    count = prod(x.type.shape[a] for a in axes)
    while not isinstance(mean.op, BatchReduce):
        mean = mean.args[0]
    (found,) = mean.args
    match found.op, found.args:
        case Mul(), (a, k) if a is total and (value := number(k)) is not None:
            return found if abs(value * count - 1) < CLOSE else div(total, count)
        case Div(), (a, k) if a is total and number(k) == count:
            return found
    return div(total, count)


RULES: Final[tuple[Rule, ...]] = (around_own_mean,)
