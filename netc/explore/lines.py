"""Which lines of the text each node of a graph comes from, those that derivatives made included.

Invariant: every line is a number in `Lines.first`'s count. A node with a place of its own has its
line. What only serves the update of the parameters of one line belongs to that line too. All other
nodes have the lines of the weights that they work on, else of all that they are made of, and of the
output or loss that they are the last step to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.movement import Reshape, Transpose
from netc.compiler.ops.reduce import Broadcast
from netc.compiler.ops.source import Constant, Iota, Source
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Graph, Node, Output
    from netc.grammar.source import Source as Text
    from netc.grammar.source import Span

MOST: Final = 6
"""Lines of a node without a place of its own."""

TRAINED: Final = ("parameter", "optimizer", "gradient")

NOTHING: Final = -1
"""Stands for the results of a function that are no parameter's."""


@record
class Lines:
    """The texts of a program, one after the other; a line is its number among all, from 0."""

    texts: tuple[Text, ...]
    first: Mapping[str, int]
    """The number of the first line of each text, by its name."""
    origins: Mapping[Node, int]
    results: Mapping[tuple[str, str], int]
    """Where parameters, outputs and metrics are declared, by space and name."""

    def of(self, span: Span) -> int | None:
        """The line of a place; None for a text that is not shown."""
        start = self.first.get(span.source.name)
        return None if start is None else start + span.line - 1


def lines_of(model: Model) -> Lines:
    """The lines of a model: its text first, then what that imports."""
    texts = {model.source.name: model.source}
    texts |= {found.source.name: found.source for found in model.imports}
    first: dict[str, int] = {}
    number = 0
    for name, text in texts.items():
        first[name] = number
        number += len(text.text.split("\n"))
    found = Lines(tuple(texts.values()), first, {}, {})
    origins = {n: at for n, span in model.origins.items() if (at := found.of(span)) is not None}
    spans = {("parameter", p.name): p.span for p in model.parameters}
    for values in (model.inference, model.training):
        spans |= {("output", o.name): o.span for o in values.outputs}
        spans |= {("result", m.name): m.span for m in values.metrics}
    results = {key: at for key, span in spans.items() if (at := found.of(span)) is not None}
    loss = model.training.loss
    if loss in origins:
        results |= dict.fromkeys((("result", "loss"), ("result", "objective")), origins[loss])
    return Lines(found.texts, first, origins, results)


def node_lines(graph: Graph, lines: Lines) -> dict[Node, tuple[int, ...]]:
    """The lines of every node of a graph, in order."""
    nodes = graph.nodes()
    served, ended = _served(graph, nodes, lines), _ended(graph, nodes, lines)
    found: dict[Node, tuple[int, ...]] = {}
    for node in nodes:
        own = {lines.origins[node]} if node in lines.origins else weight_lines(node, found)
        if len(served[node]) == 1 and NOTHING not in served[node]:
            own = own | served[node]
        found[node] = tuple(sorted(own or _of_arguments(node, found) | ended.get(node, set())))
    return found


def result_line(output: Output, lines: Lines) -> int | None:
    """Where a result is declared: of a parameter also its state and its gradient."""
    if output.space not in TRAINED:
        return lines.results.get((output.space, output.name))
    name = output.name.rpartition(".")[0] if output.space == "optimizer" else output.name
    return lines.results.get(("parameter", name))


def _served(graph: Graph, nodes: list[Node], lines: Lines) -> dict[Node, set[int]]:
    """The lines of the parameters whose new values a node serves; `NOTHING` for other results."""
    found: dict[Node, set[int]] = {node: set() for node in nodes}
    for output in graph.outputs:
        line = result_line(output, lines) if output.space in TRAINED else None
        found[output.node].add(NOTHING if line is None else line)
    for node in reversed(nodes):
        if len(found[node]) > 1:  # more than one is as good as any
            found[node] = {NOTHING}
        for arg in node.args:
            found[arg] |= found[node]
    return found


def _ended(graph: Graph, nodes: list[Node], lines: Lines) -> dict[Node, set[int]]:
    """The lines of the outputs and results that nodes without a place lead to directly."""
    found: dict[Node, set[int]] = {}
    for output in graph.outputs:
        line = result_line(output, lines)
        if line is not None and output.space not in TRAINED:
            found.setdefault(output.node, set()).add(line)
    for node in reversed(nodes):
        placed = node in lines.origins or any(map(_is_weight, node.args))
        for arg in () if placed or node not in found else node.args:
            found.setdefault(arg, set()).update(found[node])
    return found


def weight_lines(node: Node, found: Mapping[Node, tuple[int, ...]]) -> set[int]:
    """The lines of the weights that a node works on."""
    return {line for a in node.args if _is_weight(a) for line in found[a]}


def _of_arguments(node: Node, found: Mapping[Node, tuple[int, ...]]) -> set[int]:
    """The lines of all arguments that depend on something."""
    others = [a for a in node.args if not isinstance(a.op, Constant | Iota)]
    return set(list(dict.fromkeys(line for a in others for line in found[a]))[:MOST])


def _is_weight(node: Node) -> bool:
    """A parameter, moved about or not."""
    while isinstance(node.op, Broadcast | Reshape | Transpose):
        (node,) = node.args
    return isinstance(node.op, Source) and node.op.space == "parameter"
