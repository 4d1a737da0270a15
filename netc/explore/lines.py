"""Which lines of the text each node of a function comes from, and under which name.

Invariant: a line is its number among the lines of all texts of the program, from 0. The first line
of a node is where it is written; then come those that call what it is written in, and for an update
that of its parameter. A node of no origin has the lines of its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Node, Output
    from netc.compiler.provenance import Origin, Provenance
    from netc.grammar.source import Source, Span

MOST: Final = 6
"""Lines of a node of no origin."""

UPDATE: Final = "update of "


@record
class Lines:
    """The texts of a program, one after the other, and where names are bound."""

    texts: tuple[Source, ...]
    first: Mapping[str, int]
    """The number of the first line of each text, by its name."""
    bound: Mapping[str, int]
    """Bindings, applications of layers, parameters, outputs and metrics: `c1`, `c1.conv`, …"""

    def of(self, span: Span) -> int | None:
        """The line of a place; None for a text that is not shown."""
        start = self.first.get(span.source.name)
        return None if start is None else start + span.line - 1

    def of_name(self, name: str) -> list[int]:
        """The lines of a name and of all that it is inside of: of `c1.conv` those of `c1` too."""
        parts = name.removeprefix(UPDATE).split(".")
        heads = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
        return [self.bound[head] for head in heads if head in self.bound]

    def of_origin(self, origin: Origin, node: Node) -> tuple[int, ...]:
        """The line of a place, then those of its name.

        Numbers of the optimizer are named after the first parameter, but serve all.
        """
        at = None if origin.span is None else self.of(origin.span)
        own = [] if at is None else [at]
        if not (origin.name.startswith(UPDATE) and node.type.shape == ()):
            own += self.of_name(origin.name)
        return tuple(dict.fromkeys(own))

    def of_result(self, output: Output) -> list[int]:
        """Where a result is declared: of a parameter also its state and its gradient."""
        name = output.name.rpartition(".")[0] if output.space == "optimizer" else output.name
        return self.of_name(name)


def lines_of(model: Model) -> Lines:
    """The lines of a model: its text first, then what that imports."""
    texts = {model.source.name: model.source}
    texts |= {found.source.name: found.source for found in model.imports}
    first: dict[str, int] = {}
    number = 0
    for name, text in texts.items():
        first[name] = number
        number += len(text.text.split("\n"))
    spans = {p.name: p.span for p in model.parameters}
    for values in (model.inference, model.training):
        spans |= {one.name: one.span for one in (*values.outputs, *values.metrics, *values.seen)}
    loss = model.origins.get(model.training.loss) if model.training.loss else None
    if loss is not None:
        spans |= {"loss": loss, "objective": loss}
    found = Lines(tuple(texts.values()), first, {})
    bound = {name: at for name, span in spans.items() if (at := found.of(span)) is not None}
    return Lines(found.texts, first, bound)


def node_lines(known: Provenance, lines: Lines) -> dict[Node, tuple[int, ...]]:
    """The lines of every node of a function, at every stage of its graph."""
    found: dict[Node, tuple[int, ...]] = {}
    graphs = [known.backward, *(change.after for change in known.changes)]
    for node in (node for graph in graphs for node in graph.nodes()):
        if node in found:
            continue
        origin = known.origins.get(node)
        own = () if origin is None else lines.of_origin(origin, node)
        inherited = dict.fromkeys(line for a in node.args for line in found[a])
        found[node] = own or tuple(inherited)[:MOST]
    return found
