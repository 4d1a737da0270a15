"""What the blocks of a golden case show: from a `net` text to the text form of one stage.

A stage is a function of the source and of the words after the tag: "```graph backward" calls
`STAGES["graph"](source, "backward")`. To add one, write a function and a line in the table.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from netc.grammar.diagnostics import CompileError
from netc.grammar.folder import Folder
from netc.grammar.format import format_source
from netc.grammar.parser import parse
from netc.grammar.show import show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.compiler.program import FunctionName
    from netc.grammar.source import Source


def ast(source: Source) -> str:
    return show(parse(source))


def fmt(source: Source) -> str:
    return format_source(source)


def error(source: Source, files: Mapping[str, str] | None = None) -> str:
    """The rendered report of reading and elaborating a text that stands beside some files."""
    from netc.compiler.elaborate import elaborate

    with TemporaryDirectory() as root:
        for path, text in (files or {}).items():
            Path(root, path).parent.mkdir(parents=True, exist_ok=True)
            Path(root, path).write_text(text, encoding="utf-8")
        library = None if files is None else Folder(os.path.realpath(root), source.name, "")
        try:
            elaborate(parse(source), precision="f32", defines={}, library=library)
        except CompileError as report:
            return str(report)
    raise AssertionError("the text compiles; no error to show")


def graph(source: Source, function: FunctionName) -> str:
    """The graph of one function, before any pass, with the `.net` line of each node."""
    from netc.compiler.elaborate import elaborate
    from netc.compiler.functions import function_graph
    from netc.compiler.ops.text import show as show_graph

    model = elaborate(parse(source))
    lines = {node: f"{span.line}: {span.text}" for node, span in model.origins.items()}
    return show_graph(function_graph(model, function), lines)


def stage(name: str) -> Callable[..., str]:
    """What `netc ir` prints of a function for the portable target, the same on every machine."""

    def shown(source: Source, function: FunctionName, kernel: str | None = None) -> str:
        from netc.compiler.driver import compile_text

        return compile_text(source, target="portable").show(name, function, kernel)

    return shown


STAGES: Final[dict[str, Callable[..., str]]] = {
    "ast": ast,
    "fmt": fmt,
    "error": error,
    "graph": graph,
    "backward": stage("backward"),
    "simplified": stage("simplified"),
    "fused": stage("fused"),
    "loops": stage("loops"),
}
