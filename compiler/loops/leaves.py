"""Values that are made where they are used: draws of random numbers and entries of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import Affine, Draw
from netc.compiler.plan.storage import row_major

if TYPE_CHECKING:
    from netc.compiler.loops.loops import Operand
    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.ops.source import Random, Table


def table(writer: Writer, op: Table, index: Index) -> Operand:
    """Tables are short: the value is selected by position."""
    position = writer.position(_flat(op.shape, index))
    if isinstance(position, float):
        return op.values[int(position)]
    value: Operand = op.values[0]
    for i, number in enumerate(op.values[1:], 1):
        value = writer.compute("where", writer.compute("eq", position, float(i)), number, value)
    return value


def draw(writer: Writer, op: Random, index: Index) -> str:
    """One number for each element, and sample where it is batched."""
    if writer.flat and op.shape:
        columns = row_major(op.shape)[0] if len(op.shape) > 1 else 0
        element = index[0] * columns + index[1]
    else:
        element = _flat(op.shape, index)
    name = writer.name()
    if op.batched:
        assert writer.block is not None
        writer.add(Draw(name, op.path, element, writer.block * writer.lanes, "samples"))
    else:
        along = writer.is_wide(element, batched=False)
        writer.add(Draw(name, op.path, element, Affine(), "elements" if along else "none"))
    return name


def _flat(shape: tuple[int, ...], index: Index) -> Affine:
    element = Affine()
    for axis, stride in zip(index, row_major(shape), strict=True):
        element += axis * stride
    return element
