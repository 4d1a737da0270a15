"""Rules and how they are applied: bottom up, again and again, until no rule changes the graph.

Invariant: a rule returns a node of the same type and, up to rounding, of the same value; it never
turns a finite value into NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakSet

from netc.compiler.ir.graph import make, rebuild
from netc.compiler.ops.reduce import Lift, lift
from netc.compiler.ops.source import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.ir.graph import Graph, Node

Rule: TypeAlias = "Callable[[Node], Node | None]"
"""The replacement of a node, or None where the rule does not apply."""

ROUNDS: Final = 100

_SETTLED: Final[dict[tuple[Rule, ...], WeakSet[Node]]] = {}
"""For some rules the nodes that none of them changes: a rule sees nothing but the node."""


class NoFixedPoint(Exception):
    """Rules that undo each other: a bug of a pass."""


def rewrite(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """The graph after all rules have been applied wherever they apply."""
    settled = _SETTLED.setdefault(tuple(rules), WeakSet())

    def replaced(node: Node, args: tuple[Node, ...]) -> Node:
        if args != node.args:
            node = make(node.op, *args)
        if node in settled:
            return node
        new = _applied(rules, node)
        if new is node:
            settled.add(node)
        return new

    for _ in range(ROUNDS):
        new = rebuild(graph, replaced)
        if new == graph:
            return graph
        graph = new
    raise NoFixedPoint(f"{graph.name}: still changing after {ROUNDS} rounds")


def _applied(rules: Sequence[Rule], node: Node) -> Node:
    """`node` after the first rule that applies."""
    for rule in rules:
        new = rule(node)
        if new is not None and new is not node:
            if new.type != node.type:
                raise TypeError(f"{rule.__name__} turns {node} into {new}")
            return new
    return node


def number(x: Node) -> float | None:
    """The one number that fills a constant, lifted or not; None for anything else."""
    if isinstance(x.op, Lift):
        x = x.args[0]
    return x.op.value if isinstance(x.op, Constant) else None


def as_batched(x: Node, like: Node) -> Node:
    """`x` for each sample if `like` is batched."""
    return lift(x) if like.type.batched else x
