"""LLVM text of a kernel with a comment on every line: where the statement behind it comes from.

Invariant: without its comments the text is the one that is compiled. A line that was moved out of a
loop has the comment of the statement that needed it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.compiler.backend.emit_kernel import KernelEmitter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision
    from netc.compiler.loops.loops import Kernel, Statement


class Line(str):
    """A line of text with a note."""

    __slots__ = ("note",)

    note: str


class NotedLines(list[str]):
    """Lines that take the emitter's present note when they are added."""

    def __init__(self, emitter: NotedEmitter) -> None:
        super().__init__()
        self._emitter = emitter

    def append(self, line: str) -> None:
        super().append(_noted(line, self._emitter.note))

    def __setitem__(self, place: Any, line: Any) -> None:  # noqa: ANN401 - as in `list`
        super().__setitem__(place, _noted(line, getattr(self[place], "note", "")))


def _noted(line: str, note: str) -> str:
    """A line with its note; labels and the marks of hoisted code stay as they are."""
    if not note or not line.startswith("  "):
        return line
    new = Line(line)
    new.note = note
    return new


class NotedEmitter(KernelEmitter):
    """Emits a kernel with the notes of its statements, which are found by identity."""

    def __init__(
        self,
        kernel: Kernel,
        precision: Precision,
        target: Target,
        scalars: Sequence[str],
        notes: Mapping[int, str],
    ) -> None:
        super().__init__(kernel, precision, target, scalars, {})
        self.note = ""
        self._notes = notes
        self.b.lines = NotedLines(self)

    def statement(self, statement: Statement) -> None:
        around, self.note = self.note, self._notes.get(id(statement), "")
        super().statement(statement)
        self.note = around

    def _open_segment(self) -> None:
        super()._open_segment()
        marker, lines = list(self.markers.items())[-1]
        self.segments[-1].lines = self.markers[marker] = NotedLines(self)
        assert not lines

    def _expanded(self, lines: list[str]) -> list[str]:
        return [
            f"{line}  ; {line.note}" if isinstance(line, Line) else line
            for line in super()._expanded(lines)
        ]
