"""Composite reductions in the terms that kernels compute.

    reduce{kind='logsumexp', …} %0  →  add (log (reduce{kind='sum', …} (exp (sub %0 %m)))) %m

It runs after `stabilise`, which would fold the result back.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import Abs, add, exp, log, lt, sub, where
from netc.compiler.ops.reduce import Reduce, broadcast, reduce
from netc.compiler.passes.rewrite import rewrite

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node


def expand(graph: Graph) -> Graph:
    """The graph without logsumexp."""
    return rewrite(graph, (logsumexp,))


def logsumexp(node: Node) -> Node | None:
    """Log sum e^x = m + log sum e^(x - m) with m = max x, or 0 where that is infinite."""
    if not isinstance(node.op, Reduce) or node.op.kind != "logsumexp":
        return None
    (x,) = node.args
    axes = node.op.axes
    kept = tuple(i for i in range(x.type.rank) if i not in axes)
    top = reduce("max", x, axes)
    shift = where(lt(make(Abs(), top), inf), top, 0)
    shifted = sub(x, broadcast(shift, x.type.shape, kept))
    return add(log(reduce("sum", exp(shifted), axes)), shift)
