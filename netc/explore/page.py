"""The page: data packed into one file of HTML that asks for nothing from outside.

Invariant: whatever a text holds, the page is the same HTML with other data: data go in as base64 of
compressed JSON, and the title is escaped.
"""

from __future__ import annotations

import json
from base64 import b64encode
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from zlib import compress

from netc.explore.collect import function_data, program_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.driver import Program
    from netc.compiler.program import FunctionName

SCRIPTS: Final = (*("state", "code", "layout", "graph", "memory", "kernels", "panes", "main"),)
"""What the page runs, in this order."""

FIRST: Final[tuple[FunctionName, ...]] = ("infer", "step")
"""Functions on the page unless others are asked for."""


def page(
    program: Program,
    samples: int,
    functions: Sequence[FunctionName],
    seconds: float | None = None,
) -> str:
    """The HTML of a program for runs over so many samples; `seconds` measures its kernels."""
    net = program_data(program, samples)
    found = [function_data(program, name, samples, seconds) for name in functions]
    scripts = [packed("program", {**net, "functions": list(functions)})]
    scripts += [packed(f"function-{data['name']}", data) for data in found]
    title = escape(f"{program.manifest.name}: netc explore")
    script = "\n".join(_file(f"{name}.js") for name in SCRIPTS)
    parts = {
        "{{title}}": title,
        "{{style}}": _file("style.css"),
        "{{data}}": "\n".join(scripts),
        "{{script}}": f'"use strict";\n(() => {{\n{script}\n}})();',
    }
    html = _file("page.html")
    for mark, text in parts.items():
        html = html.replace(mark, text, 1)
    return html


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def packed(name: str, data: Mapping[str, object]) -> str:
    """Data as an element of the page, to be unpacked under their name."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    content = b64encode(compress(text.encode(), 9)).decode("ascii")
    return f'<script type="text/plain" id="data-{name}">{content}</script>'
