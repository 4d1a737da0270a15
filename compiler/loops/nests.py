"""Loop nests of stored values that are no products: elementwise ops and reductions."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from math import inf, prod
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.along_rows import along_rows, write_merged
from netc.compiler.loops.gather import write_gather, write_scatter
from netc.compiler.loops.groups import Nest, Part, group_batched
from netc.compiler.loops.loops import Affine, Count, Mask, Operand
from netc.compiler.loops.sweeps import IDENTITY, sweep, tile_of
from netc.compiler.loops.windows import COMBINE, reduced, write_fold, written_taps
from netc.compiler.loops.writer import Index, NotAlongLanesError, Writer
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.ops.movement import Concat, Pad
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Reduce
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Random, Source
from netc.compiler.ops.unfold import Fold
from netc.compiler.plan.indices import gathers, in_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Store

ACROSS_LANES: Final = {"sum": "reduce_add", "max": "reduce_max", "min": "reduce_min"}


def _group_unbatched(stores: Sequence[Store]) -> list[Nest]:
    """Neighbouring stores share a nest when each reads the others at its own index only."""
    nests: list[Nest] = []
    for store in stores:
        if nests and _shares(store, nests[-1]):
            together = (*nests[-1].stores, store)
            nests[-1] = Nest((), (Part(store.node.type.shape, together),))
        else:
            nests.append(Nest((), (Part(store.node.type.shape, (store,)),)))
    return nests


def _shares(store: Store, nest: Nest) -> bool:
    if not isinstance(store.node.op, Elementwise) or store.node.type != nest.first.type:
        return False
    if in_parts(nest.first) or isinstance(nest.first.op, BatchReduce | Reduce):
        return False
    inside = {s.node for s in nest.stores}
    overwritten = [n for s in nest.stores for n in s.scans if _is_source_of(n, store)]
    return not (store.scans & inside) and not overwritten


def _is_source_of(node: Node, store: Store) -> bool:
    op = node.op
    return isinstance(op, Source) and (op.space, op.name) == (
        store.buffer.region,
        store.buffer.name,
    )


def write_nests(writer: Writer, stores: Sequence[Store]) -> None:
    """All stores of one unit: batched ones under one loop over the blocks of samples."""
    if stores[0].node.type.batched:
        with writer.blocks():
            for nest in group_batched(stores, writer.plan.where):
                _write_batched(writer, nest)
        return
    nests = _group_unbatched(stores)
    split = _independent(nests, writer.plan.where)
    for unbatched in nests:
        _write_unbatched(writer, unbatched, split)


def _write_batched(writer: Writer, nest: Nest) -> None:
    if in_parts(nest.first):
        _write_parts(writer, nest.stores[0])
        return
    with writer.loops(nest.outer) as index:
        for part in nest.parts:
            write_sweep(writer, part, index)


def _independent(nests: Sequence[Nest], where: Mapping[Node, Buffer]) -> bool:
    """Whether no nest touches what another one writes: only then they can be shared out."""
    written = [{s.buffer for s in nest.stores} for nest in nests]
    read = [
        {where[n] for s in nest.stores for n in s.reads | s.scans if n in where} for nest in nests
    ]
    return all(
        written[i].isdisjoint(written[j] | read[j]) for i, j in permutations(range(len(nests)), 2)
    )


def _write_plain(writer: Writer, nest: Nest, split: bool = False) -> None:
    """Loops over the shape of the result."""
    if in_parts(nest.first):
        with writer.loop(1, split=split):
            _write_parts(writer, nest.stores[0])
        return
    with writer.loops(nest.first.type.shape, split=split) as index:
        write_at(writer, nest.stores, index)


def write_sweep(writer: Writer, part: Part, outer: Index) -> None:
    """The loops of one part: elementwise stores, and an accumulator for each reduction."""
    gathered = [s for s in part.stores if gathers(s.node)]
    others = [s for s in part.stores if not gathers(s.node)]
    kinds = [s.node.op.kind for s in gathered if isinstance(s.node.op, Reduce)]

    def at(inner: Index) -> list[Operand]:
        index = (*outer, *inner)
        write_at(writer, others, index)
        return [writer.value(s.node.args[0], index) for s in gathered]

    totals = sweep(writer, part.inner, kinds, at, tile_of(part, len(outer), writer.plan.where))
    for store, total in zip(gathered, totals, strict=True):
        writer.know(store.node, outer, total)
        writer.store(store.buffer, store.node, outer, total)


def write_at(writer: Writer, stores: Sequence[Store], index: Index) -> None:
    """Computes all stores at one index, then writes them: in-place results read old values."""
    values: list[Operand] = []
    for store in stores:
        value = _compute(writer, store, index)
        writer.know(store.node, index, value)
        values.append(value)
    for store, value in zip(stores, values, strict=True):
        writer.store(store.buffer, store.node, index, value)


def _compute(writer: Writer, store: Store, index: Index) -> Operand:
    node = store.node
    if writer.plan.where.get(node) is not store.buffer:
        return writer.value(node, index)
    match node.op:
        case Reduce():
            known = writer.known(node, index)
            return _reduce(writer, node, index) if known is None else known
        case Contract():
            return writer.value(node, index)
        case BatchReduce(kind=kind):
            return over_batch(writer, kind, lambda: writer.value(node.args[0], index))
    return writer.evaluate(node, index)


# -- reductions ------------------------------------------------------------------------------------


def _reduce(writer: Writer, node: Node, index: Index) -> Operand:
    assert isinstance(node.op, Reduce)
    source, axes = node.args[0], node.op.axes
    if written_taps(node) is not None:
        return reduced(writer, node, index)
    if node.op.kind in ("argmax", "argmin"):
        return _arg_reduce(writer, node, index)
    kind = node.op.kind
    wide = node.type.batched or writer.lane_axis is not None

    def at(inner: Index) -> Operand:
        return writer.value(source, _join(index, inner, axes, source.type.rank))

    sizes = [source.type.shape[a] for a in axes]
    return _accumulate(writer, sizes, (), kind, wide, at)


def _accumulate(
    writer: Writer,
    sizes: Sequence[int],
    inner: Index,
    kind: str,
    wide: bool,
    at: Callable[[Index], Operand],
) -> Operand:
    """Nested loops over the reduced axes, each with an accumulator of its own.

    Partial results of the inner axes bound the rounding error of long sums.
    """
    if len(inner) == len(sizes):
        return at(inner)
    if sizes[len(inner)] == 1:
        return _accumulate(writer, sizes, (*inner, Affine()), kind, wide, at)
    loop = writer.begin(sizes[len(inner)], [IDENTITY[kind]], wide, hint="k")
    value = _accumulate(writer, sizes, (*inner, loop.index), kind, wide, at)
    (result,) = writer.end(loop, [writer.compute(COMBINE[kind], loop.carried[0], value)])
    return result


def _arg_reduce(writer: Writer, node: Node, index: Index) -> Operand:
    """Position of the first extreme value, or of the first NaN, in the flattened axes."""
    assert isinstance(node.op, Reduce)
    source, axes = node.args[0], node.op.axes
    compare, start = ("gt", -inf) if node.op.kind == "argmax" else ("lt", inf)
    sizes = [source.type.shape[a] for a in axes]
    wide = node.type.batched or writer.lane_axis is not None
    loop = writer.begin(prod(sizes), [start, 0.0], wide, hint="k")
    best, best_position = loop.carried
    inner = (loop.index,) if len(sizes) == 1 else writer.unflatten(loop.index, tuple(sizes))
    value = writer.value(source, _join(index, inner, axes, source.type.rank))
    from_number = writer.compute("not", writer.compute("isnan", best))
    first_nan = writer.compute("and", writer.compute("isnan", value), from_number)
    better = writer.compute("or", writer.compute(compare, value, best), first_nan)
    position = writer.position(loop.index)
    following = [
        writer.compute("where", better, value, best),
        writer.compute("where", better, position, best_position),
    ]
    return writer.end(loop, following)[1]


def _join(outer: Index, inner: Index, axes: tuple[int, ...], rank: int) -> Index:
    """The index of the reduced operand, from the result's index and the reduced axes' index."""
    kept, reduced = iter(outer), iter(inner)
    return tuple(next(reduced) if axis in axes else next(kept) for axis in range(rank))


def over_batch(writer: Writer, kind: str, at: Callable[[], Operand]) -> Operand:
    """Combines a value over all samples; dead lanes of the last block never count."""
    loop = writer.begin(Count("blocks"), [IDENTITY[kind]], hint="b")
    outside, writer.block = writer.block, loop.index
    live = writer.name("live")
    writer.add(Mask(live, loop.index * writer.lanes, "B"))
    value = writer.compute("keep", live, at(), IDENTITY[kind])
    writer.block = outside
    (lanes,) = writer.end(loop, [writer.compute(COMBINE[kind], loop.carried[0], value)])
    return writer.compute(ACROSS_LANES[kind], lanes)


# -- unbatched nests -------------------------------------------------------------------------------


def _write_unbatched(writer: Writer, nest: Nest, split: bool) -> None:
    """Along vectors where every access allows it, else element by element."""
    store, where = nest.stores[0], writer.plan.where

    def rows() -> None:
        shape = nest.first.type.shape
        along_rows(writer, shape, lambda at: write_at(writer, nest.stores, at), split=split)

    result, plain = (partial(way, writer, nest, split) for way in (_along_result, _write_plain))
    if where.get(store.node) is not store.buffer:
        writer.attempt(result, rows, plain)
    elif in_parts(nest.first) or isinstance(nest.first.op, BatchReduce):
        _write_plain(writer, nest, split)
    elif all(_is_flat(s.node, where) for s in nest.stores):
        _write_flat(writer, nest, split)
    elif isinstance(nest.first.op, Reduce):
        writer.attempt(result, partial(_along_reduced, writer, nest, split), rows, plain)
    elif len(nest.stores) == 1:
        merged = partial(write_merged, writer, store, split=split)
        writer.attempt(result, merged, rows, plain)
    else:
        writer.attempt(result, rows, plain)


def _is_flat(node: Node, stored: Container[Node]) -> bool:
    """Whether a node is elementwise down to values of its own shape and single numbers."""
    if not isinstance(node.op, Elementwise) or node.type.rank == 0:
        return False
    stack, seen = list(node.args), set(node.args)
    while stack:
        inner = stack.pop()
        single = inner.type.rank == 0
        if not single and inner.type.shape != node.type.shape:
            return False
        if inner in stored or isinstance(inner.op, Constant | Random | Source):
            continue
        spread = isinstance(inner.op, Broadcast) and inner.args[0].type.rank == 0
        if not spread and not isinstance(inner.op, Elementwise):
            return False
        fresh = [a for a in inner.args if a not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return True


def _write_flat(writer: Writer, nest: Nest, split: bool) -> None:
    """Rows of whole vectors; the padding of a row is computed along with it."""
    type_ = nest.first.type
    rows = type_.shape[0] if type_.rank > 1 else 1
    columns = type_.size // rows
    writer.flat = True
    with writer.vectors([rows], columns, split=split) as index:
        write_at(writer, nest.stores, index)
    writer.flat = False


def _require_whole_vectors(writer: Writer, node: Node) -> None:
    """A vector may run over the end of a padded row, never over the end of an inner axis."""
    if node.type.rank == 0 or (node.type.rank > 2 and node.type.shape[-1] % writer.lanes):
        raise NotAlongLanesError


def _along_result(writer: Writer, nest: Nest, split: bool) -> None:
    """The last axis of the result along the lanes."""
    for store in nest.stores:
        _require_whole_vectors(writer, store.node)
    *outer, last = nest.first.type.shape
    with writer.vectors(outer, last, split=split) as index:
        write_at(writer, nest.stores, index)


def _along_reduced(writer: Writer, nest: Nest, split: bool) -> None:
    """The last axis of the reduced operand along the lanes."""
    node = nest.first
    assert isinstance(node.op, Reduce)
    source, axes, kind = node.args[0], node.op.axes, node.op.kind
    _require_whole_vectors(writer, source)
    if source.type.rank - 1 not in axes or kind not in ACROSS_LANES:
        raise NotAlongLanesError
    with writer.loops(node.type.shape, split=split) as index:
        (store,) = nest.stores
        total = _over_lanes(writer, node, index)
        writer.store(store.buffer, node, index, writer.compute(ACROSS_LANES[kind], total))


def _over_lanes(writer: Writer, node: Node, index: Index) -> Operand:
    """The vector of partial results of all reduced axes; the last runs along the lanes."""
    assert isinstance(node.op, Reduce)
    source, axes, kind = node.args[0], node.op.axes, node.op.kind
    last = source.type.shape[-1]

    def row(inner: Index) -> Operand:
        chunk = writer.begin(-(-last // writer.lanes), [IDENTITY[kind]], hint="k")
        outside, writer.lane_axis = writer.lane_axis, chunk.variable
        lane = chunk.index * writer.lanes
        value = writer.value(source, _join(index, (*inner, lane), axes, source.type.rank))
        if last % writer.lanes:
            live = writer.name("live")
            writer.add(Mask(live, lane, last))
            value = writer.compute("keep", live, value, IDENTITY[kind])
        writer.lane_axis = outside
        (result,) = writer.end(chunk, [writer.compute(COMBINE[kind], chunk.carried[0], value)])
        return result

    sizes = [source.type.shape[a] for a in axes[:-1]]
    return _accumulate(writer, sizes, (), kind, wide=True, at=row)


# -- values in parts -------------------------------------------------------------------------------


def _write_parts(writer: Writer, store: Store) -> None:
    """Pad: zeros, then the operand inside. Concat: one operand after the other."""
    node = store.node
    match node.op:
        case Gather():
            write_gather(writer, store)
        case Scatter():
            write_scatter(writer, store)
        case Fold():
            write_fold(writer, store)
        case Pad(before=before):
            with writer.loops(node.type.shape) as index:
                writer.store(store.buffer, node, index, 0.0)
            _copy_part(writer, store, node.args[0], before)
        case Concat(axis=axis):
            start = 0
            for arg in node.args:
                shift = tuple(start if i == axis else 0 for i in range(node.type.rank))
                _copy_part(writer, store, arg, shift)
                start += arg.type.shape[axis]


def _copy_part(writer: Writer, store: Store, part: Node, shift: Sequence[int]) -> None:
    with writer.loops(part.type.shape) as index:
        moved = tuple(i + s for i, s in zip(index, shift, strict=True))
        writer.store(store.buffer, store.node, moved, writer.value(part, index))
