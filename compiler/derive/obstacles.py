"""Why a derivative is zero everywhere: the operation that lets no derivative through.

Invariant: a derivative that a text stops on purpose (`stop_gradient`, a rule of one's own) is no
obstacle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ir.graph import toposort
from netc.compiler.ops.custom import Custom, placeholder
from netc.compiler.ops.elementwise import StopGradient, mul
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netc.compiler.ir.graph import Node


@record
class Obstacle:
    """An operation without derivative on the way from a variable to a value, both included."""

    node: Node
    way: tuple[Node, ...]


def obstacle(y: Node, wrt: Sequence[Node]) -> Obstacle | None:
    """What keeps y from being differentiable in any of `wrt`, though it depends on one.

    None if a derivative gets through somewhere, or if y does not depend on them at all.
    """
    if _reaches(y, set(wrt)):
        return None
    before: dict[Node, Node | None] = dict.fromkeys(wrt)
    for node in toposort([y]):
        known = [arg for arg in node.args if arg in before]
        if node in before or not known:
            continue
        open_ = [arg for arg in differentiable(node) if arg in before]
        if not open_:
            return Obstacle(node, (*_back(known[0], before), *_onwards(node, y)))
        before[node] = open_[0]
    return None


def differentiable(node: Node) -> Iterator[Node]:
    """The operands that a derivative leads to."""
    if isinstance(node.op, StopGradient | Custom):
        yield from node.args
        return
    cotangent = placeholder("cotangent", node.type)
    for arg, pulled in zip(node.args, node.op.vjp(node, cotangent, mul), strict=True):
        if pulled is not None:
            yield arg


def _reaches(y: Node, wrt: set[Node]) -> bool:
    """Whether a derivative of y leads to one of `wrt`."""
    seen: set[Node] = set()
    stack = [y]
    while stack:
        node = stack.pop()
        if node in wrt:
            return True
        if node not in seen:
            seen.add(node)
            stack.extend(differentiable(node))
    return False


def _back(node: Node, before: dict[Node, Node | None]) -> list[Node]:
    """The way from a variable to a node."""
    way: list[Node] = []
    step: Node | None = node
    while step is not None:
        way.append(step)
        step = before[step]
    return way[::-1]


def _onwards(node: Node, y: Node) -> list[Node]:
    """The way from a node to y."""
    after: dict[Node, Node] = {}
    for later in reversed(toposort([y])):
        for arg in later.args:
            after.setdefault(arg, later)
    way = [node]
    while way[-1] is not y:
        way.append(after[way[-1]])
    return way
