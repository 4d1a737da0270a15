"""The text form of graphs: one line for each node.

    graph infer
    %0 = source{space='input', name='x'} : f32[B, 64]
    %1 = constant{value=2.0} : f32[64]
    %2 = mul %0 %1 : f32[B, 64]  # digits.net:7
    return output 'y' %2

Invariant: `read(show(graph)) == graph`, node for node (`reader.py`); nodes are in the order of
`Graph.nodes`, so equal graphs have equal texts. Attributes that the type shows (shape, batched,
precision) or that have their default are left out; from `#` to the end of a line is a comment.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.compiler.ops.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.ir.op import Op
    from netc.compiler.ir.types import Precision

TYPED: Final = ("shape", "batched", "precision")
QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""


def show(
    graph: Graph,
    origins: Mapping[Node, object] | None = None,
    names: Mapping[Node, str] | None = None,
) -> str:
    """The text of a graph; `origins` gives the place that a node comes from.

    `names` are those of the nodes, %0, %1, … in their order without it.
    """
    nodes = graph.nodes()
    names = numbered(nodes) if names is None else names
    lines = [f"graph {graph.name}"]
    for node in nodes:
        head = f"{names[node]} = {applied(node, [names[a] for a in node.args])} : {node.type}"
        origin = (origins or {}).get(node)
        lines.append(head if origin is None else f"{head}  # {origin}")
    lines += [f"return {o.space} {o.name!r} {names[o.node]}" for o in graph.outputs]
    return "\n".join(lines) + "\n"


def numbered(nodes: Iterable[Node]) -> dict[Node, str]:
    """%0, %1, … in order."""
    return {node: f"%{number}" for number, node in enumerate(nodes)}


def applied(node: Node, arguments: Sequence[str]) -> str:
    """An operation with its attributes before the texts of its arguments."""
    return " ".join([f"{node.op.word}{_attributes(node)}", *arguments])


def _attributes(node: Node) -> str:
    shown = [
        f"{field.name}={_literal(getattr(node.op, field.name), node.type.precision)}"
        for field in attributes_of(node.op)
        if field.name not in TYPED and getattr(node.op, field.name) != field.default
    ]
    return "{" + ", ".join(shown) + "}" if shown else ""


def attributes_of(op: Op | type[Op]) -> tuple[Any, ...]:
    """The fields of an op that is a record; others have none."""
    return fields(op) if is_dataclass(op) else ()


def _literal(value: object, precision: Precision) -> str:
    match value:
        case float():
            return _number(value, precision)
        case tuple():
            items = [_literal(item, precision) for item in value]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        case Window():
            parts = (f"{f.name}={getattr(value, f.name)}" for f in fields(value))
            return f"Window({', '.join(parts)})"
        case _:
            return repr(value)


def _number(value: float, precision: Precision) -> str:
    """The shortest decimal that reads back as the same number of the precision."""
    if precision == "f64" or not isfinite(value):
        return repr(value)
    return str(np.float32(value))
