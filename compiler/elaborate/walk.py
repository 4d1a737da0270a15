"""Walks over the syntax tree: statements under compile-time `if`, and the names that are called."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from netc.grammar import tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def nested(body: Sequence[tree.Statement]) -> Iterator[tree.Statement]:
    """Statements in text order, those of both branches of an `if` after it."""
    for statement in body:
        yield statement
        if isinstance(statement, tree.IfBlock):
            yield from nested(statement.then)
            yield from nested(statement.otherwise)


def parts(node: tree.Tree) -> Iterator[tree.Tree]:
    """A node and everything below it, iteratively."""
    stack: list[object] = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, tuple):
            stack.extend(reversed(top))
        elif isinstance(top, tree.Tree):
            yield top
            stack.extend(reversed([getattr(top, f.name) for f in fields(top)]))


def own_callables(definition: tree.Definition) -> set[str]:
    """Names that mean something of the definition's own where they are called."""
    own = {parameter.name.name for parameter in definition.parameters}
    return own | {part.name.name for part in parts(definition) if isinstance(part, tree.Instance)}


def calls(text: tree.Tree) -> Iterator[tree.Ident]:
    """What a text certainly calls: before a bracket, right of a pipe, or first in an instance."""
    for part in parts(text):
        match part:
            case tree.Instance(chain=tree.Name(span=span, name=name)):
                yield tree.Ident(span, name)
            case tree.Instance(chain=tree.Pipe(stages=(tree.Name(span=span, name=name), *_))):
                yield tree.Ident(span, name)
            case tree.Call(callee=callee):
                yield callee
            case tree.Pipe(stages=stages):
                for stage in stages[1:]:
                    if isinstance(stage, tree.Name):
                        yield tree.Ident(stage.span, stage.name)
            case _:
                pass


def callees(text: tree.Definition | tree.Instance) -> set[str]:
    """Names that a text calls or passes on; what a definition has of its own is none."""
    called = {ident.name for ident in calls(text)}
    for part in parts(text):
        match part:
            case tree.Argument(value=tree.Name(name=name)):
                called.add(name)
            case tree.Parameter(kind=kind, default=tree.Name(name=name)) if kind is not None:
                called.add(name)
            case _:
                pass
    return called - own_callables(text) if isinstance(text, tree.Definition) else called
