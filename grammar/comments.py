"""Comments of a text, which the grammar skips.

Invariant: a `#` inside a string is no comment; a doc comment stands alone on its line.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Final

from netc.grammar.source import Source, Span

_COMMENT_OR_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*')
_BLANK_LINE: Final = re.compile(r"\n[ \t\r\f]*\n")
_SPACE: Final = " \t\r\n\f;"
_DOC: Final = re.compile(r"##(?!#)")


def comments(source: Source) -> list[Span]:
    """Every comment in text order, `#` included, spaces at its end excluded."""
    return [
        Span(source, match.start(), match.start() + len(match.group().rstrip()))
        for match in _COMMENT_OR_STRING.finditer(source.text)
        if match.group().startswith("#")
    ]


def own_line(span: Span) -> bool:
    """Whether nothing but spaces and `;` precedes the span on its line."""
    return not span.source.line(span.line)[: span.column - 1].strip(" \t\r\f;")


def blank_between(text: str) -> bool:
    """Whether the text between two neighbours has a blank line."""
    return _BLANK_LINE.search(text) is not None


def docs(source: Source) -> dict[int, str]:
    """Doc comments by the offset of the text they precede.

    A doc comment is a run of `##` lines without a gap; blank lines may follow it.
    """
    found: dict[int, str] = {}
    run: list[Span] = []
    for span in comments(source):
        if not (_DOC.match(span.text) and own_line(span)):
            run = []
            continue
        if run:
            between = source.text[run[-1].end : span.start]
            if between.strip(_SPACE) or blank_between(between):
                run = []
        run.append(span)
        found[_next_text(source.text, span.end)] = dedent("\n".join(s.text[2:] for s in run))
    return {offset: text.strip() for offset, text in found.items()}


def _next_text(text: str, offset: int) -> int:
    while offset < len(text) and text[offset] in _SPACE:
        offset += 1
    return offset
