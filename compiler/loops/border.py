"""Kernels at the border of a function: the caller's rows to blocks of samples and back, results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import (
    Affine,
    Load,
    LoadRows,
    PackRows,
    Rows,
    Store,
    StoreResult,
    StoreRows,
)
from netc.compiler.plan.storage import storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node, Output
    from netc.compiler.loops.writer import Writer
    from netc.compiler.plan.plan import Buffer
    from netc.compiler.plan.plan import Store as PlannedStore


def write_pack(writer: Writer, store: PlannedStore, rows_buffer: Buffer) -> None:
    """The caller's rows (of the minibatch, when an order is given) into blocks of samples.

    A value without a batch is the row of one sample, and there is no order.
    """
    if not store.node.type.batched:
        _write_row(writer, store.node, (rows_buffer, store.buffer), to_caller=False)
        return
    size = store.node.type.size
    source, target = writer.number(rows_buffer), writer.number(store.buffer)
    with writer.blocks() as block:
        rows = writer.name("rows")
        writer.add(Rows(rows, block * writer.lanes))
        if size >= writer.lanes:
            start = block * (size * writer.lanes)
            writer.add(PackRows(source, rows, size, target, start))
        else:
            with writer.loop(size) as element:
                name = writer.name()
                writer.add(LoadRows(name, source, rows, size, element))
                index = (block * size + element) * writer.lanes
                writer.add(Store(target, index, name, wide=True))


def write_unpack(writer: Writer, output: Output, rows_buffer: Buffer) -> None:
    """Blocks of samples into the caller's rows; one row when there is one sample."""
    node = output.node
    if not node.type.batched:
        _write_row(writer, node, (writer.plan.where[node], rows_buffer), to_caller=True)
        return
    source, target = writer.number(writer.plan.where[node]), writer.number(rows_buffer)
    size = node.type.size
    with writer.blocks() as block, writer.loop(size) as element:
        name = writer.name()
        index = (block * size + element) * writer.lanes
        writer.add(Load(name, source, index, wide=True))
        writer.add(StoreRows(target, block * writer.lanes, size, element, name))


def _write_row(
    writer: Writer, node: Node, buffers: tuple[Buffer, Buffer], *, to_caller: bool
) -> None:
    """Copies one sample between the caller, where it is dense, and where its rows are padded."""
    shape = node.type.shape
    rows = shape[0] if len(shape) > 1 else 1
    columns = node.type.size // rows
    padded = storage(node.type, writer.lanes).strides[0] if rows > 1 else 0
    strides = (padded, columns) if to_caller else (columns, padded)
    source, target = (writer.number(b) for b in buffers)

    def copy(row: Affine, column: Affine, live: int) -> None:
        name = writer.name()
        first, second = (row * stride + column for stride in strides)
        writer.add(Load(name, source, first, wide=True, live=(0, live)))
        writer.add(Store(target, second, name, wide=True, live=live))

    whole, rest = divmod(columns, writer.lanes)
    with writer.loop(rows) as row:
        if whole:
            with writer.loop(whole, hint="l") as vector:
                copy(row, vector * writer.lanes, writer.lanes)
        if rest:
            copy(row, Affine(whole * writer.lanes), rest)


def write_results(
    writer: Writer, outputs: Sequence[Output], numbers: Sequence[int], to: Buffer
) -> None:
    """Single numbers into the caller's double-precision results."""
    for output, number in zip(outputs, numbers, strict=True):
        value = writer.value(output.node, ())
        writer.add(StoreResult(writer.number(to), number, value))


def write_copy(writer: Writer, source: Buffer, target: Buffer) -> None:
    """One buffer into another of the same layout."""
    lanes = writer.lanes
    origin, goal = writer.number(source), writer.number(target)
    with writer.loop(-(-source.elements // lanes), split=True) as chunk:
        name = writer.name()
        writer.add(Load(name, origin, chunk * lanes, wide=True))
        writer.add(Store(goal, chunk * lanes, name, wide=True))
