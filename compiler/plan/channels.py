"""Channel by channel: sums over the batch and what needs them, while a channel is in the cache.

Batch normalisation sums a channel over all samples before it scales it, and so does its derivative.
One kernel after the other would read all channels twice from afar. Where every value stays in its
channel, their kernels become one: for each channel its sums, numbers and results. A channel is the
first axis.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from netc.compiler.ops.reduce import BatchReduce
from netc.compiler.plan.costs import CHANNEL_PLACES, FEWEST_CHANNELS
from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.indices import in_parts, read_axes
from netc.compiler.plan.plan import Store, Unit
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer


def by_channels(units: Iterable[Unit], where: Mapping[Node, Buffer]) -> list[Unit]:
    """The units, with neighbours that normalise channels joined.

    A gradient of weights that stands between sums and what needs them comes first.
    """
    runs = [list(run) for _, run in groupby(units, lambda unit: unit.kind == "nests")]
    found: list[Unit] = []
    while runs:
        run, *runs = runs
        if run[0].kind != "nests":
            found += run
            continue
        if len(runs) > 1 and _may_swap(run, runs[0], where):
            between, following, *rest = runs
            joined = _joined(run + following, where)
            sums = {s for unit in run for s in unit.stores}
            if any(u.kind == "channels" and not sums.isdisjoint(u.stores) for u in joined):
                found += between
                found += joined
                runs = rest
                continue
        found += _joined(run, where)
    return found


def _may_swap(nests: Sequence[Unit], others: Sequence[Unit], where: Mapping[Node, Buffer]) -> bool:
    """Whether sums of samples may come after other kernels, gradients of weights."""
    if any(u.per_block and u.kind != "panel" for u in others):
        return False
    stores = [s for u in nests for s in u.stores]
    if not all(s.node.type.batched and _in_arena(s) for s in stores):
        return False
    made = {s.buffer for s in stores}
    read = {where[n] for s in stores for n in s.reads | s.scans if n in where}
    written = {s.buffer for u in others for s in u.stores}
    return made.isdisjoint(_reads(others, where)) and written.isdisjoint(read)


def _reads(units: Sequence[Unit], where: Mapping[Node, Buffer]) -> set[Buffer]:
    nodes = {n for u in units for s in u.stores for n in s.reads | s.scans}
    for unit in units:
        if unit.contraction is not None:
            nodes.update(view_base(a) for a in unit.contraction.args)
    return {where[n] for n in nodes if n in where}


@record
class _Run:
    """The stores of neighbouring kernels in order, and which of them each reads."""

    stores: tuple[Store, ...]
    read: Mapping[Store, frozenset[Store]]

    def before(self, store: Store) -> set[Store]:
        """All stores that a store waits for."""
        found: set[Store] = set()
        stack = [store]
        while stack:
            fresh = self.read[stack.pop()] - found
            found |= fresh
            stack.extend(fresh)
        return found


def _joined(units: list[Unit], where: Mapping[Node, Buffer]) -> list[Unit]:
    """First what the channels need from elsewhere, then the channels, then all others."""
    run = _run(units, where)
    group = _channels(run, where)
    if not group:
        return units
    first = {b for store in group for b in run.before(store)} - group
    if any(run.before(s) & group or not _in_arena(s) for s in first):
        return units
    rest = set(run.stores) - group - first
    channels = Unit("channels", tuple(s for s in run.stores if s in group))
    return [*_only(units, first), channels, *_only(units, rest)]


def _run(units: Sequence[Unit], where: Mapping[Node, Buffer]) -> _Run:
    stores = tuple(s for unit in units for s in unit.stores)
    maker = {s.node: s for s in stores if where.get(s.node) is s.buffer}
    read = {
        s: frozenset(maker[n] for n in s.reads | s.scans if n in maker and maker[n] is not s)
        for s in stores
    }
    return _Run(stores, read)


def _only(units: Sequence[Unit], kept: set[Store]) -> list[Unit]:
    """The units with some of their stores."""
    left = (replace(u, stores=tuple(s for s in u.stores if s in kept)) for u in units)
    return [u for u in left if u.stores]


def _channels(run: _Run, where: Mapping[Node, Buffer]) -> set[Store]:
    """The stores that are computed channel by channel; none if that would save nothing."""
    results = [s for s in run.stores if _is_result(run, s)]
    if not results:
        return set()
    count = results[0].node.type.shape[0]
    wanted = set(results).union(*(run.before(s) for s in results))
    group: set[Store] = set()
    for store in run.stores:
        beside = store.node.type.batched and _in_arena(store)
        if (store in wanted or beside) and _stays(store, count, group, run, where):
            group.add(store)
    whole = group >= {s for s in results if s.node.type.shape[0] == count}
    summed = any(isinstance(s.node.op, BatchReduce) for s in group)
    return group if whole and summed and sum(s.node.type.batched for s in group) > 1 else set()


def _is_result(run: _Run, store: Store) -> bool:
    """Whether a store fills channels with what depends on a sum over the batch."""
    shape = store.node.type.shape
    if not store.node.type.batched or len(shape) < 2 or shape[0] < FEWEST_CHANNELS:
        return False
    places = store.node.type.size // shape[0]
    summed = any(isinstance(s.node.op, BatchReduce) for s in run.before(store))
    return places >= CHANNEL_PLACES and summed


def _stays(
    store: Store, count: int, group: set[Store], run: _Run, where: Mapping[Node, Buffer]
) -> bool:
    """Whether a store of the arena needs of every other one in the group its own channel only."""
    node = store.node
    if node.type.shape[:1] != (count,) or in_parts(node) or not _in_arena(store):
        return False
    inside = run.read[store] & group
    if any(run.before(other) & group for other in run.read[store] - group):
        return False
    axes = read_axes(store, where)
    return all(axes[other.node] >= 1 for other in inside)


def _in_arena(store: Store) -> bool:
    return store.buffer.region in ("batch", "fixed")
