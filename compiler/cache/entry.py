"""One program in the cache: its outline, and the machine code of each function made so far.

Invariant: an entry of other texts, another compiler or another processor is never read; one that
cannot be read, for whatever reason, is a miss.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netc.compiler.cache.keys import compiler_key, hashed, program_key
from netc.compiler.cache.plain import plain, restored
from netc.compiler.cache.store import Store, folder
from netc.compiler.outline import Outline
from netc.compiler.program import FunctionSpec, Manifest, Settings
from netc.grammar.folder import NoText
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision
    from netc.compiler.program import FunctionName
    from netc.grammar.folder import Imported, Library
    from netc.grammar.source import Source


@record
class Entry:
    """The files of one program; without a store there are none and none are made."""

    store: Store | None
    key: str

    def outline(self, library: Library | None) -> Outline | None:
        """The outline, if its imports still have the texts that they had."""
        found = self._read("outline")
        if found is None:
            return None
        try:
            kept = json.loads(found)
            imports = _unchanged(kept["imports"], library)
            return None if imports is None else _outline(kept, imports)
        except (ValueError, TypeError, KeyError):
            return None

    def keep_outline(self, outline: Outline) -> None:
        """Keeps the outline for later processes."""
        from netc.compiler.ops.text import show  # noqa: PLC0415 - only where there is a store

        if self.store is not None:
            kept = {
                "imports": [[i.path, i.file, _digest(i.source)] for i in outline.imports],
                "manifest": plain(outline.manifest),
                "settings": plain(outline.settings),
                "initial": show(outline.initial),
                "over data": show(outline.over_data),
            }
            self._write("outline", json.dumps(kept).encode())

    def code(self, part: str) -> bytes | None:
        """An object file that has no description."""
        return self._read(part)

    def keep_code(self, part: str, code: bytes) -> None:
        """Keeps an object file for later processes."""
        self._write(part, code)

    def function(self, name: FunctionName) -> tuple[bytes, FunctionSpec] | None:
        """Object file and description of a function."""
        found = self._read(name)
        if found is None:
            return None
        head, _, code = found.partition(b"\n")
        try:
            return code, restored(FunctionSpec, json.loads(head))
        except (ValueError, TypeError):
            return None

    def keep_function(self, code: bytes, spec: FunctionSpec) -> None:
        """Keeps a function for later processes."""
        self._write(spec.name, json.dumps(plain(spec)).encode() + b"\n" + code)

    def with_imports(self, imports: Sequence[Imported]) -> Entry:
        """The entry of the functions: they depend on the texts of the imports too."""
        parts = (part for i in imports for part in (i.path, i.file, _digest(i.source)))
        return self.varied(*parts)

    def varied(self, *parts: str) -> Entry:
        """The entry of a program that differs by what `parts` say."""
        return Entry(self.store, hashed(self.key, *parts))

    def _read(self, part: str) -> bytes | None:
        return None if self.store is None else self.store.read(f"{self.key}.{part}")

    def _write(self, part: str, content: bytes) -> None:
        if self.store is not None:
            self.store.write(f"{self.key}.{part}", content)


def entry(
    source: Source,
    library: Library | None,
    precision: Precision,
    defines: Mapping[str, int | float | bool | str],
    target: Target,
    llvm: str,
) -> Entry:
    """Where the program of a text is kept; `llvm` names the code generator."""
    where = folder()
    place = "" if library is None else library.main
    made = compiler_key(target, llvm) if where else None
    if where is None or made is None:
        return Entry(None, "")
    return Entry(Store(where), program_key(source.text, place, precision, defines, made))


def of_compiler(target: Target, llvm: str) -> Entry:
    """Where is kept what does not depend on a text."""
    where, key = folder(), compiler_key(target, llvm)
    return Entry(Store(where) if where and key else None, key or "")


def _outline(kept: Mapping[str, Any], imports: tuple[Imported, ...]) -> Outline:
    from netc.compiler.ops.reader import read  # noqa: PLC0415 - only for what is in the cache

    return Outline(
        restored(Manifest, kept["manifest"]),
        restored(Settings, kept["settings"]),
        read(kept["initial"]),
        read(kept["over data"]),
        imports,
    )


def _unchanged(
    kept: Sequence[tuple[str, str, str]], library: Library | None
) -> tuple[Imported, ...] | None:
    """The imports of an entry as they are now; None when one of them is another text."""
    found = []
    for path, file, digest in kept:
        try:
            now = None if library is None else library.find("", path)
        except NoText:
            return None
        if now is None or now.file != file or _digest(now.source) != digest:
            return None
        found.append(now)
    return tuple(found)


def _digest(source: Source) -> str:
    return hashed(source.text)
