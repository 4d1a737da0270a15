"""Where the sources of the compiler name a definition of the prelude: nowhere, but for a default.

A special case would have to know a definition by its name, as a string; so every string of the
sources that is exactly such a name counts. Prose and identifiers of Python do not.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.prelude.harness import definitions
from tests.prelude.reference import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("grammar", "compiler", "runtime", "netc")

_INITIAL: Final = "compiler/elaborate/initial.py"
DEFAULTS: Final = {(_INITIAL, "glorot_uniform"), (_INITIAL, "zeros")}
"""What a `param` without an initial value starts with, looked up like a name in a text."""


def mentions() -> list[tuple[str, int, str]]:
    """File, line and name of each."""
    names = {d.name.name for room in TABLES for d in definitions(room)}
    found = ((f, line, text) for f, line, text in _strings() if text in names)
    return sorted(m for m in found if (m[0], m[2]) not in DEFAULTS)


def _strings() -> Iterator[tuple[str, int, str]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.relative_to(ROOT).as_posix(), node.lineno, node.value


def sources() -> list[Path]:
    """Every file of the product; the links inside `netc` are not followed."""
    found = []
    for room in ROOMS:
        folders = [ROOT / room] if room != "netc" else [ROOT / room / "cli"]
        found += [path for folder in folders for path in folder.rglob("*.py")]
    return sorted(found + list((ROOT / "netc").glob("*.py")))
