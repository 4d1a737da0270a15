"""Bottom-up evaluation of Lark's concrete tree with a stack of its own.

Invariant: depth of nesting costs no Python recursion; what is nested too deeply for later stages is
refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netc.grammar.diagnostics import Failure
from netc.grammar.mistakes import NestedTooDeep
from netc.grammar.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import ParseTree, Token

DEEPEST: Final = 300
"""Rules nested in one another; far below what Python's recursion limit allows later stages."""


def fold(root: ParseTree, source: Source, methods: object) -> Any:  # noqa: ANN401 (of the root's method)
    """The value of the root: each rule's method is called with the values of its children.

    Tokens are passed as they are, and None for an optional part left out.

    Raises:
        Failure: the text is nested more than `DEEPEST` rules deep.
    """
    frames: list[tuple[ParseTree, list[Any], Iterator[Any]]] = [(root, [], iter(root.children))]
    while True:
        node, values, rest = frames[-1]
        for child in rest:
            if child is None or isinstance(child, str):
                values.append(child)
            else:
                frames.append((child, [], iter(child.children)))
                break
        else:
            frames.pop()
            value = getattr(methods, node.data)(*values)
            if not frames:
                return value
            frames[-1][1].append(value)
        if len(frames) > DEEPEST:
            token = first_token(frames[-1][0])
            raise Failure(NestedTooDeep(span=span_of(source, token)))


def first_token(node: ParseTree | Token) -> Token:
    """The first token of a concrete tree."""
    while not isinstance(node, str):
        node = next(c for c in node.children if c is not None)
    return node


def span_of(source: Source, token: Token) -> Span:
    """The place of a token."""
    return Span(source, token.start_pos or 0, token.end_pos or 0)
