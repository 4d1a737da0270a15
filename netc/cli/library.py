"""What can be told about a definition or primitive: `netc doc` and the reference pages show it.

Invariant: everything comes from the text and its doc comments; a definition is shown as written.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from textwrap import indent
from typing import TYPE_CHECKING

from netc.compiler.elaborate.primitives import PRIMITIVES
from netc.grammar.parser import parse
from netc.grammar.source import Source
from netc.grammar.tree import Definition
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Primitive


@record
class Room:
    """A file of the prelude: its definitions in order, and the comment that heads it."""

    name: str
    comment: str
    definitions: tuple[Definition, ...]


def prelude() -> list[Room]:
    """Every file of the prelude, by name."""
    folder = files("netc.grammar").joinpath("prelude")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".net"))
    return [_room(name, folder.joinpath(name).read_text(encoding="utf-8")) for name in found]


@cache
def _room(name: str, text: str) -> Room:
    items = parse(Source(f"prelude/{name}", text)).items
    lines = []
    for line in text.splitlines():
        if not re.match(r"#(?!#)", line):
            break
        lines.append(line.removeprefix("#").strip())
    definitions = tuple(item for item in items if isinstance(item, Definition))
    return Room(name.removesuffix(".net"), " ".join(lines), definitions)


def signature(found: Definition | Primitive) -> str:
    """The header on one line: `fn leaky_relu(z, alpha = 0.01)`."""
    if not isinstance(found, Definition):
        parameters = [f"{n}?" if n in found.defaults else n for n in found.parameters]
        if found.rest:
            parameters.append("…")
        return f"primitive {found.name}({', '.join(parameters)})"
    parameters = [" ".join(p.span.text.split()) for p in found.parameters]
    return f"{found.kind} {found.name.name}({', '.join(parameters)})"


def page(found: Definition | Primitive) -> str:
    """Signature, doc comment, text and place."""
    if not isinstance(found, Definition):
        return f"{signature(found)}\n\n{indent(found.doc, '  ')}\n\nbuilt into the compiler"
    parts = [signature(found)]
    if found.doc:
        parts.append(indent(found.doc.strip(), "  "))
    parts.append(found.span.text)
    parts.append(f"defined in {found.span.source.name}, line {found.span.line}")
    return "\n\n".join(parts)


def catalogue() -> dict[str, Definition | Primitive]:
    """Every primitive and every definition of the prelude, by name."""
    defined = {d.name.name: d for room in prelude() for d in room.definitions}
    return {**PRIMITIVES, **defined}
