"""What a compiled program depends on, as one hash.

Invariant: whatever changes the outline or the machine code of a text changes its key, except the
imports: an entry lists those, and they are compared when it is read.
"""

from __future__ import annotations

import json
import os
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

import netc.grammar
from netc.records import __file__ as records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision


def hashed(*parts: str) -> str:
    """One hash of several texts, in order."""
    return sha256(json.dumps(parts).encode()).hexdigest()


def program_key(
    text: str,
    place: str,
    precision: Precision,
    defines: Mapping[str, int | float | bool | str],
    compiler: str,
) -> str:
    """The key of a text in the folder of `place`, compiled by the compiler of that key."""
    made = json.dumps([precision, sorted(defines.items())])
    # a file's own name says nothing, but its imports start from its folder
    return hashed(compiler, text, os.path.dirname(place), made)


def compiler_key(target: Target, llvm: str) -> str | None:
    """The key of this compiler for a target, with the code generator `llvm`.

    None when the compiler's own files cannot be read.
    """
    compiler = _compiler()
    return None if compiler is None else hashed(compiler, llvm, repr(target))


@cache
def _compiler() -> str | None:
    """A hash of the compiler: of its sources, what makes its records, the grammar, the prelude."""
    total = sha256()
    try:
        for top in (os.path.dirname(os.path.dirname(__file__)), netc.grammar.__path__[0], records):
            for path in _files(top):
                with open(path, "rb") as file:
                    content = sha256(file.read()).digest()
                total.update(path[len(top) :].encode() + b"\0" + content)
    except OSError:
        return None
    return total.hexdigest()


def _files(folder: str) -> Iterator[str]:
    """Every file below a folder that Python or the compiler reads, in one order; a file itself."""
    if not os.path.isdir(folder):
        yield folder
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith((".py", ".net", ".lark")):
                yield entry.path
