"""Diagnostics as data: one frozen dataclass per kind of mistake, rendered with carets.

A kind is declared next to the code that finds it. Its class variables are templates over its fields;
its docstring is what `netc explain SLUG` prints.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Final

from netc.grammar.source import Span

KINDS: Final[dict[str, type[Diagnostic]]] = {}


@dataclass(frozen=True)
class Related:
    """A second place in the text that explains the first."""

    span: Span
    label: str


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A mistake in a text.

    Subclasses set `slug`, `title`, `label` and `help`; `{field}` in them is filled from the fields.
    An empty `help` is left out.
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

    def text(self, template: str) -> str:
        """A template with this diagnostic's fields filled in."""
        return template.format(**{f.name: getattr(self, f.name) for f in fields(self)})

    def advice(self) -> str:
        """The help line; kinds whose advice depends on their fields override this."""
        return self.text(self.help)


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


def render(diagnostic: Diagnostic) -> str:
    """The report of one diagnostic, with the source line and a caret under the span."""
    raise NotImplementedError
