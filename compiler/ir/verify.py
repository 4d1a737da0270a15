"""The specification of a valid graph, checked: for tests, and between passes on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ir.graph import make
from netc.compiler.ir.types import TypeRuleError

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node, Output


class InvalidGraph(Exception):
    """A graph that breaks its specification: a bug of the pass that made it."""


def verify(graph: Graph) -> None:
    """Raises InvalidGraph unless the graph keeps every rule.

    Nodes are interned and have the type that their op infers; one precision; sizes are positive;
    names are unique in their space; what is stored or summed up is unbatched, gradients too.
    """
    nodes = graph.nodes()
    for node in nodes:
        _verify_node(graph, node)
    if len({node.type.precision for node in nodes}) > 1:
        raise InvalidGraph(f"{graph.name}: more than one precision")
    names = [(o.space, o.name) for o in graph.outputs]
    if len(set(names)) != len(names):
        raise InvalidGraph(f"{graph.name}: two outputs of one name")
    for output in graph.outputs:
        _verify_output(graph, output)


def _verify_node(graph: Graph, node: Node) -> None:
    try:
        inferred = node.op.infer(*(a.type for a in node.args))
    except TypeRuleError as error:
        raise InvalidGraph(f"{graph.name}: {node}: {error}") from error
    if inferred != node.type:
        raise InvalidGraph(f"{graph.name}: {node} should have type {inferred}")
    if any(size < 1 for size in node.type.shape):
        raise InvalidGraph(f"{graph.name}: {node} has an empty axis")
    if make(node.op, *node.args) is not node:
        raise InvalidGraph(f"{graph.name}: {node} is not interned")


def _verify_output(graph: Graph, output: Output) -> None:
    kind = output.node.type
    match output.space:
        case "input" | "scalar" | "placeholder":
            raise InvalidGraph(f"{graph.name}: {output.name!r} is written to space {output.space}")
        case "parameter" | "state" | "optimizer" | "gradient":
            valid = not kind.batched
        case "result":
            valid = not kind.batched and kind.shape == ()
        case "output":
            valid = True
    if not valid:
        raise InvalidGraph(f"{graph.name}: {output.space} {output.name!r} has type {kind}")
