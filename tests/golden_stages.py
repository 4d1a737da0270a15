"""What the blocks of a golden case show: from a `net` text to the text form of one stage.

A stage is a function of the source and of the words after the tag: "```graph backward" calls
`STAGES["graph"](source, "backward")`. To add one, write a function and a line in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.grammar.diagnostics import CompileError
from netc.grammar.format import format_source
from netc.grammar.parser import parse
from netc.grammar.show import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.grammar.source import Source


def ast(source: Source) -> str:
    return show(parse(source))


def fmt(source: Source) -> str:
    return format_source(source)


def error(source: Source) -> str:
    """The rendered report of reading and elaborating a text."""
    try:
        file = parse(source)
        from netc.compiler.elaborate import elaborate

        elaborate(file, precision="f32", defines={})
    except CompileError as report:
        return str(report)
    raise AssertionError("the text compiles; no error to show")


STAGES: Final[dict[str, Callable[..., str]]] = {"ast": ast, "fmt": fmt, "error": error}
