"""Reads the text form of graphs back: the same nodes, or the place of what is wrong.

Invariant: `read(show(graph)) == graph`, node for node. Whatever the text, what is raised is a
TextError with the line and the columns at fault.
"""

from __future__ import annotations

import ast
import re
from math import inf, nan
from sys import modules
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args, get_type_hints

from netc.compiler.ir.graph import Graph, Node, Output, Space, make
from netc.compiler.ir.types import Precision, TensorType, TypeRuleError
from netc.compiler.ir.verify import InvalidGraph, verify
from netc.compiler.ops import OPS
from netc.compiler.ops.source import Source
from netc.compiler.ops.text import QUOTED, TYPED, attributes_of
from netc.compiler.ops.window import Window
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.compiler.ir.op import Op

BY_WORD: Final = {op.word: op for op in OPS}
NODE: Final = re.compile(
    rf"(%\w+) = (\w+)(?:\{{((?:{QUOTED}|[^'\"}}])*)\}})?((?: %\w+)*) : (f32|f64)\[([^\]]*)\]"
)
RETURN: Final = re.compile(rf"return (\w+) ({QUOTED}) (%\w+)")
COMMENT: Final = re.compile(rf"^((?:{QUOTED}|[^'\"#])*)#.*$")
REFUSED: Final = (
    TypeRuleError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What reading attributes and type rules raise for those that are out of place."""

BEGINNING: Final = "a graph begins with the line `graph NAME`"


class TextError(Exception):
    """What is wrong in the text of a graph: a line and the columns at fault, all from 1."""

    def __init__(self, message: str, line: int, first: int = 1, last: int = 1) -> None:
        super().__init__(f"line {line}: {message}")
        self.message = message
        self.line, self.first, self.last = line, first, last


class _Fault(Exception):
    """What is wrong in one line; `columns` count from 0 and end before the second."""

    def __init__(self, message: str, columns: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.message, self.columns = message, columns


@record
class Text:
    """A graph as it was read, and the lines of its nodes and of its results."""

    graph: Graph
    lines: Mapping[Node | Output, int]


def read(text: str) -> Graph:
    """The graph of a text; raises TextError for the first line that is wrong."""
    return read_lines(text).graph


def read_lines(text: str) -> Text:
    """The graph of a text, and where its parts stand; raises TextError like `read`."""
    name: str | None = None
    labels: dict[str, Node] = {}
    outputs: list[Output] = []
    lines: dict[Node | Output, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        code = COMMENT.sub(r"\1", line).rstrip()
        start = len(code) - len(code.lstrip())
        code = code[start:]
        try:
            if code.startswith("graph "):
                name = _name(code, name)
            elif code and name is None:
                raise _Fault(BEGINNING)
            elif code.startswith("return "):
                outputs.append(_return(code, labels))
                lines[outputs[-1]] = number
            elif code:
                label, node = _node(code, labels)
                labels[label] = node
                lines.setdefault(node, number)
        except _Fault as fault:
            first, last = fault.columns or (0, len(code))
            raise TextError(fault.message, number, start + first + 1, start + last) from None
    if name is None:
        raise TextError(BEGINNING, 1)
    return Text(Graph(name, tuple(outputs)), lines)


def verified(text: str) -> Graph:
    """The graph of a text that keeps every rule of graphs; raises TextError for one that does not.

    That is more than `read` asks: results have types that a runtime can store, attributes are of
    the kinds that their operations declare, and a name in a space stands for one type.
    """
    found = read_lines(text)
    if not found.graph.outputs:
        message = "a graph returns something: `return output 'y' %NODE`"
        raise TextError(message, len(text.splitlines()))
    try:
        verify(found.graph)
        for node in found.graph.nodes():
            _check_attributes(node)
        _check_names(found.graph)
    except InvalidGraph as error:
        line = 1 if error.at is None else found.lines.get(error.at, 1)
        raise TextError(error.message, line, 1, len(text.splitlines()[line - 1])) from None
    return found.graph


def _name(code: str, known: str | None) -> str:
    if known is not None:
        raise _Fault("a second graph begins here; a text holds one")
    return code.removeprefix("graph ")


def _return(code: str, labels: Mapping[str, Node]) -> Output:
    found = RETURN.fullmatch(code)
    if found is None:
        raise _Fault("expected return SPACE 'NAME' %NODE")
    if found[1] not in get_args(Space):
        message = f"there is no space `{found[1]}`; there are {_listed(get_args(Space))}"
        raise _Fault(message, found.span(1))
    node = _found(found[3], labels, found.span(3))
    return Output(cast("Space", found[1]), ast.literal_eval(found[2]), node)


def _node(code: str, labels: Mapping[str, Node]) -> tuple[str, Node]:
    found = NODE.fullmatch(code)
    if found is None:
        raise _Fault("expected %NODE = OP{attributes} %ARGUMENT… : TYPE")
    label, word, attributes, args, precision, axes = found.groups()
    if label in labels:
        raise _Fault(f"{label} stands above already", found.span(1))
    here = found.start(4)
    given = [
        _found(m[0], labels, (here + m.start(), here + m.end())) for m in re.finditer(r"%\w+", args)
    ]
    kind = _type(precision, axes, (found.start(5), found.end()))
    place = found.span(3) if attributes else found.span(2)
    op = _op(word, attributes or "", kind, found.span(2), place)
    try:
        node = make(op, *given)
    except REFUSED as error:
        raise _Fault(_said(error) or f"`{word}` refuses its arguments", place) from None
    if node.type != kind:
        raise _Fault(f"the type is {node.type}", (found.start(5), found.end()))
    return label, node


def _found(label: str, labels: Mapping[str, Node], columns: tuple[int, int]) -> Node:
    if label not in labels:
        known = f"there are {_listed(labels, 8)}" if labels else "this is the first"
        raise _Fault(f"no node {label} stands above; {known}", columns)
    return labels[label]


def _type(precision: str, axes: str, columns: tuple[int, int]) -> TensorType:
    parts = [part.strip() for part in axes.split(",")] if axes else []
    batched = parts[:1] == ["B"]
    sizes = parts[batched:]
    if not all(part.isascii() and part.isdigit() for part in sizes):
        raise _Fault("the axes of a type are whole numbers, B before them for each sample", columns)
    return TensorType(tuple(map(int, sizes)), batched, cast("Precision", precision))


def _op(
    word: str, attributes: str, kind: TensorType, name: tuple[int, int], place: tuple[int, int]
) -> Op:
    if word not in BY_WORD:
        raise _Fault(f"there is no operation `{word}`; there are {_listed(sorted(BY_WORD))}", name)
    op = BY_WORD[word]
    known = [field.name for field in attributes_of(op)]
    given: dict[str, Any] = {key: getattr(kind, key) for key in known if key in TYPED}
    try:
        call = ast.parse(f"f({attributes})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise _Fault("attributes are name=value, separated by commas", place)
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg not in known:
                has = _listed(known) if known else "none"
                raise _Fault(f"`{word}` has no attribute `{keyword.arg}`; it has {has}", place)
            given[keyword.arg] = _literal(keyword.value)
        return op(**given)
    except REFUSED as error:
        raise _Fault(f"attributes of `{word}`: {_said(error)}", place) from None


def _literal(tree: ast.expr) -> object:
    """A Python literal, with `nan` and `inf` as names."""
    match tree:
        case ast.Name("nan"):
            return nan
        case ast.Name("inf"):
            return inf
        case ast.UnaryOp(ast.USub(), ast.Name("inf")):
            return -inf
        case ast.Tuple(items):
            return tuple(_literal(item) for item in items)
        case ast.Call(func=ast.Name("Window"), args=[], keywords=given):
            return Window(**{str(k.arg): ast.literal_eval(k.value) for k in given})
        case _:
            return ast.literal_eval(tree)


def _check_attributes(node: Node) -> None:
    """Raises InvalidGraph unless each attribute is of the kind that the op declares."""
    hints = _kinds(type(node.op))
    for field in attributes_of(node.op):
        value = getattr(node.op, field.name)
        if not _fits(value, hints[field.name]):
            message = f"`{node.op.word}`: {field.name} cannot be {value!r}"
            if choices := get_args(hints[field.name]) if _is_choice(hints[field.name]) else ():
                message += f"; there are {_listed(choices)}"
            raise InvalidGraph(message, node)


def _kinds(op: type[Op]) -> dict[str, Any]:
    """The declared kind of each attribute."""
    names = {**vars(modules[op.__module__]), "Precision": Precision, "Space": Space}
    declared = {field.name: field.type for field in attributes_of(op)}
    return get_type_hints(SimpleNamespace(__annotations__=declared), names)


def _check_names(graph: Graph) -> None:
    """Raises InvalidGraph for a name that is read, or read and written, with two types."""
    known: dict[tuple[str, str], TensorType] = {}
    for node in graph.nodes():
        if isinstance(node.op, Source):
            place = node.op.space, node.op.name
            if known.setdefault(place, node.type) != node.type:
                message = f"{node.op.space} {node.op.name!r} is read as {known[place]} too"
                raise InvalidGraph(message, node)
    for output in graph.outputs:
        kind = known.get((output.space, output.name), output.node.type)
        if kind != output.node.type:
            message = f"{output.space} {output.name!r} is read as {kind}"
            raise InvalidGraph(f"{message} and written as {output.node.type}", output)


def _is_choice(hint: object) -> bool:
    return getattr(hint, "__origin__", None) is Literal


def _fits(value: object, hint: object) -> bool:
    """Whether a value is of a declared kind: a class, a choice, a tuple or one of several."""
    if _is_choice(hint):
        return value in get_args(hint)
    if isinstance(hint, type) and not get_args(hint):
        return type(value) is hint or (hint is float and type(value) is int)
    parts = get_args(hint)
    if getattr(hint, "__origin__", None) is not tuple:
        return any(_fits(value, part) for part in parts)
    if not isinstance(value, tuple):
        return False
    if parts[1:] == (...,):
        return all(_fits(item, parts[0]) for item in value)
    return len(value) == len(parts) and all(map(_fits, value, parts))


def _said(error: Exception) -> str:
    """The first line of an error, without the place in a text that Python made up."""
    return error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]


def _listed(names: Iterable[object], most: int = 80) -> str:
    """Names separated by commas; a long list without its middle."""
    shown = [str(name) for name in names]
    return ", ".join(shown if len(shown) <= most else [*shown[:3], "…", *shown[-3:]])
