"""The text of kernels: what `netc ir --stage loops` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import (
    AddSums,
    Bind,
    Compute,
    Draw,
    For,
    Guard,
    Kernel,
    Load,
    LoadRows,
    Mask,
    Operand,
    PackRows,
    Place,
    Places,
    Position,
    Prefetch,
    Quotient,
    ReadScalar,
    Rows,
    Statement,
    Store,
    StoreResult,
    StoreRows,
    TransposeTile,
    Within,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def show_kernel(
    kernel: Kernel, buffers: Sequence[str], notes: Mapping[int, str] | None = None
) -> str:
    """The statements of a kernel; `buffers` are the names of its buffers in order.

    `notes` are comments on statements, by their identity.
    """
    names = dict(enumerate(buffers))
    names |= {-n: f"tile{n}" for n in range(1, len(kernel.scratch) + 1)}
    lines = [f"  tile{n}: {size} elements" for n, size in enumerate(kernel.scratch, 1)]
    for statement in kernel.body:
        lines += _lines(statement, names, 1, notes or {})
    return "\n".join(lines)


def _lines(
    statement: Statement, names: dict[int, str], depth: int, notes: Mapping[int, str]
) -> list[str]:
    indent = "  " * depth
    note = f"  # {notes[id(statement)]}" if id(statement) in notes else ""
    if not isinstance(statement, For):
        return [indent + _line(statement, names) + note]
    head = f"{indent}for {statement.variable} in {statement.extent}"
    if statement.split:
        head = f"{indent}last part" if statement.extent == 1 else f"{head}, this part"
    if statement.carries:
        carried = (f"{c.name} = {_text(c.initial)}" for c in statement.carries)
        head += f" carrying {', '.join(carried)}"
    lines = [head + note]
    for inner in statement.body:
        lines += _lines(inner, names, depth + 1, notes)
    if statement.carries:
        following = (f"{c.name} <- {_text(c.next)}" for c in statement.carries)
        lines.append(f"{indent}  {', '.join(following)}{note}")
        results = ", ".join(c.result for c in statement.carries)
        lines.append(f"{indent}giving {results}{note}")
    return lines


def _text(operand: Operand) -> str:
    return operand if isinstance(operand, str) else f"{operand:g}"


def _line(statement: Statement, names: dict[int, str]) -> str:  # noqa: C901 - one case each
    match statement:
        case Load(name, buffer, index, wide, step, live):
            along = f" .. by {step}" if step != 1 else " .."
            lanes = "" if live is None else f" lanes {live[0]} to {live[1]}"
            return f"{name} = {names[buffer]}[{index}{along if wide else ''}]{lanes}"
        case Store(buffer, index, value, wide, live):
            along = " .." if live is None else f" .. {live}"
            return f"{names[buffer]}[{index}{along if wide else ''}] = {_text(value)}"
        case AddSums(buffer, indices, values):
            places = ", ".join(f"{names[buffer]}[{index}]" for index in indices)
            return f"{places} += sums of {', '.join(map(_text, values))}"
        case Prefetch(buffer, index):
            return f"prefetch {names[buffer]}[{index}]"
        case Compute(name, op, args):
            return f"{name} = {op} {', '.join(map(_text, args))}"
        case Bind(name, count):
            return f"{name} = {count}"
        case Quotient(name, index, divisor, remainder):
            return f"{name} = ({index}) {'%' if remainder else '//'} {divisor}"
        case Within(first, count, index, step, length, extent):
            terms = f"{step} r" if step > 1 else "r"
            return f"{first}, {count} = rounds r < {extent} with 0 <= {index} + {terms} < {length}"
        case Guard(name, clamped, index, length):
            return f"{name}, {clamped} = guard 0 <= {index} < {length}"
        case Position(name, index, wide):
            return f"{name} = position {index}{' ..' if wide else ''}"
        case Mask(name, index, limit):
            return f"{name} = {index} .. < {limit}"
        case Draw(name, path, element, sample, lanes):
            return f'{name} = uniform "{path}" element {element} sample {sample} along {lanes}'
        case ReadScalar(name, scalar):
            return f"{name} = scalar {scalar}"
        case TransposeTile():
            s = statement
            source = f"{names[s.source]}[{s.index} .. + {s.step} i], i < {s.valid}"
            return f"{names[s.target]}[{s.target_index} .. + {s.stride} i] = transpose {source}"
        case Place(name, value, limit):
            return f"{name} = place {_text(value)} < {limit}"
        case Places(name, value, limit, step, apart):
            factor = "" if step == 1 else f"{step} "
            along = " + .." if apart else ""
            return f"{name} = {factor}places {_text(value)} < {limit}{along}"
        case Rows(name, index):
            return f"{name} = rows {index} .."
        case LoadRows(name, buffer, rows, size, element):
            return f"{name} = {names[buffer]}[{size} {rows} + {element}]"
        case PackRows(buffer, rows, size, target, index):
            return f"{names[target]}[{index} ..] = all {size} of {names[buffer]}[{rows}]"
        case StoreRows(buffer, first, size, element, value):
            return f"{names[buffer]}[{size} ({first} ..) + {element}] = {_text(value)}"
        case StoreResult(buffer, index, value):
            return f"{names[buffer]}[{index}] = {_text(value)}"
        case For():
            raise AssertionError("loops have several lines")
