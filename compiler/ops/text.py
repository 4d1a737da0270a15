"""The text form of graphs: one line for each node, and a reader that gives the same nodes back.

    graph infer
    %0 = source{space='input', name='x'} : f32[B, 64]
    %1 = constant{value=2.0} : f32[64]
    %2 = mul %0 %1 : f32[B, 64]  # digits.net:7
    return output 'y' %2

Invariant: `read(show(graph)) == graph`, node for node. Attributes that the type shows (shape,
batched, precision) or that have their default are left out; from `#` to the end of a line is a
comment.
"""

from __future__ import annotations

import ast
import re
from dataclasses import fields, is_dataclass
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import numpy as np

from netc.compiler.ir.graph import Graph, Output, Space, make
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops import OPS
from netc.compiler.ops.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Op
    from netc.compiler.ir.types import Precision

BY_WORD: Final = {op.word: op for op in OPS}
TYPED: Final = ("shape", "batched", "precision")
QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
NODE: Final = re.compile(
    rf"(%\w+) = (\w+)(?:\{{((?:{QUOTED}|[^'\"}}])*)\}})?((?: %\w+)*) : (f32|f64)\[([^\]]*)\]"
)
RETURN: Final = re.compile(rf"return (\w+) ({QUOTED}) (%\w+)")
COMMENT: Final = re.compile(rf"^((?:{QUOTED}|[^'\"#])*)#.*$")


class TextError(Exception):
    """A line that is no node of a graph; the message has its number."""


def show(graph: Graph, origins: Mapping[Node, object] | None = None) -> str:
    """The text of a graph; `origins` gives the place that a node comes from."""
    names: dict[Node, str] = {}
    lines = [f"graph {graph.name}"]
    for node in graph.nodes():
        names[node] = f"%{len(names)}"
        head = " ".join([f"{node.op.word}{_attributes(node)}", *(names[a] for a in node.args)])
        origin = (origins or {}).get(node)
        note = "" if origin is None else f"  # {origin}"
        lines.append(f"{names[node]} = {head} : {node.type}{note}")
    lines += [f"return {o.space} {o.name!r} {names[o.node]}" for o in graph.outputs]
    return "\n".join(lines) + "\n"


def _attributes(node: Node) -> str:
    shown = [
        f"{field.name}={_literal(getattr(node.op, field.name), node.type.precision)}"
        for field in _fields(node.op)
        if field.name not in TYPED and getattr(node.op, field.name) != field.default
    ]
    return "{" + ", ".join(shown) + "}" if shown else ""


def _fields(op: Op | type[Op]) -> tuple[Any, ...]:
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


def read(text: str) -> Graph:
    """The graph of a text; raises TextError with the number of the line that is wrong."""
    name = ""
    nodes: dict[str, Node] = {}
    outputs: list[Output] = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = COMMENT.sub(r"\1", line).strip()
        try:
            if code.startswith("graph "):
                name = code.removeprefix("graph ")
            elif code.startswith("return "):
                outputs.append(_read_return(code, nodes))
            elif code:
                label, node = _read_node(code, nodes)
                nodes[label] = node
        except (TypeRuleError, KeyError, ValueError, SyntaxError, TypeError) as error:
            raise TextError(f"line {number}: {error}: {line.strip()}") from error
    return Graph(name, tuple(outputs))


def _read_return(code: str, nodes: Mapping[str, Node]) -> Output:
    found = RETURN.fullmatch(code)
    if found is None or found[1] not in get_args(Space):
        raise ValueError("expected return SPACE 'NAME' %NODE")
    return Output(cast("Space", found[1]), ast.literal_eval(found[2]), nodes[found[3]])


def _read_node(code: str, nodes: Mapping[str, Node]) -> tuple[str, Node]:
    found = NODE.fullmatch(code)
    if found is None:
        raise ValueError("expected %NODE = OP{attributes} %ARGUMENT… : TYPE")
    label, word, attributes, args, precision, axes = found.groups()
    kind = _read_type(precision, axes)
    node = make(_read_op(word, attributes or "", kind), *(nodes[a] for a in args.split()))
    if node.type != kind:
        raise TypeRuleError(f"the type is {node.type}")
    return label, node


def _read_type(precision: str, axes: str) -> TensorType:
    parts = [part.strip() for part in axes.split(",")] if axes else []
    batched = parts[:1] == ["B"]
    return TensorType(tuple(map(int, parts[batched:])), batched, cast("Precision", precision))


def _read_op(word: str, attributes: str, kind: TensorType) -> Op:
    op = BY_WORD[word]
    given: dict[str, Any] = {
        field.name: getattr(kind, field.name) for field in _fields(op) if field.name in TYPED
    }
    call = ast.parse(f"f({attributes})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args:
        raise ValueError("attributes are name=value")
    given |= {str(keyword.arg): _read_literal(keyword.value) for keyword in call.keywords}
    return op(**given)


def _read_literal(tree: ast.expr) -> object:
    """A Python literal, with `nan` and `inf` as names."""
    match tree:
        case ast.Name("nan"):
            return nan
        case ast.Name("inf"):
            return inf
        case ast.UnaryOp(ast.USub(), ast.Name("inf")):
            return -inf
        case ast.Tuple(items):
            return tuple(_read_literal(item) for item in items)
        case ast.Call(func=ast.Name("Window"), args=[], keywords=given):
            return Window(**{str(k.arg): ast.literal_eval(k.value) for k in given})
        case _:
            return ast.literal_eval(tree)
