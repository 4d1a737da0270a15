"""A kernel written once more, with the node that each of its statements is for.

Invariant: the kernel equals the one that `lower` makes; only who looks inside pays for this.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from netc.compiler.loops.loops import For
from netc.compiler.loops.lower import written
from netc.compiler.loops.writer import Writer
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Kernel, Operand, Statement
    from netc.compiler.loops.writer import Index
    from netc.compiler.plan.plan import Buffer, Plan, Unit


@record
class Traced:
    """A kernel, and by the identity of its statements what they are for."""

    kernel: Kernel
    nodes: Mapping[int, Node]


def traced(plan: Plan, unit: Unit, registers: int, results: Sequence[str]) -> Traced:
    """The kernel of a unit, arguments as those of `lower`."""
    writer = TracedWriter(plan, unit)
    launch = written(writer, unit, registers, results)
    return Traced(launch.kernel, writer.nodes)


def main_node(unit: Unit) -> Node | None:
    """What a unit is there for: its product, else the first value that it writes."""
    if unit.contraction is not None:
        return unit.contraction
    return next(iter([*(s.node for s in unit.stores), *(o.node for o in unit.outputs)]), None)


class TracedWriter(Writer):
    """Notes with each statement the innermost node that is being computed or stored.

    What belongs to no such node is for the unit's main node, or if it has several for the next
    value that is stored. A loop is for what its body ends with.
    """

    def __init__(self, plan: Plan, unit: Unit) -> None:
        super().__init__(plan)
        self.nodes: dict[int, Node] = {}
        several = unit.kind in ("nests", "channels") and len(unit.stores) > 1
        self._node = None if several else main_node(unit)
        self._open: list[int] = []
        self._kept: list[Statement] = []  # so that no identity is used twice

    def add(self, statement: Statement) -> None:
        super().add(statement)
        self._kept.append(statement)
        node = self._node
        if node is None and isinstance(statement, For):
            node = self.nodes.get(id(statement.body[-1]))
        if node is None:
            self._open.append(id(statement))
        else:
            self.nodes[id(statement)] = node

    def load(self, node: Node, index: Index) -> str:
        with self._inside(node):
            return super().load(node, index)

    def evaluate(self, node: Node, index: Index) -> Operand:
        with self._inside(node):
            return super().evaluate(node, index)

    def store(
        self, buffer: Buffer, node: Node, index: Index, value: Operand, *, add: bool = False
    ) -> None:
        self.nodes |= dict.fromkeys(self._open, node)
        self._open.clear()
        with self._inside(node):
            super().store(buffer, node, index, value, add=add)

    @contextmanager
    def _inside(self, node: Node) -> Iterator[None]:
        around, self._node = self._node, node
        try:
            yield
        finally:
            self._node = around
