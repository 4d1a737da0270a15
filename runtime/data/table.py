"""`.csv` tables: a header line, one sample a line; all columns but the target form the input.

Invariant: a number that cannot be read is reported with its line and its column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.records import record
from netc.runtime.data.binding import Arrays, fitted, only_input
from netc.runtime.errors import DataError, count, listing, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from netc.compiler.program import Manifest, PortSpec
    from netc.runtime.arrays import Array

Rows = Iterator[tuple[int, list[str]]]

_ROWS: Final = 4096  # converted at a time


@record
class Table:
    """A table as read: the columns of the input, and the texts of the target column."""

    path: Path
    columns: tuple[str, ...]
    numbers: Array  # float64[n, columns]
    target: tuple[str, ...] | None
    lines: tuple[int, ...]  # where each sample stands


@record
class TableUse:
    """How a run uses a table: its target column, and its text labels in the order of numbers."""

    target: str | None = None
    labels: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"target": self.target, "labels": None if self.labels is None else [*self.labels]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableUse:
        labels = data.get("labels")
        return cls(data.get("target"), None if labels is None else tuple(map(str, labels)))


def bind_table(path: Path, manifest: Manifest, use: TableUse) -> tuple[Arrays, TableUse]:
    """The arrays of a table for a net, and how its columns were used."""
    port = only_input(manifest, f"`{path}`")
    table, column = _read(path, manifest, use.target, port.missing)
    place = f"`{path}` without its target column" if table.target is not None else f"`{path}`"
    arrays: dict[str, Array] = {port.name: fitted(table.numbers, port, place)}
    labels = use.labels
    if table.target is not None and manifest.targets:
        target = manifest.targets[0]
        arrays[target.name], labels = _target(table, target, column, labels)
    return arrays, TableUse(column, labels)


def _read(
    path: Path, manifest: Manifest, target: str | None, missing: bool
) -> tuple[Table, str | None]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = tuple(name.strip() for name in next(reader, []))
            column = _target_column(path, header, manifest, target)
            rows = ((reader.line_num, row) for row in reader if row)
            return _table(path, rows, header, column, missing), column
    except UnicodeDecodeError as error:
        raise DataError(f"`{path}` is not UTF-8 text (byte {error.start})") from None
    except csv.Error as error:
        raise DataError(f"`{path}` is not a readable table: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror or error}") from None


def _target_column(
    path: Path, header: Sequence[str], manifest: Manifest, target: str | None
) -> str | None:
    """The target column: the one named, or the one that bears the name of the only target."""
    if not any(header):
        raise DataError(f"`{path}` is empty: the first line must name the columns")
    doubled = [n for i, n in enumerate(header) if n in header[:i]]
    if doubled:
        raise DataError(f"`{path}` has two columns named `{doubled[0]}`")
    if target is not None:
        if target not in header:
            help = suggestion(target, header)
            if len(header) == 1 and any(c in header[0] for c in ";\t"):
                help = "columns are separated by commas"
            raise DataError(f"`{path}` has no column `{target}`", help)
        return target
    if len(manifest.targets) > 1:
        names = listing(p.name for p in manifest.targets)
        raise DataError(
            f"the net has {len(manifest.targets)} targets ({names}), a table gives one",
            "pass an .npz file with arrays named like the inputs and targets",
        )
    only = next((p.name for p in manifest.targets), None)
    return only if only in header else None


def _table(
    path: Path, samples: Rows, header: Sequence[str], column: str | None, missing: bool
) -> Table:
    place = header.index(column) if column is not None else None
    columns = tuple(n for n in header if n != column)
    blocks: list[Array] = []
    texts: list[str] = []
    lines: list[int] = []
    for rows, numbers in _blocks(path, samples, len(header)):
        if place is not None:
            texts.extend(row.pop(place).strip() for row in rows)
        blocks.append(_numbers(path, rows, columns, numbers, missing))
        lines.extend(numbers)
    if not blocks:
        raise DataError(f"`{path}` has no samples: only the line that names the columns")
    target = tuple(texts) if place is not None else None
    return Table(path, columns, np.concatenate(blocks), target, tuple(lines))


def _blocks(path: Path, samples: Rows, width: int) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Rows with their line numbers, some thousands at a time."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, row in samples:
        if len(row) != width:
            raise DataError(
                f"`{path}`, line {line}: expected {count(width, 'column')}, found {len(row)}"
            )
        rows.append(row)
        lines.append(line)
        if len(rows) == _ROWS:
            yield rows, lines
            rows, lines = [], []
    if rows:
        yield rows, lines


def _numbers(
    path: Path, rows: list[list[str]], columns: Sequence[str], lines: Sequence[int], missing: bool
) -> Array:
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
    except ValueError:
        pass
    found = np.empty((len(rows), len(columns)))
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            found[r, c] = _number(
                text, missing, f"`{path}`, line {lines[r]}, column `{columns[c]}`"
            )
    return found


def _number(text: str, missing: bool, place: str) -> float:
    if not text.strip():
        if missing:
            return float("nan")
        raise DataError(f"{place}: the value is missing", "declare the input as `missing`")
    try:
        return float(text)
    except ValueError:
        raise DataError(
            f"{place}: `{text.strip()}` is not a number",
            "text is allowed in the target column only",
        ) from None


def _target(
    table: Table, port: PortSpec, column: str | None, labels: tuple[str, ...] | None
) -> tuple[Array, tuple[str, ...] | None]:
    """The target column as numbers; text labels are sorted and numbered."""
    texts = table.target or ()
    if labels is None:
        values = [_float(t) for t in texts]
        if None not in values:
            return np.array(values, np.float64).reshape(len(texts), *port.shape), None
        if port.kind != "class":
            wrong = values.index(None)
            raise DataError(
                f"`{table.path}`, line {table.lines[wrong]}, column `{column}`: "
                f"`{texts[wrong]}` is not a number, and target `{port.name}` is not a class",
                f"declare `target {port.name}: class[{len(set(texts))}]`",
            )
        labels = tuple(sorted(set(texts) - {""}))
        if len(labels) > (port.classes or 0):
            raise DataError(
                f"column `{column}` of `{table.path}` has {len(labels)} labels "
                f"({listing(labels)}), target `{port.name}` is class[{port.classes}]"
            )
    numbers = {label: i for i, label in enumerate(labels)}
    if port.missing:
        numbers.setdefault("", -1)
    for text, line in zip(texts, table.lines, strict=True):
        if text not in numbers:
            what = f"the label `{text}` is unknown" if text else "the label is missing"
            raise DataError(
                f"`{table.path}`, line {line}, column `{column}`: {what}",
                f"the labels are {listing(labels)}",
            )
    return np.array([numbers[t] for t in texts], np.int64), labels


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
