"""Gradients, Jacobians and Hessians as graph, of values as they stand in a net.

The batch is never an axis of a derivative. With respect to a batched value it is that of the sum
over the samples, for each sample; with respect to an unbatched value a gradient is that of the mean
over the batch, and a Jacobian of a batched value is that of each sample. What is differentiated is
stabilised first: the derivative of a stable formula is stable.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from netc.compiler.derive.reverse import filled, gradients, pullback
from netc.compiler.ir.graph import Graph, Output, make, substitute, toposort
from netc.compiler.ops.custom import placeholder, substituted
from netc.compiler.ops.elementwise import StopGradient, eq, mul
from netc.compiler.ops.movement import concat, reshape, transpose
from netc.compiler.ops.reduce import BatchReduce, batch_mean, broadcast, lift, reduce_sum
from netc.compiler.ops.source import Iota
from netc.compiler.passes.pipeline import BEFORE_DERIVATIVES, run
from netc.compiler.passes.stacked import stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.ir.graph import Node


def gradient(e: Node, wrt: Sequence[Node]) -> list[Node]:
    """The gradient of a scalar, one of the type of each of `wrt` (all batched, or none)."""
    objective = e if wrt[0].type.batched else batch_mean(e)
    return _derived(objective, wrt, gradients)


def jacobian(y: Node, wrt: Sequence[Node]) -> list[Node]:
    """For each of `wrt` the derivatives of all elements of y: [y axes…, axes…].

    By rows (one cotangent for each element of y) or by columns (one direction for each element of
    the variables), whichever are fewer; by columns where samples interact, since only then a column
    is a derivative of every sample's y with respect to what all of them share.
    """
    shared = y.type.batched and not wrt[0].type.batched
    interact = _interact(y, wrt)
    columns = sum(v.type.size for v in wrt)
    if (shared and interact) or (columns < y.type.size and not interact):
        return _derived(y, wrt, _by_columns)
    return _derived(y, wrt, _by_rows, each=shared)


def hessian(e: Node, wrt: Sequence[Node]) -> Node:
    """Second derivatives of a scalar: [v axes…, v axes…]; several variables are one vector."""
    first = gradient(e, wrt)
    if len(first) == 1:
        return jacobian(first[0], wrt)[0]
    return flat(jacobian(flat(first, 0), wrt), 1)


def hessian_product(e: Node, wrt: Sequence[Node], direction: Node) -> list[Node]:
    """The Hessian times a direction of the shape of v: a vector if there are several variables.

    It costs as much as two gradients; the direction counts as a constant.
    """
    first = gradient(e, wrt)
    along = flat(first, 0) if len(first) > 1 else first[0]
    still = make(StopGradient(), direction)
    slope = reduce_sum(mul(along, still), tuple(range(along.type.rank)))
    return jacobian(slope, wrt)


def flat(parts: Sequence[Node], kept: int) -> Node:
    """Values side by side, all their axes but the first `kept` as one."""
    shapes = [part.type.shape for part in parts]
    sizes = [(*shape[:kept], prod(shape[kept:])) for shape in shapes]
    return concat([reshape(part, to) for part, to in zip(parts, sizes, strict=True)], kept)


def _derived(
    y: Node,
    wrt: Sequence[Node],
    derive: Callable[[Node, Sequence[Node]], list[Node]],
    *,
    each: bool = False,
) -> list[Node]:
    """`derive` of y stabilised, with variables in the place of `wrt`.

    Values between y and a variable stay, those before it are out of sight. `each`: variables that
    all samples share are taken apart, one for each sample.
    """
    values = [lift(v) if each else v for v in wrt]
    variables = [placeholder(f"variable {i}", v.type) for i, v in enumerate(values)]
    (inside,) = substituted([y], dict(zip(wrt, variables, strict=True)))
    graph = Graph("differentiated", (Output("output", "y", inside),))
    (stable,) = run(graph, passes=BEFORE_DERIVATIVES).roots
    return substitute(derive(stable, variables), dict(zip(variables, values, strict=True)))


def _by_rows(y: Node, wrt: Sequence[Node]) -> list[Node]:
    """Cotangents of all elements of y at once."""
    if y.type.shape == ():
        return gradients(y, wrt)
    row = placeholder("row", replace(y.type, batched=False))
    pulled = _pulled(y, row, wrt)
    found = stacked(pulled, row, _identity(row))
    shapes = [y.type.shape + v.type.shape for v in wrt]
    return [reshape(rows, shape) for rows, shape in zip(found, shapes, strict=True)]


def _by_columns(y: Node, wrt: Sequence[Node]) -> list[Node]:
    """A cotangent's pull is linear in it: its Jacobian, transposed, is that of y."""
    weights = placeholder("weights", y.type)
    found = []
    for pulled in _pulled(y, weights, wrt):
        (columns,) = substitute(_by_rows(pulled, [weights]), {weights: filled(1.0, weights)})
        first, rank = pulled.type.rank, columns.type.rank
        found.append(transpose(columns, (*range(first, rank), *range(first))))
    return found


def _pulled(y: Node, cotangent: Node, wrt: Sequence[Node]) -> list[Node]:
    pairs = zip(wrt, pullback(y, cotangent, wrt), strict=True)
    return [filled(0.0, v) if g is None else g for v, g in pairs]


def _identity(like: Node) -> Node:
    """One-hot values of the shape of `like`, one for each of its elements: [n, axes…]."""
    n = like.type.size
    number = make(Iota(n, like.type.precision))
    rows, columns = (broadcast(number, (n, n), (axis,)) for axis in (0, 1))
    return reshape(eq(rows, columns), (n, *like.type.shape))


def _interact(y: Node, wrt: Sequence[Node]) -> bool:
    """Whether y of one sample depends on the variables of another."""
    active = set(wrt)
    for node in toposort([y]):
        if active.intersection(node.args):
            active.add(node)
            if isinstance(node.op, BatchReduce) or getattr(node.op, "sum_batch", False):
                return True
    return False
