"""LLVM text with line tables: every kernel a subprogram, every instruction a place of the text.

Invariant: without the metadata the text is the same, so the machine code is too. What has no line,
addresses that are computed ahead for instance, has line 0, which debuggers pass over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.emit_kernel import KernelEmitter
from netc.compiler.loops.loops import For
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision
    from netc.compiler.loops.loops import Kernel, Statement
    from netc.grammar.source import Source, Span

_DWARF: Final = 4
"""The newest version that all of gdb, perf and objdump have long read."""


@record
class Places:
    """Where statements of the text `main` come from; None for what no line has."""

    of_statement: Callable[[Kernel, Statement], Span | None]
    main: Source


class LineTable:
    """The metadata of one module in the making.

    `emit` stands for `emit_kernel`; `text` follows the functions in the module.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._nodes: dict[str, int] = {}
        unit = (
            f"distinct !DICompileUnit(language: DW_LANG_C99, file: {self._file(places.main)}, "
            'producer: "netc", isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug)'
        )
        self._unit = self._node(unit)
        self._type = self._node("!DISubroutineType(types: !{})")
        flags = [("Debug Info Version", 3), ("Dwarf Version", _DWARF)]
        self._flags = [self._node(f'!{{i32 2, !"{name}", i32 {n}}}') for name, n in flags]

    def emit(
        self,
        kernel: Kernel,
        name: str,
        precision: Precision,
        target: Target,
        scalars: Sequence[str],
        declarations: dict[str, None],
    ) -> str:
        """The text of one kernel as an internal function `name`, with lines."""
        found = (self._places.of_statement(kernel, s) for s in _in_order(kernel.body))
        place = next(filter(None, found), None)
        source = self._places.main if place is None else place.source
        line = 0 if place is None else place.line
        file = self._file(source)
        scope = self._node(
            f'distinct !DISubprogram(name: "{name}", scope: {file}, file: {file}, line: {line}, '
            f"scopeLine: 0, type: {self._type}, unit: {self._unit}, "
            "spFlags: DISPFlagLocalToUnit | DISPFlagDefinition | DISPFlagOptimized)"
        )

        def location(statement: Statement) -> str | None:
            found = self._places.of_statement(kernel, statement)
            return None if found is None else self._location(found, scope, source)

        emitter = _LinesEmitter(kernel, precision, target, scalars, declarations)
        emitter.location = location
        head, *body = emitter.function(name).split("\n")
        nowhere = self._node(f"!DILocation(line: 0, scope: {scope})")
        _mark(body, 0, nowhere)
        return "\n".join((f"{head.removesuffix(' {')} !dbg {scope} {{", *body))

    def text(self) -> str:
        """All metadata; what was emitted refers to it."""
        heads = [f"!llvm.dbg.cu = !{{{self._unit}}}"]
        heads.append(f"!llvm.module.flags = !{{{', '.join(self._flags)}}}")
        return "\n".join([*heads, *(f"!{n} = {text}" for text, n in self._nodes.items()), ""])

    def _location(self, place: Span, scope: str, source: Source) -> str:
        if place.source.name != source.name:
            file = self._file(place.source)
            block = f"!DILexicalBlockFile(scope: {scope}, file: {file}, discriminator: 0)"
            scope = self._node(block)
        numbers = f"line: {place.line}, column: {place.column}"
        return self._node(f"!DILocation({numbers}, scope: {scope})")

    def _file(self, source: Source) -> str:
        path = Path(source.name)
        folder = path.absolute().parent
        return self._node(f"!DIFile(filename: {_quoted(path.name)}, directory: {_quoted(folder)})")

    def _node(self, text: str) -> str:
        """A reference to the metadata node with this text."""
        return f"!{self._nodes.setdefault(text, len(self._nodes))}"


class _LinesEmitter(KernelEmitter):
    """Marks the instructions of each statement with its place."""

    location: Callable[[Statement], str | None]

    def statement(self, statement: Statement) -> None:
        start = len(self.b.lines)
        super().statement(statement)
        found = self.location(statement)
        if found is not None:
            _mark(self.b.lines, start, found)


def _in_order(body: Sequence[Statement]) -> Iterator[Statement]:
    """What is computed, in the order of the text; a loop is where its first statement is."""
    for statement in body:
        if isinstance(statement, For):
            yield from _in_order(statement.body)
        else:
            yield statement


def _mark(lines: list[str], start: int, place: str) -> None:
    """Gives a place to instructions that have none yet."""
    for number, line in enumerate(lines[start:], start):
        if line.startswith("  ") and ", !dbg !" not in line:
            lines[number] = f"{line}, !dbg {place}"


def _quoted(text: object) -> str:
    """A string of LLVM; what could end it is written as hexadecimal."""
    escaped = re.sub(r"[^ !#-\[\]-~]", lambda m: _hexadecimal(m[0]), str(text))
    return f'"{escaped}"'


def _hexadecimal(character: str) -> str:
    return "".join(f"\\{byte:02X}" for byte in character.encode())
