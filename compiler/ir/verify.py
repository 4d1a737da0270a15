"""The specification of a valid graph, checked: for tests, and between passes on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ir.graph import make
from netc.compiler.ir.types import TypeRuleError

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node, Output


class InvalidGraph(Exception):
    """A graph that breaks its specification; `at` is the part that does.

    Inside the compiler it is a bug of the pass that made the graph.
    """

    def __init__(self, message: str, at: Node | Output | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def verify(graph: Graph) -> None:
    """Raises InvalidGraph unless the graph keeps every rule.

    Nodes are interned and have the type that their op infers; one precision; sizes are positive;
    names are unique in their space; what is stored or summed up is unbatched, gradients too.
    """
    nodes = graph.nodes()
    for node in nodes:
        _verify_node(node)
        if node.type.precision != nodes[0].type.precision:
            raise InvalidGraph("more than one precision", node)
    names: set[tuple[str, str]] = set()
    for output in graph.outputs:
        if (output.space, output.name) in names:
            raise InvalidGraph(f"two results are {output.space} {output.name!r}", output)
        names.add((output.space, output.name))
        _verify_output(output)


def _verify_node(node: Node) -> None:
    try:
        inferred = node.op.infer(*(a.type for a in node.args))
    except TypeRuleError as error:
        raise InvalidGraph(f"{node}: {error}", node) from error
    if inferred != node.type:
        raise InvalidGraph(f"{node} should have type {inferred}", node)
    if any(size < 1 for size in node.type.shape):
        raise InvalidGraph(f"{node} has an empty axis", node)
    if make(node.op, *node.args) is not node:
        raise InvalidGraph(f"{node} is not interned", node)


def _verify_output(output: Output) -> None:
    kind = output.node.type
    match output.space:
        case "input" | "scalar" | "placeholder":
            raise InvalidGraph(f"{output.name!r} is written to space {output.space}", output)
        case "parameter" | "state" | "optimizer" | "gradient":
            valid = not kind.batched
        case "result":
            valid = not kind.batched and kind.shape == ()
        case "output":
            valid = True
    if not valid:
        raise InvalidGraph(f"{output.space} {output.name!r} has type {kind}", output)
