"""Unbatched factors and shifts of a product, one after the other, become one of each.

add (mul (sub (add (contract a b) %b) %m) %g) %s  →  add (mul (contract a b) A) C,
    A = %g, C = (%b - %m) * %g + %s

A and C have no batch: they are computed once in a call, and each element of the product takes one
multiplication and one addition in its epilogue. This is what becomes of a bias and batch
normalisation in inference.

The result differs by rounding: z A + C cancels where z is close to -C / A, with an error of some
units in the last place of z A. A product has that error already; an input or a stored value has
not (z - m is exact near m), so only products are treated. Factors are taken to lie in a range where
their products do not overflow. An infinite z stays infinite, or becomes NaN as before (A = 0).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.trail import current_trail
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import Add, Div, Mul, Neg, Sub, add, div, mul, neg, sub
from netc.compiler.ops.reduce import Broadcast, broadcast
from netc.compiler.ops.source import Constant, constant
from netc.compiler.passes.rewrite import REMADE
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Node


@record
class Step:
    """A batched node that is its operand `value`, scaled or shifted by the unbatched `by`.

    `turned` means that `by` stands first: by - value.
    """

    node: Node
    value: Node
    by: Node | None
    turned: bool = False


def affine(graph: Graph) -> Graph:
    """The graph with chains of factors and shifts behind products shortened."""
    while (after := _once(graph)) != graph:
        graph = after
    return graph


def _once(graph: Graph) -> Graph:
    nodes = graph.nodes()
    steps = {node: found for node in nodes if (found := step(node)) is not None}
    uses = Counter(a for node in nodes for a in dict.fromkeys(node.args))
    uses.update(graph.roots)
    inner = {s.value for s in steps.values() if s.value in steps and uses[s.value] == 1}
    new: dict[Node, Node] = {}
    trail = current_trail()
    if trail is not None:
        trail.know(nodes)
    for node in nodes:
        made: Node | None = None
        if node in steps and node not in inner and _is_product(node, steps):
            made = _shortened(_chain(node, steps, inner), new)
        new[node] = made or make(node.op, *(new[a] for a in node.args))
        if trail is not None:
            trail.note(new[node], "one factor and one shift" if made else REMADE, node)
    return Graph(graph.name, tuple(Output(o.space, o.name, new[o.node]) for o in graph.outputs))


def step(node: Node) -> Step | None:
    """A batched node as a step of a chain, if it is one."""
    if not node.type.batched:
        return None
    match node.op, node.args:
        case Neg(), (value,):
            return Step(node, value, None)
        case ((Add() | Sub() | Mul() | Div()), (value, by)) if not by.type.batched:
            return Step(node, value, by)
        case ((Add() | Sub() | Mul()), (by, value)) if not by.type.batched:
            return Step(node, value, by, turned=isinstance(node.op, Sub))
    return None


def _chain(node: Node, steps: Mapping[Node, Step], inner: set[Node]) -> list[Step]:
    """The steps that lead to `node`, first to last; nobody else uses what lies between them."""
    chain: list[Step] = []
    while node in steps and (not chain or node in inner):
        chain.append(steps[node])
        node = steps[node].value
    return chain[::-1]


def _is_product(node: Node, steps: Mapping[Node, Step]) -> bool:
    """Whether steps alone lead from a product to `node`."""
    while node in steps:
        node = steps[node].value
    return isinstance(node.op, Contract)


def _shortened(chain: Sequence[Step], new: Mapping[Node, Node]) -> Node | None:
    """The end of the chain with one factor and one shift, if that is less."""
    shape, axes = chain[-1].node.type.shape, _axes(chain)
    factor, shift = _collected(chain, new, axes)
    turned = shift is not None and factor is not None and _is_minus_one(factor)
    if len(chain) <= (factor is not None) + (shift is not None) - turned:
        return None
    result = new[chain[0].value]
    if shift is not None and turned:
        return sub(broadcast(shift, shape, axes), result)
    if factor is not None:
        result = mul(result, broadcast(factor, shape, axes))
    return result if shift is None else add(result, broadcast(shift, shape, axes))


def _is_minus_one(factor: Node) -> bool:
    return isinstance(factor.op, Constant) and factor.op.value == -1


def _collected(
    chain: Sequence[Step], new: Mapping[Node, Node], axes: tuple[int, ...]
) -> tuple[Node | None, Node | None]:
    """A and C of value * A + C, with the axes `axes` of the value; None for 1 and for 0."""
    shape = chain[-1].node.type.shape
    few = tuple(shape[a] for a in axes)
    minus = constant(-1, few, chain[-1].node.type.precision)
    factor: Node | None = None
    shift: Node | None = None
    for link in chain:
        by = minus if link.by is None else _narrow(new[link.by], axes, few)
        if link.turned or isinstance(link.node.op, Neg):
            factor = minus if factor is None else neg(factor)
            shift = None if shift is None else neg(shift)
        match link.node.op:
            case Sub() if not link.turned:
                shift = neg(by) if shift is None else sub(shift, by)
            case Add() | Sub():
                shift = by if shift is None else add(shift, by)
            case Mul():
                factor = by if factor is None else mul(factor, by)
                shift = None if shift is None else mul(shift, by)
            case Div():
                factor = div(1, by) if factor is None else div(factor, by)
                shift = None if shift is None else div(shift, by)
    return factor, shift


def _axes(chain: Sequence[Step]) -> tuple[int, ...]:
    """The axes along which the operands of a chain differ."""
    found: set[int] = set()
    for link in chain:
        if link.by is not None:
            found.update(_own_axes(link.by))
    return tuple(sorted(found))


def _own_axes(x: Node) -> tuple[int, ...]:
    match x.op:
        case Broadcast(axes=axes):
            return axes
        case Constant():
            return ()
        case _:
            return tuple(range(x.type.rank))


def _narrow(x: Node, axes: tuple[int, ...], shape: tuple[int, ...]) -> Node:
    """An operand in `axes` alone."""
    match x.op:
        case Broadcast(axes=own):
            return broadcast(x.args[0], shape, tuple(axes.index(a) for a in own))
        case Constant(value=value):
            return constant(value, shape, x.type.precision)
        case _:
            return x
