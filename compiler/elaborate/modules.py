"""The texts that definitions come from: the user's file, its imports, and below them the prelude.

Invariant: the prelude is indexed by name without parsing; a definition is parsed at its first use,
at its true line and column, and kept for the life of the process.
"""

from __future__ import annotations

import re
from dataclasses import field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import netc.grammar
from netc.grammar import tree
from netc.grammar.parser import parse
from netc.grammar.source import Source
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.compiler.elaborate.scope import Module
    from netc.compiler.elaborate.values import Known

_START: Final = re.compile(r"^(?:fn|layer|init|optimizer|const)[ \t]+(\w+)", re.MULTILINE)


@record(eq=False)
class Prelude:
    """The definitions under `grammar/prelude`."""

    below: Module | None = None
    imports: tuple[Module, ...] = ()

    def definition(self, name: str) -> tree.Definition | None:
        item = _item(name)
        return item if isinstance(item, tree.Definition) else None

    def constant(self, name: str) -> tree.Const | None:
        item = _item(name)
        return item if isinstance(item, tree.Const) else None

    def names(self) -> Iterable[str]:
        return _index()

    def constants(self) -> Iterable[str]:
        return ()

    def override(self, name: str) -> Known | None:
        return None


@record(eq=False)
class FileModule:
    """The definitions and constants of one parsed text; `overrides` come from outside."""

    definitions: Mapping[str, tree.Definition]
    values: Mapping[str, tree.Const]
    overrides: Mapping[str, Known] = field(default_factory=dict)
    imports: tuple[Module, ...] = ()
    below: Module | None = field(default_factory=Prelude)

    def definition(self, name: str) -> tree.Definition | None:
        return self.definitions.get(name)

    def constant(self, name: str) -> tree.Const | None:
        return self.values.get(name)

    def names(self) -> Iterable[str]:
        return self.definitions

    def constants(self) -> Iterable[str]:
        return self.values

    def override(self, name: str) -> Known | None:
        return self.overrides.get(name)

    def items(self) -> Iterable[tuple[str, tree.Definition | tree.Const]]:
        """Everything the text defines, by name."""
        return chain(self.definitions.items(), self.values.items())


def file_module(
    file: tree.File, overrides: Mapping[str, Known], imports: tuple[FileModule, ...]
) -> FileModule:
    """The items of a text; of two with one name the first."""
    definitions: dict[str, tree.Definition] = {}
    constants: dict[str, tree.Const] = {}
    for item in file.items:
        if isinstance(item, tree.Definition):
            definitions.setdefault(item.name.name, item)
        elif isinstance(item, tree.Const):
            constants.setdefault(item.name.name, item)
    return FileModule(definitions, constants, dict(overrides), imports)


@cache
def _index() -> dict[str, tuple[Path, int, int]]:
    """For each name of the prelude its file and the range of its text."""
    found: dict[str, tuple[Path, int, int]] = {}
    for path in sorted(Path(netc.grammar.__path__[0]).glob("prelude/*.net")):
        text = path.read_text(encoding="utf-8")
        starts = list(_START.finditer(text))
        ends = [match.start() for match in starts[1:]] + [len(text)]
        for match, end in zip(starts, ends, strict=True):
            found[match[1]] = (path, match.start(), end)
    return found


@cache
def _item(name: str) -> tree.Item | None:
    """One parsed item; the lines before it are blank, so that its places are the file's."""
    entry = _index().get(name)
    if entry is None:
        return None
    path, start, end = entry
    text = path.read_text(encoding="utf-8")
    blank = "\n" * text.count("\n", 0, start)
    return parse(Source(f"prelude/{path.name}", blank + text[start:end])).items[0]
