"""The LLVM text of a function with the lines that each instruction comes from, for debuggers.

Invariant: nothing of this runs unless it is asked for. Kernels are those of the plan, but layers of
equal structure do not share one: each has its own lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.backend.emit_function import emit_module, layout
from netc.compiler.backend.line_table import LineTable, Places
from netc.compiler.loops.lower import distinct, written
from netc.compiler.loops.traced import TracedWriter
from netc.compiler.loops.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Kernel, Statement
    from netc.compiler.loops.lower import Launch
    from netc.compiler.loops.writer import Index
    from netc.compiler.program import FunctionName, Manifest
    from netc.compiler.provenance import Origin
    from netc.compiler.stages import Stages
    from netc.grammar.source import Source, Span


def lined(
    stages: Stages,
    origins: Mapping[Node, Origin],
    name: FunctionName,
    manifest: Manifest,
    target: Target,
    main: Source,
) -> str:
    """The module of a function, whose text is `main`, with line tables."""
    plan = stages.plan
    launches: list[Launch] = []
    nodes: dict[Kernel, Mapping[int, Node]] = {}
    for unit in plan.units:
        writer = _LinedWriter(plan, unit)
        launches.append(written(writer, unit, target.registers, manifest.results))
        nodes[launches[-1].kernel] = writer.nodes

    def of_statement(kernel: Kernel, statement: Statement) -> Span | None:
        node = nodes[kernel].get(id(statement))
        return None if node is None else _place(node, origins)

    table = LineTable(Places(of_statement, main))
    where, kernels = layout(stages.memory, manifest), distinct(launches)
    functions = emit_module(
        name, launches, plan.phases, kernels, where, manifest, target, table.emit
    )
    return functions + table.text()


class _LinedWriter(TracedWriter):
    """Reading a stored value is for whoever needs it: a debugger stops where things are made."""

    def load(self, node: Node, index: Index) -> str:
        return Writer.load(self, node, index)


def _place(node: Node, origins: Mapping[Node, Origin]) -> Span | None:
    """That of the node, else of the first one below it that has one."""
    seen, stack = {node}, [node]
    while stack:
        at = stack.pop()
        found = origins.get(at)
        if found is not None and found.span is not None:
            return found.span
        below = [a for a in reversed(at.args) if a not in seen]
        seen.update(below)
        stack += below
    return None
