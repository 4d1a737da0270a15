"""Rules and how they are applied: bottom up, again and again, until no rule changes the graph.

Invariant: a rule returns a node of the same type and, up to rounding, of the same value; it never
turns a finite value into NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakSet

from netc.compiler.ir.graph import make, rebuild
from netc.compiler.ir.trail import current_trail
from netc.compiler.ops.reduce import Lift, lift
from netc.compiler.ops.source import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.ir.trail import Trail

Rule: TypeAlias = "Callable[[Node], Node | None]"
"""The replacement of a node, or None where the rule does not apply."""

ROUNDS: Final = 100

_SETTLED: Final[dict[tuple[Rule, ...], WeakSet[Node]]] = {}
"""For some rules the nodes that none of them changes: a rule sees nothing but the node."""

REMADE: Final = "the same operation on new arguments"
"""What is noted of a node whose arguments were replaced."""


class NoFixedPoint(Exception):
    """Rules that undo each other: a bug of a pass."""


def rewrite(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """The graph after all rules have been applied wherever they apply."""
    settled = _SETTLED.setdefault(tuple(rules), WeakSet())
    trail = current_trail()
    if trail is not None:
        trail.know(graph.nodes())
        rules = [_noted(rule, trail) for rule in rules]

    def replaced(node: Node, args: tuple[Node, ...]) -> Node:
        if args != node.args:
            old, node = node, make(node.op, *args)
            if trail is not None:
                trail.note(node, REMADE, old)
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


def _noted(rule: Rule, trail: Trail) -> Rule:
    """The rule, with what it makes noted on a trail."""

    def noting(node: Node) -> Node | None:
        new = rule(node)
        if new is not None:
            trail.note(new, said(rule), node)
        return new

    return noting


def said(rule: Rule) -> str:
    """The name of a rule, and the identity that its documentation begins with."""
    identity = (rule.__doc__ or "").partition("\n")[0].rstrip(".")
    return f"{rule.__name__}: {identity}" if identity else rule.__name__


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
