"""Pretty printing: documents of text, possible line breaks and comments, fitted to a width.

A group is printed on one line if it fits, else each of its own lines breaks (after Wadler, "A
prettier printer", 2003). Invariant: a line break is held back until text follows it, so that a
comment can still join the line it belongs to and nothing ends in spaces.
"""

from __future__ import annotations

from typing import Final

from netc.records import record

WIDTH: Final = 100
INDENT: Final = 2


@record
class Line:
    """A break of the enclosing group, or `flat` where the group fits on a line."""

    flat: str = " "


@record
class HardLine:
    """A break in any case; with `blank` an empty line before it, except after an opening brace."""

    blank: bool = False


@record
class Comment:
    """A comment; `trailing` ones stay on the line of the text before them."""

    text: str
    trailing: bool


@record
class Nest:
    """A part whose lines are indented once more."""

    content: Doc


@record
class Group:
    """A part that is broken as a whole or not at all."""

    content: Doc


Doc = str | Line | HardLine | Comment | Nest | Group | tuple["Doc", ...]

_Command = tuple[int, bool, Doc]
"""Indentation, whether lines are flat, and what to print."""


def layout(doc: Doc) -> str:
    """The text of a document, lines at most `WIDTH` columns wide where its breaks allow."""
    page = _Page()
    todo: list[_Command] = [(0, False, doc)]
    while todo:
        indent, flat, part = todo.pop()
        match part:
            case str():
                page.write(part, indent)
            case tuple():
                todo.extend((indent, flat, p) for p in reversed(part))
            case Nest(content):
                todo.append((indent + INDENT, flat, content))
            case Group(content):
                fits = flat or _fits(WIDTH - page.column(), content, todo)
                todo.append((indent, fits, content))
            case Line(text) if flat:
                page.write(text, indent)
            case Line():
                page.break_line(indent, blank=False)
            case HardLine(blank):
                page.break_line(indent, blank=blank)
            case Comment(text, trailing):
                page.comment(text, indent, trailing=trailing)
    return page.text()


class _Page:
    """The text so far, with the line break that awaits the next text."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self.indent: int | None = None
        self.blank = False
        self.commented = False

    def column(self) -> int:
        return len(self.lines[-1]) if self.indent is None else self.indent

    def break_line(self, indent: int, *, blank: bool) -> None:
        self.indent = indent
        self.blank = self.blank or blank

    def write(self, text: str, indent: int) -> None:
        if not text:
            return
        if self.commented and self.indent is None:
            self.indent = indent
        if self.indent is not None:
            self._start_line(self.indent)
        self.lines[-1] += text

    def comment(self, text: str, indent: int, *, trailing: bool) -> None:
        if trailing and not self.commented and self.lines[-1]:
            self.lines[-1] = f"{self.lines[-1].rstrip()}  {text}"
        else:
            self._start_line(indent)
            self.lines[-1] += text
        self.commented = True

    def text(self) -> str:
        text = "\n".join(self.lines)
        return f"{text}\n" if text else ""

    def _start_line(self, indent: int) -> None:
        if self.blank and self.lines[-1] and not self.lines[-1].endswith("{"):
            self.lines.append("")
        if self.lines != [""]:
            self.lines.append("")
        self.lines[-1] = " " * indent
        self.indent, self.blank, self.commented = None, False, False


def _fits(room: int, content: Doc, rest: list[_Command]) -> bool:
    """Whether the content, flat, and what follows it up to the next break need no more columns."""
    todo: list[tuple[bool, Doc]] = [(True, content)]
    following = len(rest)
    inside = True
    while room >= 0:
        if not todo:
            inside = False
            if following == 0:
                return True
            following -= 1
            _, flat, part = rest[following]
            todo.append((flat, part))
        flat, part = todo.pop()
        match part:
            case str():
                room -= len(part)
            case tuple():
                todo.extend((flat, p) for p in reversed(part))
            case Nest(inner) | Group(inner):
                todo.append((flat, inner))
            case Line(text) if flat:
                room -= len(text)
            case Line():
                return True
            case HardLine() | Comment():
                return not inside
    return False
