"""Diagnostics as data: one frozen dataclass per kind of mistake, rendered with carets.

A kind is declared next to the code that finds it. Its class variables are templates over its
fields; its docstring is what `netc explain SLUG` prints.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, fields
from inspect import cleandoc
from typing import TYPE_CHECKING, ClassVar, Final, Self, dataclass_transform

if TYPE_CHECKING:
    from netc.grammar.source import Span

KINDS: Final[dict[str, type[Diagnostic]]] = {}

_TAB: Final = 4
_WIDEST: Final = 120


@dataclass(frozen=True)
class Related:
    """A second place in the text that explains the first."""

    span: Span
    label: str


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A mistake in a text.

    Subclasses set `slug`, `title`, `label` and `help`; `{field}` in them is filled from the fields.
    An empty `help` is left out. They become frozen dataclasses when one is made: most never are,
    and a hundred dataclasses cost 50 ms.
    """

    slug: ClassVar[str] = ""
    title: ClassVar[str] = ""
    label: ClassVar[str] = ""
    help: ClassVar[str] = ""

    span: Span
    related: tuple[Related, ...] = ()

    def __init_subclass__(cls) -> None:
        if cls.slug:
            KINDS[cls.slug] = cls

    def __new__(cls, **_: object) -> Self:
        complete(cls)
        return super().__new__(cls)

    def text(self, template: str) -> str:
        """A template with this diagnostic's fields filled in."""
        return template.format(**{f.name: getattr(self, f.name) for f in fields(self)})

    def advice(self) -> str:
        """The help line; kinds whose advice depends on their fields override this."""
        return self.text(self.help)


def complete(kind: type[Diagnostic]) -> None:
    """Makes a kind and those it builds on dataclasses."""
    for base in reversed(kind.__mro__):
        if issubclass(base, Diagnostic) and "__dataclass_fields__" not in vars(base):
            dataclass(frozen=True, kw_only=True)(base)


class Failure(Exception):
    """Carries one diagnostic from where it is found to where reports are collected."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.slug)
        self.diagnostic = diagnostic


class CompileError(Exception):
    """Text that does not compile. `diagnostics` are structured; `str()` is the rendered report."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n\n".join(render(d) for d in self.diagnostics)


def explain(slug: str) -> str:
    """What a kind of mistake means: the documentation of its class.

    Raises:
        KeyError: no imported module declares the kind.
    """
    kind = KINDS[slug]
    return f"{slug}\n\n{cleandoc(kind.__doc__ or '')}"


def render(diagnostic: Diagnostic) -> str:
    """The report of one diagnostic, with the source line and a caret under the span."""
    span = diagnostic.span
    margin = max(len(str(s.line)) for s in (span, *(r.span for r in diagnostic.related)))
    bar = " " * (margin + 1) + "|"
    lines = [
        f"error[{diagnostic.slug}]: {diagnostic.text(diagnostic.title)}",
        " " * margin + f"--> {span}",
        bar,
        *_excerpt(span, "^", diagnostic.text(diagnostic.label), margin),
    ]
    for related in diagnostic.related:
        elsewhere = related.span.source is not span.source
        lines += [" " * margin + f"--> {related.span}", bar] if elsewhere else [bar]
        lines += _excerpt(related.span, "-", related.label, margin)
    if advice := diagnostic.advice():
        lines.append(f"help: {advice}")
    return "\n".join(lines)


def excerpt(span: Span, label: str) -> str:
    """A place in a text: its name and position, its line, and a caret with a label under it."""
    margin = len(str(span.line))
    head = [f"{' ' * margin}--> {span}", f"{' ' * margin} |"]
    return "\n".join(head + _excerpt(span, "^", label, margin))


def _excerpt(span: Span, mark: str, label: str, margin: int) -> list[str]:
    """The first line of a span and the marks below it, to its end if the span goes on."""
    line = span.source.line(span.line).rstrip()
    start = span.column - 1
    stop = min(start + max(span.end - span.start, 1), max(len(line), start + 1))
    before, marked, after = line[:start], line[start:stop], line[stop:]
    before = before if _columns(before) <= _WIDEST else "…" + before[-_WIDEST // 2 :]
    marked = marked if _columns(marked) <= _WIDEST else marked[: _WIDEST // 2] + "…"
    after = after if _columns(after) <= _WIDEST else after[: _WIDEST // 2] + "…"
    left = _columns(before)
    width = max(_columns(before + marked) - left, 1)
    marks = mark * (width if mark == "^" else max(width, 2))
    return [
        f"{span.line:>{margin}} | {_printable(before + marked + after)}".rstrip(),
        f"{' ' * margin} | {' ' * left}{marks} {label}".rstrip(),
    ]


def _printable(text: str) -> str:
    """The text as a terminal can show it: tabs as spaces, control characters replaced."""
    shown = text.expandtabs(_TAB)
    return "".join(c if c.isprintable() or unicodedata.combining(c) else "\ufffd" for c in shown)


def _columns(text: str) -> int:
    """How many columns a terminal needs for the text."""
    return sum(_width(c) for c in _printable(text))


def _width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
