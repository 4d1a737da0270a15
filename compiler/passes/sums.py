"""Identities of reductions and contractions; letters name axes as in a contraction's `spec`."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from string import ascii_lowercase
from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.ops.contract import Contract, contract
from netc.compiler.ops.elementwise import Mul, mul
from netc.compiler.ops.movement import Reshape, Transpose, reshape, transpose
from netc.compiler.ops.reduce import (
    BatchReduce,
    Broadcast,
    Lift,
    Reduce,
    batch_sum,
    broadcast,
    lift,
    reduce,
)
from netc.compiler.ops.source import source
from netc.compiler.ops.unfold import Unfold

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.passes.rewrite import Rule


def of_single(node: Node) -> Node | None:
    """A reduction leaves axes of size 1 to a reshape, unless they are taps beside others."""
    if not isinstance(node.op, Reduce):
        return None
    (x,) = node.args
    axes = node.op.axes
    single = [a for a in axes if x.type.shape[a] == 1]
    if not single or (isinstance(x.op, Unfold) and len(single) < len(axes)):
        return None
    kept = [a for a in range(x.type.rank) if a not in single]
    slim = reshape(x, tuple(x.type.shape[a] for a in kept))
    left = reduce(node.op.kind, slim, tuple(kept.index(a) for a in axes if a in kept))
    return lift(left) if node.type.batched else left


def of_reduction(node: Node) -> Node | None:
    """sum(sum x) is one sum; so are max, min, prod and logsumexp."""
    match node.op, node.args:
        case Reduce(kind, outer), (below,) if isinstance(below.op, Reduce):
            inner = below.op
            if inner.kind != kind or kind in ("argmax", "argmin"):
                return None
            (x,) = below.args
            kept = [a for a in range(x.type.rank) if a not in inner.axes]
            axes = sorted([*inner.axes, *(kept[a] for a in outer)])
            return make(Reduce(kind, tuple(axes)), x)
    return None


def of_broadcast(node: Node) -> Node | None:
    """The sum of n equal elements is n times one; their max and min is one."""
    (x,) = node.args if len(node.args) == 1 else (None,)
    if not isinstance(node.op, Reduce) or x is None or not isinstance(x.op, Broadcast):
        return None
    kind, axes = node.op.kind, node.op.axes
    new = [a for a in axes if a not in x.op.axes]
    if kind not in ("sum", "max", "min") or not new:
        return None
    kept = [a for a in range(x.type.rank) if a not in new]
    slim = broadcast(
        x.args[0],
        tuple(x.type.shape[a] for a in kept),
        tuple(kept.index(a) for a in x.op.axes),
    )
    left = reduce(kind, slim, tuple(kept.index(a) for a in axes if a in kept))
    return mul(left, prod(x.type.shape[a] for a in new)) if kind == "sum" else left


def of_reshape(node: Node) -> Node | None:
    """A reduction of axes made by a reshape is one of the axes that they were made from."""
    match node.op, node.args:
        case Reduce(kind, axes), (flat,) if isinstance(flat.op, Reshape):
            if kind in ("argmax", "argmin"):
                return None
            (x,) = flat.args
            found = _axes_before(axes, flat.type.shape, x.type.shape)
            if found is None:
                return None
            return reshape(make(Reduce(kind, found), x), node.type.shape)
    return None


def _axes_before(
    axes: tuple[int, ...], shape: tuple[int, ...], before: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The axes of `before` with the same elements as `axes` of `shape`, if there are such."""
    found: list[int] = []
    for axis in axes:
        low, size = prod(shape[:axis]), shape[axis]
        inside = [
            i
            for i, n in enumerate(before)
            if n > 1 and low <= prod(before[:i]) and prod(before[: i + 1]) <= low * size
        ]
        if not inside or prod(before[i] for i in inside) != size:
            return None
        found += inside
    return tuple(found)


def samples_last(node: Node) -> Node | None:
    """A sum over axes comes before the one over the samples, which then has less to do."""
    match node.op, node.args:
        case Reduce("sum"), (below,) if below.op == BatchReduce("sum"):
            return batch_sum(make(node.op, below.args[0]))
    return None


def over_equal_samples(node: Node) -> Node | None:
    """The batch sum of one value for all samples is B times it; the maximum is it."""
    if not isinstance(node.op, BatchReduce) or not isinstance(node.args[0].op, Lift):
        return None
    (x,) = node.args[0].args
    if node.op.kind == "max":
        return x
    size = source("scalar", "batch_size", (), False, x.type.precision)
    return mul(x, broadcast(size, x.type.shape, ()))


def batch_sum_of_contraction(node: Node) -> Node | None:
    """A batch sum goes into a contraction, or onto its only batched operand."""
    if node.op != BatchReduce("sum") or not isinstance(node.args[0].op, Contract):
        return None
    op = node.args[0].op
    a, b = node.args[0].args
    if a.type.batched and b.type.batched:
        return make(replace(op, sum_batch=True), a, b)
    return make(
        op,
        batch_sum(a) if a.type.batched else a,
        batch_sum(b) if b.type.batched else b,
    )


def contraction_of_lift(node: Node) -> Node | None:
    """An operand that is the same for each sample is taken once."""
    if not isinstance(node.op, Contract) or not any(isinstance(a.op, Lift) for a in node.args):
        return None
    a, b = (x.args[0] if isinstance(x.op, Lift) else x for x in node.args)
    if not node.op.sum_batch:
        return lift(make(node.op, a, b))
    once = replace(node.op, sum_batch=False)
    if a.type.batched or b.type.batched:
        return make(once, *(batch_sum(x) if x.type.batched else x for x in (a, b)))
    return batch_sum(lift(make(once, a, b)))


def contraction_of_transpose(node: Node) -> Node | None:
    """A transposed operand is another order of letters."""
    if not isinstance(node.op, Contract):
        return None
    parts, args = list(node.op.letters), list(node.args)
    for i, arg in enumerate(args):
        if isinstance(arg.op, Transpose):
            order = arg.op.permutation
            parts[i] = "".join(parts[i][order.index(axis)] for axis in range(len(order)))
            args[i] = arg.args[0]
    if args == list(node.args):
        return None
    first, second, out = parts
    return make(replace(node.op, spec=f"{first},{second}->{out}"), *args)


def contraction_without_sum(node: Node) -> Node | None:
    """A contraction that sums nothing is a product of broadcasts."""
    if not isinstance(node.op, Contract) or node.op.sum_batch or node.op.windows:
        return None
    first, second, out = node.op.letters
    if set(first + second) - set(out):
        return None
    a, b = node.args
    return mul(_placed(a, first, out, node), _placed(b, second, out, node))


def _placed(x: Node, letters: str, out: str, node: Node) -> Node:
    """An operand in the axes of the result."""
    order = sorted(letters, key=out.index)
    ordered = transpose(x, tuple(letters.index(c) for c in order))
    return broadcast(ordered, node.type.shape, tuple(out.index(c) for c in order))


def sum_of_product(node: Node) -> Node | None:
    """sum(broadcast a * broadcast b) is a contraction when each lacks an axis of the other."""
    over_batch = node.op == BatchReduce("sum")
    summed = isinstance(node.op, Reduce) and node.op.kind == "sum"
    if not (over_batch or summed) or not isinstance(node.args[0].op, Mul):
        return None
    product = node.args[0]
    if product.type.rank > len(ascii_lowercase):
        return None
    letters = ascii_lowercase[: product.type.rank]
    (a, first), (b, second) = (_letters(x, letters) for x in product.args)
    gone = {letters[i] for i in node.op.axes} if isinstance(node.op, Reduce) else set()
    if gone - (set(first) & set(second)):
        return None
    batch = [int(not over_batch and x.type.batched) for x in (a, b)]
    alone = len(set(first) - set(second)) + (batch[0] > batch[1])
    other = len(set(second) - set(first)) + (batch[1] > batch[0])
    if not (alone and other) or (over_batch and not (a.type.batched and b.type.batched)):
        return None
    out = "".join(c for c in letters if c not in gone)
    if set(out) - set(first + second):
        return None
    return make(Contract(f"{first},{second}->{out}", sum_batch=over_batch), a, b)


def _letters(x: Node, letters: str) -> tuple[Node, str]:
    """A factor without its broadcast, and the letters of the axes that it really has."""
    if isinstance(x.op, Broadcast):
        return x.args[0], "".join(letters[a] for a in x.op.axes)
    return x, letters


def contraction_of_broadcast(node: Node) -> Node | None:
    """An axis along which an operand only repeats is dropped where the other operand has it."""
    if not isinstance(node.op, Contract) or node.op.sum_batch or node.op.windows:
        return None
    first, second, out = node.op.letters
    a, b = node.args
    slim_a, left = _letters(a, first)
    slim_b, right = _letters(b, second)
    if set(first + second) - set(left + right) or (left, right) == (first, second):
        return None
    return contract(f"{left},{right}->{out}", slim_a, slim_b)


SUMS: Final[tuple[Rule, ...]] = (
    of_single,
    of_reduction,
    of_broadcast,
    of_reshape,
    samples_last,
    over_equal_samples,
    batch_sum_of_contraction,
    contraction_of_lift,
    contraction_of_transpose,
    contraction_without_sum,
    contraction_of_broadcast,
    sum_of_product,
)
