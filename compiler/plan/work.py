"""How long one thread takes for a function, roughly: whether threads pay depends on it.

Invariant: an estimate from the graph and the vector width alone, the same on every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netc.compiler.ops.contract import Contract
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import SourceForm
from netc.compiler.plan.costs import own_cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.plan.plan import Buffer, Unit

VECTORS_EACH_NANOSECOND: Final = 4
"""Vector instructions that a processor core of these years finishes in a nanosecond."""


class Work(NamedTuple):
    """Nanoseconds of one thread: for a call, and more for each block of samples in it."""

    fixed: int
    per_block: int

    def of(self, blocks: int) -> int:
        """The estimate for so many blocks."""
        return self.fixed + self.per_block * blocks


def work(graph: Graph, lanes: int) -> Work:
    """The estimate for a function with vectors of `lanes` elements."""
    return _sum(graph.nodes(), lanes)


def unit_work(unit: Unit, where: Mapping[Node, Buffer], lanes: int) -> Work:
    """The estimate for one kernel: what it computes, and each value that it moves once."""
    computed: dict[Node, None] = {}
    stack = [s.node for s in unit.stores]
    while stack:
        node = stack.pop()
        if node not in computed:
            computed[node] = None
            stack.extend(a for a in node.args if a not in where)
    moved = [o.node for o in unit.outputs]
    if unit.contraction is not None and unit.kind == "panel":
        moved += unit.contraction.args
    elif unit.contraction is not None:
        computed[unit.contraction] = None
    return _sum([*computed, *moved], lanes)


def _sum(nodes: Iterable[Node], lanes: int) -> Work:
    fixed, per_block = 0.0, 0.0
    for node in nodes:
        if any(t.batched for t in (node.type, *(a.type for a in node.args))):
            per_block += _vectors(node)
        else:
            fixed += _vectors(node) / lanes
    speed = VECTORS_EACH_NANOSECOND
    return Work(round(fixed / speed), round(per_block / speed))


def _vectors(node: Node) -> int:
    """Instructions for one sample: a vector of samples takes as many, of vectors."""
    match node.op:
        case Contract() as op:
            return op.multiplications(*(a.type for a in node.args))
        case SourceForm() | Elementwise():
            return node.type.size * own_cost(node)
    return max(t.size for t in (node.type, *(a.type for a in node.args)))
