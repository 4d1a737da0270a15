"""Deviations from a mean sum to zero: terms of them vanish from sums over the same samples.

batch_sum (add %g (mul (sub %x mean) %k))  →  batch_sum %g,    mean = div (batch_sum %x) batch_size

The derivative of batch normalisation sums such terms; without them all its sums need one sweep over
the data. `k` has no batch and does not vary along the axes of the sum. What vanishes is rounding:
n times the rounding error of the mean.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import Add, Div, Mul, Neg, Sub, neg
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Reduce
from netc.compiler.ops.source import Constant, Source, constant_like
from netc.compiler.passes.rewrite import number, rewrite
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.passes.rewrite import Rule

DEPTH: Final = 8
"""How deep in a sum of terms deviations are looked for."""

CLOSE: Final = 1e-6
"""How near to 1 / n a factor is that makes a mean: constants are rounded to the precision."""


@record
class Total:
    """A sum of `x` over the samples and the axes `axes`; `reductions` lead to it, inner first."""

    x: Node
    axes: tuple[int, ...]
    reductions: tuple[BatchReduce | Reduce, ...]


def centred(graph: Graph) -> Graph:
    """The graph without sums of deviations."""
    return rewrite(graph, RULES)


def without_deviations(node: Node) -> Node | None:
    """sum(a + k (x - mean x)) = sum a."""
    found = total(node)
    if found is None:
        return None
    left = _remaining(found.x, found.axes, DEPTH)
    if left is None:
        return constant_like(0, node)
    if left is found.x:
        return None
    for op in found.reductions:
        left = make(op, left)
    return left


def total(node: Node) -> Total | None:
    """A node as a sum over the samples, and perhaps over axes."""
    if node.type.batched or not node.args:
        return None
    inner = node.args[0]
    match node.op, inner.op:
        case BatchReduce("sum") as outer, Reduce("sum", axes) as first:
            return Total(inner.args[0], axes, (first, outer))
        case Reduce("sum", axes) as outer, BatchReduce("sum") as first:
            return Total(inner.args[0], axes, (first, outer))
        case BatchReduce("sum") as only, _:
            return Total(inner, (), (only,))
    return None


def _remaining(x: Node, axes: tuple[int, ...], depth: int) -> Node | None:
    """`x` without its terms that sum to zero; None when nothing remains."""
    if depth == 0:
        return x
    match x.op, x.args:
        case ((Add() | Sub()), (a, b)):
            return _of_sum(x, a, b, axes, depth)
        case Neg(), (a,):
            return _around(x, a, _remaining(a, axes, depth - 1))
        case ((Mul() | Div()), (a, k)) if _is_even(k, axes):
            return _around(x, a, _remaining(a, axes, depth - 1), k)
        case Mul(), (k, a) if _is_even(k, axes):
            return _around(x, a, _remaining(a, axes, depth - 1), k)
    return x


def _of_sum(x: Node, a: Node, b: Node, axes: tuple[int, ...], depth: int) -> Node | None:
    left = _remaining(a, axes, depth - 1)
    right = _remaining(b, axes, depth - 1)
    if left is None:
        return neg(right) if right is not None and isinstance(x.op, Sub) else right
    if right is None:
        return left
    if left is not a or right is not b:
        x = make(x.op, left, right)
    return None if _is_deviation(x, axes) else x


def _around(x: Node, a: Node, left: Node | None, *others: Node) -> Node | None:
    """The op of `x` on what remains of its operand `a`."""
    return x if left is a else None if left is None else make(x.op, left, *others)


def _is_even(k: Node, axes: tuple[int, ...]) -> bool:
    """Whether a factor is the same for all samples and along `axes`."""
    if k.type.batched:
        return False
    if not axes or isinstance(k.op, Constant):
        return True
    return isinstance(k.op, Broadcast) and not set(k.op.axes) & set(axes)


def _is_deviation(x: Node, axes: tuple[int, ...]) -> bool:
    """Whether `x` is a - mean(a), or a + mean(-a), with a mean over the samples and some `axes`."""
    match x.op, x.args:
        case ((Add() | Sub()), (a, m)) if a.type.batched and not m.type.batched:
            kept = m.op.axes if isinstance(m.op, Broadcast) else tuple(range(m.type.rank))
            over = tuple(i for i in range(x.type.rank) if i not in kept)
            mean = m.args[0] if isinstance(m.op, Broadcast) else m
            sign = 1 if isinstance(x.op, Sub) else -1
            return set(over) <= set(axes) and is_mean(mean, a, over, sign)
    return False


def is_mean(m: Node, x: Node, axes: tuple[int, ...], sign: int) -> bool:
    """Whether `m` is the mean of `x` over the samples and `axes`, times `sign`."""
    factor, batches, samples = 1.0, 0, 0
    over: tuple[int, ...] = ()
    while m is not x:
        match m.op, m.args:
            case Neg(), (a,):
                factor = -factor
            case Mul(), (a, k) if (value := number(k)) is not None:
                factor *= value
            case Div(), (a, k) if (value := number(k)) is not None and value != 0:
                factor /= value
            case Div(), (a, k) if _is_batch_size(k):
                batches += 1
            case Mul(), (a, k) if _is_share(k):
                batches += 1
            case BatchReduce("sum"), (a,):
                samples += 1
            case Reduce("sum", reduced), (a,) if not over:
                over = reduced
            case _:
                return False
        m = a
    count = prod(x.type.shape[i] for i in axes)
    return (batches, samples, over) == (1, 1, axes) and abs(factor * count - sign) < CLOSE


def _is_batch_size(k: Node) -> bool:
    k = k.args[0] if isinstance(k.op, Broadcast) else k
    return isinstance(k.op, Source) and (k.op.space, k.op.name) == ("scalar", "batch_size")


def _is_share(k: Node) -> bool:
    """Whether `k` is 1 / batch_size."""
    k = k.args[0] if isinstance(k.op, Broadcast) else k
    return isinstance(k.op, Div) and number(k.args[0]) == 1 and _is_batch_size(k.args[1])


RULES: Final[tuple[Rule, ...]] = (without_deviations,)
