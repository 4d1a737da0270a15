"""Kernels of `Gather` and `Scatter`: elements at places that are numbers of the run.

Each place is read once, outside the loops over the axes behind it. An index that names no place
reads place 0 instead, and what comes of it is 0: no access leaves its buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import (
    Affine,
    Count,
    Load,
    LoadRows,
    Operand,
    Place,
    Places,
    Quotient,
    Store,
    var,
)
from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.plan.storage import storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.plan.plan import Store as PlannedStore


def write_gather(writer: Writer, store: PlannedStore) -> None:
    """The picked elements, along vectors of the last axis where values are not batched."""
    node = store.node
    assert isinstance(node.op, Gather)
    picked = node.op.axis + node.args[1].type.rank
    outer, inner = node.type.shape[:picked], node.type.shape[picked:]

    def elements() -> None:
        with writer.loops(outer) as at:
            element = _element(writer, node, at)
            with writer.loops(inner) as rest:
                writer.store(store.buffer, node, (*at, *rest), element(rest))

    def vectors() -> None:
        with writer.loops(outer) as at:
            element = _element(writer, node, at)
            with writer.loops(inner[:-1]) as rest, writer.along_lanes(inner[-1]) as lane:
                index = (*rest, lane)
                writer.store(store.buffer, node, (*at, *index), element(index))

    whole = node.type.rank <= 2 or (inner and inner[-1] % writer.lanes == 0)
    if inner and whole and not node.type.batched:
        writer.attempt(vectors, elements)
    else:
        elements()


def _element(writer: Writer, node: Node, at: Index) -> Callable[[Index], Operand]:
    """What is picked where the axes before the place and those of the indices are `at`."""
    assert isinstance(node.op, Gather)
    (x, indices), axis = node.args, node.op.axis
    size = x.type.shape[axis]
    inside, number = _checked(writer, writer.value(indices, at[axis:]), size)
    name = writer.name("p")
    if indices.type.batched:
        stored = storage(x.type, writer.lanes)
        writer.add(Places(name, number, size, stored.strides[axis], x.type.batched))
        start = Affine()
    else:
        writer.add(Place(name, number, size))
        writer.extents[name] = size
        start = var(name)

    def element(rest: Index) -> Operand:
        index = (*at[:axis], start, *rest)
        if not indices.type.batched:
            return writer.compute("where", inside, writer.value(x, index), 0.0)
        found = writer.name()
        buffer = writer.number(writer.plan.where[x])
        writer.add(LoadRows(found, buffer, name, 1, writer.offset(x, index)))
        return writer.compute("where", inside, found, 0.0)

    return element


def _checked(writer: Writer, number: Operand, size: int) -> tuple[str, str]:
    """Whether an index names a place, and the index where it does, else 0."""
    low = writer.compute("ge", number, 0.0)
    high = writer.compute("lt", number, float(size))
    inside = writer.compute("and", low, high)
    return inside, writer.compute("where", inside, number, 0.0)


# -- the transpose ---------------------------------------------------------------------------------


def write_scatter(writer: Writer, store: PlannedStore) -> None:
    """Zeros, then one addition after the other: sample by sample where lanes would meet.

    Indices of each sample are read one number at a time, so two samples, or two places of one
    sample, never add to an element at once.
    """
    node = store.node
    assert isinstance(node.op, Scatter)
    _clear(writer, store)
    if node.op.sum_batch:
        with writer.loop(Count("B"), hint="s") as sample:
            parts = []
            for remainder in (False, True):
                parts.append(writer.name("q"))
                writer.add(Quotient(parts[-1], sample, writer.lanes, remainder))
            writer.block = var(parts[0])
            _add(writer, store, var(parts[1]))
            writer.block = None
    elif node.args[1].type.batched:
        with writer.loop(writer.lanes, hint="s") as lane:
            _add(writer, store, lane)
    else:
        _add(writer, store, None)


def _clear(writer: Writer, store: PlannedStore) -> None:
    type_ = store.node.type
    if type_.batched:
        with writer.loops(type_.shape) as index:
            writer.store(store.buffer, store.node, index, 0.0)
        return
    rows = type_.shape[0] if type_.rank > 1 else 1
    writer.flat = True
    with writer.loop(rows) as row, writer.along_lanes(type_.size // rows) as column:
        writer.store(store.buffer, store.node, (row, column), 0.0)
    writer.flat = False


def _add(writer: Writer, store: PlannedStore, lane: Affine | None) -> None:
    """Adds the values of one lane, or of all lanes at once when the indices are the same there."""
    node = store.node
    assert isinstance(node.op, Scatter)
    (values, indices), axis, rank = node.args, node.op.axis, node.args[1].type.rank
    shape = values.type.shape
    with writer.loops(shape[: axis + rank]) as at:
        index = _read(writer, indices, at[axis:], lane)
        inside, number = _checked(writer, index, node.op.size)
        place = writer.name("p")
        writer.add(Place(place, number, node.op.size))
        with writer.loops(shape[axis + rank :]) as rest:
            value = _read(writer, values, (*at, *rest), lane)
            added = writer.compute("where", inside, value, 0.0)
            _accumulate(writer, store, (*at[:axis], var(place), *rest), added, lane)


def _read(writer: Writer, node: Node, index: Index, lane: Affine | None) -> Operand:
    """A value at an index: of the one lane when it is batched."""
    if lane is None or not node.type.batched:
        return writer.value(node, index)
    name = writer.name()
    offset = writer.offset(node, index) + lane
    writer.add(Load(name, writer.number(writer.plan.where[node]), offset, wide=False))
    return name


def _accumulate(
    writer: Writer, store: PlannedStore, index: Index, value: Operand, lane: Affine | None
) -> None:
    """Adds to an element of the result: in all lanes, or in one."""
    buffer, offset = writer.number(store.buffer), writer.offset(store.node, index)
    wide = store.node.type.batched and lane is None
    if store.node.type.batched and lane is not None:
        offset += lane
    before = writer.name()
    writer.add(Load(before, buffer, offset, wide))
    writer.add(Store(buffer, offset, writer.compute("add", before, value), wide))
