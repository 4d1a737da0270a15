"""Removes what only derivatives read, once there are no more to form.

    stop_gradient %0                    →  %0
    custom %value %cotangent %0 %rule   →  %value

It is no part of `BEFORE_DERIVATIVES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ops.custom import Custom
from netc.compiler.ops.elementwise import StopGradient
from netc.compiler.passes.rewrite import rewrite

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node


def release(graph: Graph) -> Graph:
    """The graph without stopped gradients and rules of one's own."""
    return rewrite(graph, (value,))


def value(node: Node) -> Node | None:
    """The value of a node whose derivative is not its own."""
    return node.args[0] if isinstance(node.op, StopGradient | Custom) else None
