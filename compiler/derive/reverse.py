"""Reverse-mode differentiation, graph to graph, so derivatives can be differentiated again.

Invariant: the cotangent of a node has the node's type. Where rules disagree about the batch, a
batched cotangent of an unbatched node is summed over the samples, and an unbatched cotangent of a
batched node is lifted.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import make, toposort
from netc.compiler.ir.trail import current_trail
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import Absorb, Where, absorb, add, mul
from netc.compiler.ops.reduce import batch_sum, lift
from netc.compiler.ops.source import constant_like

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.trail import Trail
    from netc.compiler.ir.types import TensorType


def gradients(objective: Node, wrt: Sequence[Node]) -> list[Node]:
    """The derivative of the sum of the objective's elements, samples included, for each of `wrt`.

    Each result has the type of its node: for a batched one it is the gradient of each sample's
    value. What the objective does not depend on has gradient zero. Iterative in the depth.
    """
    found = pullback(objective, filled(1.0, objective), wrt)
    pairs = zip(wrt, found, strict=True)
    return [filled(0.0, node) if g is None else g for node, g in pairs]


def pullback(of: Node, cotangent: Node, wrt: Sequence[Node]) -> list[Node | None]:
    """The cotangents of `wrt` that a cotangent of `of` gives; None where no derivative leads.

    `cotangent` has the shape of `of`; unbatched, it is the same for each sample.
    """
    order = toposort([of])
    active = _active(order, wrt)
    shadow = _shadow(order)
    parts: dict[Node, list[Node]] = {of: [cotangent]}
    found: dict[Node, Node] = {}
    wanted = set(wrt)
    trail = current_trail()
    if trail is not None:
        trail.stage = "derivatives"
        trail.know([*order, cotangent])
    for node in reversed(order):
        if node not in active or node not in parts:
            continue
        total = _total(parts.pop(node), node.type)
        if node in wanted:
            found[node] = total
        pulled = node.op.vjp(node, total, absorb if node in shadow else mul)
        if trail is not None:
            _note(trail, node, total, pulled)
        for arg, part in zip(node.args, pulled, strict=True):
            if part is not None and arg in active:
                parts.setdefault(arg, []).append(part)
    return [found.get(node) for node in wrt]


def _note(trail: Trail, node: Node, total: Node, pulled: Sequence[Node | None]) -> None:
    trail.note(total, f"gradient of the {node.op.word}, of all its uses", node)
    for number, part in enumerate(pulled, 1):
        if part is not None:
            trail.note(part, f"chain rule through the {node.op.word}, argument {number}", node)


def _active(order: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """The nodes that depend on one of `wrt`, these included."""
    active = set(wrt)
    for node in order:
        if any(arg in active for arg in node.args):
            active.add(node)
    return active


def _shadow(order: Sequence[Node]) -> set[Node]:
    """The nodes whose cotangents must keep exact zeros: what feeds a choice, back to contractions.

    Choices are the two values of `where`, and the derivative in an `absorb` (which is where the
    choices of a first derivative end up). A product with a matrix spreads NaN anyway.
    """
    shadow: set[Node] = set()
    for node in reversed(order):
        if isinstance(node.op, Where | Absorb):
            shadow.update(node.args[1:])
        if node in shadow and not isinstance(node.op, Contract):
            shadow.update(node.args)
    return shadow


def _total(parts: Sequence[Node], wanted: TensorType) -> Node:
    """The sum of a node's cotangents, in the node's type."""
    if wanted.batched:
        return lift(reduce(add, parts))
    each = [p for p in parts if p.type.batched]
    whole = [p for p in parts if not p.type.batched]
    if each:
        whole.append(_over_batch(reduce(add, each)))
    return reduce(add, whole)


def _over_batch(x: Node) -> Node:
    """The sum over the samples: a contraction takes it into itself."""
    if isinstance(x.op, Contract) and all(arg.type.batched for arg in x.args):
        return make(replace(x.op, sum_batch=True), *x.args)
    return batch_sum(x)


def filled(value: float, like: Node) -> Node:
    """A constant of the type of `like`."""
    filled = constant_like(value, like)
    return lift(filled) if like.type.batched else filled
