"""The text form of a syntax tree, and whether two trees are equal but for their places.

Invariant: neither recurses, and both see every field of every node but spans.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from netc.grammar.tree import (
    Boolean,
    Definition,
    File,
    Ident,
    IfBlock,
    Net,
    Operator,
    String,
    Train,
    Tree,
)

_WIDTH: Final = 88
_SKIPPED: Final = frozenset({"span", "source"})

_BLOCKS: Final = (File, Definition, Net, Train, IfBlock)

_Lines = list[tuple[str, Tree]]
"""Lines with the node that each begins with."""


def show(tree: Tree, *, places: bool = False) -> str:
    """The tree as text: a node with its children in parentheses, on indented lines if too long.

    With `places` each line ends with where its node stands in the text.
    """
    done: dict[int, _Lines] = {}
    todo: list[tuple[Tree, bool]] = [(tree, False)]
    while todo:
        node, ready = todo.pop()
        if ready:
            done[id(node)] = _lines(node, [done.pop(id(child)) for _, child in _children(node)])
        else:
            todo.append((node, True))
            todo.extend((child, False) for _, child in _children(node))
    lines = (f"{line}  # {node.span}" if places else line for line, node in done[id(tree)])
    return "\n".join(lines) + "\n"


def same(first: Tree, second: Tree) -> bool:
    """Whether two trees have the same nodes and values; places do not count."""
    todo: list[tuple[object, object]] = [(first, second)]
    while todo:
        a, b = todo.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, Tree):
            todo += [(getattr(a, f), getattr(b, f)) for f in _fields(a)]
        elif isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            todo += zip(a, b, strict=True)
        elif a != b:
            return False
    return True


def _fields(node: Tree) -> list[str]:
    return [f.name for f in fields(node) if f.name not in _SKIPPED]


def _children(node: Tree) -> list[tuple[str, Tree]]:
    """The children shown in parentheses or on lines of their own, each with its label.

    A field that may be absent and one of several lists are labelled by their names.
    """
    lists = sum("tuple[" in str(f.type) for f in fields(node))
    found: list[tuple[str, Tree]] = []
    for field in fields(node):
        labelled = "None" in str(field.type) or ("tuple[" in str(field.type) and lists > 1)
        label = f"{field.name}=" if labelled else ""
        todo = [getattr(node, field.name)]
        while todo:
            value = todo.pop()
            if isinstance(value, tuple):
                todo.extend(reversed(value))
            elif isinstance(value, Tree) and not isinstance(value, Ident):
                found.append((label, value))
    return found


def _lines(node: Tree, children: list[_Lines]) -> _Lines:
    """The lines of a node from those of its children."""
    if isinstance(node, Operator):
        return [(node.symbol, node)]
    head = " ".join([type(node).__name__, *_attributes(node)])
    labels = [label for label, _ in _children(node)]
    parts = [
        [(label + own[0][0], own[0][1]), *own[1:]]
        for label, own in zip(labels, children, strict=True)
    ]
    flat = f"({' '.join([head, *(own[0][0] for own in parts)])})"
    one_line = len(flat) <= _WIDTH and all(len(own) == 1 for own in parts)
    if one_line and not isinstance(node, _BLOCKS):
        return [(flat, node)]
    return [(head, node), *((f"  {line}", one) for own in parts for line, one in own)]


def _attributes(node: Tree) -> list[str]:
    """The fields shown on the node's own line: names, words, numbers and texts."""
    words: list[str] = []
    for name in _fields(node):
        match getattr(node, name):
            case Ident(name=text):
                words.append(text)
            case (Ident(), *_) as path:
                words.append(".".join(ident.name for ident in path))
            case bool(value) if isinstance(node, Boolean):
                words.append(str(value).lower())
            case True:
                words.append(name)
            case str(text) if name == "doc" or isinstance(node, String):
                words.append(f"doc={text!r}" if name == "doc" else repr(text))
            case str(text):
                words.append(text)
            case int(value) | float(value) if value is not False:
                words.append(repr(value))
            case _:
                pass
    return words
