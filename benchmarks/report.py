"""Tables: plain rows first, then for the terminal or as Markdown.

In a Markdown text a table stands between `<!-- KEY -->` and `<!-- end -->`, and is replaced there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measure import Timing

NOTHING: Final = "–"
END: Final = "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first `left` columns are words, the others numbers."""

    key: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def rich(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(self.header):
            table.add_column(name, justify="left" if number < self.left else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        marks = ["---"] * self.left + ["---:"] * (len(self.header) - self.left)
        lines = [self.header, marks, *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def updated(text: str, parts: Mapping[str, str]) -> str:
    """A Markdown text with each part in its place; what has no place is left out."""
    for key, part in parts.items():
        old = re.compile(rf"<!-- {re.escape(key)} -->\n(.*?\n)??{END}\n", re.DOTALL)
        text = old.sub(lambda _, new=f"<!-- {key} -->\n\n{part}\n\n{END}\n": new, text)
    return text


def shown(timing: Timing | None) -> str:
    """Median, and the spread that half of the samples have around it."""
    if timing is None:
        return NOTHING
    return f"{microseconds(timing.median)} ±{timing.spread / 2:.0%}"


def plain(timing: Timing | None) -> str:
    """The median alone."""
    return NOTHING if timing is None else microseconds(timing.median)


def microseconds(seconds: float) -> str:
    found = seconds * 1e6
    return f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f}"


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f}"
