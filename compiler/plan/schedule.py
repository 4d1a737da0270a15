"""The order of the kernels: every value before its users, in-place results after the last reader.

List scheduling: ready work that fits the kernel being formed joins it, so neighbouring batched
stores share one loop over blocks of samples. Where the way from sample to sample ends anyway, a
product that is the last to read a batched value comes first: its memory is free again. A result
that would overwrite a value somebody still needs is computed aside and copied at the end.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Source
from netc.compiler.plan.costs import KERNEL_STORES
from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.order import knots
from netc.compiler.plan.plan import Buffer, Store, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netc.compiler.ir.graph import Node


@dataclass(eq=False)
class _Item:
    """Stores that are scheduled together: one contraction with its epilogue, or one loop nest."""

    stores: tuple[Store, ...]
    contraction: Node | None
    after: set[_Item] = field(default_factory=set)
    """Items whose results this one reads."""
    behind: set[_Item] = field(default_factory=set)
    """Items that read what this one overwrites."""

    @property
    def batched(self) -> bool:
        return self.stores[0].node.type.batched

    @property
    def kind(self) -> tuple[str, bool]:
        if self.contraction is not None:
            return ("contract", False)
        loops = self.stores[0].node
        return ("nests", self.batched or any(a.type.batched for a in loops.args))


def schedule(
    stores: Sequence[Store],
    epilogues: Mapping[Store, Node],
    contractions: Sequence[Node],
    where: dict[Node, Buffer],
) -> list[Unit]:
    """Units for all stores; `contractions` in order, each with the stores of its epilogue.

    Corrects `where` for results that are computed aside.
    """
    items = _arranged(stores, epilogues, contractions, where)
    queue = _Queue(items, where)
    units: list[Unit] = []
    copies: list[Unit] = []
    while queue.waiting:
        if not queue:
            stuck = next(i for i in items if i in queue.waiting and queue.readable(i))
            copies += _defer(stuck, where)
            queue.release(stuck)
        group = _group(queue)
        all_stores = tuple(s for i in group for s in i.stores)
        if group[0].contraction is not None:
            units.append(Unit("contract", all_stores, group[0].contraction))
        else:
            units.append(Unit("nests", all_stores))
    return units + copies


class _Queue:
    """Items that wait, and those of them that nothing holds back, by kind, in their first order.

    A product over the batch that is the last to read one of its operands frees it: then it goes
    before all that is not batched.
    """

    def __init__(self, items: Sequence[_Item], where: Mapping[Node, Buffer]) -> None:
        self._items = items
        self._number = {item: n for n, item in enumerate(items)}
        self._kinds = [item.kind for item in items]
        self._held = {item: item.after | item.behind for item in items}
        self._holds: dict[_Item, list[_Item]] = {item: [] for item in items}
        for item, others in self._held.items():
            for other in others:
                self._holds[other].append(item)
        self.waiting = set(items)
        self._ready: dict[tuple[str, bool], list[int]] = {kind: [] for kind in self._kinds}
        self._reads = {item: _reads(item, where) for item in items}
        self._readers = Counter(n for read in self._reads.values() for n in read)
        self._operands = [_batched_operands(item, where) for item in items]
        self._products: dict[Node, list[int]] = {}
        for number, operands in enumerate(self._operands):
            for node in operands:
                self._products.setdefault(node, []).append(number)
        self._freeing: list[int] = []
        for number, item in enumerate(items):
            if not self._held[item]:
                self._offer(number)

    def __bool__(self) -> bool:
        """Whether something is ready."""
        return any(self._ready.values())

    def take(self, item: _Item) -> None:
        """Schedules a ready item, which may make others ready."""
        number = self._number[item]
        ready = self._ready[self._kinds[number]]
        del ready[bisect_left(ready, number)]
        self.waiting.remove(item)
        for node in self._reads[item]:
            self._readers[node] -= 1
            if self._readers[node] == 1:
                for product in filter(self._is_ready, self._products.get(node, ())):
                    heappush(self._freeing, product)
        for other in self._holds[item]:
            self._held[other].discard(item)
            if not self._held[other] and other in self.waiting:
                self._offer(self._number[other])

    def first(self) -> _Item:
        """The first ready item, or a product over the batch that frees one of its operands."""
        first = self._items[min(ready[0] for ready in self._ready.values() if ready)]
        if first.batched:
            return first
        while self._freeing and self._items[self._freeing[0]] not in self.waiting:
            heappop(self._freeing)
        return self._items[self._freeing[0]] if self._freeing else first

    def joining(self, first: _Item, group: Mapping[_Item, None]) -> _Item | None:
        """The first ready item that a kernel can go on with."""
        if len(group) >= KERNEL_STORES:
            return None
        ready = self._ready[self._kinds[self._number[first]]]
        return next((i for n in ready if _joins(i := self._items[n], first, group)), None)

    def readable(self, item: _Item) -> bool:
        """Whether all that the item reads is there: only readers of old values hold it back."""
        return item.after.isdisjoint(self.waiting)

    def release(self, item: _Item) -> None:
        """Makes an item ready whose results no longer overwrite anything."""
        self._held[item].clear()
        self._offer(self._number[item])

    def _offer(self, number: int) -> None:
        """Notes that an item is ready."""
        insort(self._ready[self._kinds[number]], number)
        if any(self._readers[node] == 1 for node in self._operands[number]):
            heappush(self._freeing, number)

    def _is_ready(self, number: int) -> bool:
        item = self._items[number]
        return item in self.waiting and not self._held[item]


def _group(queue: _Queue) -> list[_Item]:
    """The next item and what can follow it in the same kernel, all of it taken."""
    first = queue.first()
    queue.take(first)
    group = {first: None}
    if first.contraction is not None:
        return [first]
    while found := queue.joining(first, group):
        queue.take(found)
        group[found] = None
    return list(group)


def _joins(item: _Item, first: _Item, group: Mapping[_Item, None]) -> bool:
    """Whether a kernel of nests that `first` started can go on with `item`, of the same kind.

    Sums over the batch need all blocks: a kernel that forms them cannot use them. Results that
    exchange old values need one nest, so they start a kernel.
    """
    if len(item.stores) > 1:
        return False
    if not item.kind[1]:
        return True
    return item.batched == first.batched and (item.batched or item.after.isdisjoint(group))


def _arranged(
    stores: Sequence[Store],
    epilogues: Mapping[Store, Node],
    contractions: Sequence[Node],
    where: Mapping[Node, Buffer],
) -> list[_Item]:
    """All items with what they wait for; results that exchange old values are one item."""

    def items_of(member: Mapping[Store, tuple[Store, ...]]) -> list[_Item]:
        items = _items(stores, epilogues, contractions, member)
        _connect(items, where)
        return items

    member: dict[Store, tuple[Store, ...]] = {s: (s,) for s in stores}
    items = items_of(member)
    waiting = knots({i: i.after | i.behind for i in items})
    single = [i.stores[0] for i in items if i in waiting and i.contraction is None]
    for a, b in _exchanges(single, where):
        merged = tuple(sorted({*member[a], *member[b]}, key=stores.index))
        if any(s.scans & {other.node for other in merged} for s in merged):
            continue
        trial = {**member, **dict.fromkeys(merged, merged)}
        found = items_of(trial)
        if not knots({i: i.after for i in found}):
            member, items = trial, found
    return items


def _exchanges(
    stores: Sequence[Store], where: Mapping[Node, Buffer]
) -> Iterator[tuple[Store, Store]]:
    """Pairs of in-place results: the first reads the second's old value, at its own index."""
    writers = {
        (s.buffer.region, s.buffer.name): s
        for s in stores
        if s.buffer.region not in ("batch", "fixed")
        and isinstance(s.node.op, Elementwise)
        and where[s.node] is s.buffer
    }
    for store in writers.values():
        names = {(n.op.space, n.op.name) for n in store.reads if isinstance(n.op, Source)}
        for name in sorted(names & writers.keys()):
            other = writers[name]
            if other is not store and other.node.type == store.node.type:
                yield store, other


def _items(
    stores: Sequence[Store],
    epilogues: Mapping[Store, Node],
    contractions: Sequence[Node],
    member: Mapping[Store, tuple[Store, ...]],
) -> list[_Item]:
    """One item for each contraction and for each group of other stores, at its last store."""
    by_contraction: dict[Node, list[Store]] = {c: [] for c in contractions}
    for store in stores:
        anchor = epilogues.get(store)
        if anchor is not None:
            by_contraction[anchor].append(store)
        elif store.node in by_contraction:
            by_contraction[store.node].insert(0, store)
    items = {c: _Item(tuple(found), c) for c, found in by_contraction.items() if found}
    order: list[_Item] = []
    emitted: set[Node] = set()
    for store in stores:
        anchor = epilogues.get(store, store.node)
        if anchor in items:
            if anchor not in emitted:
                emitted.add(anchor)
                order.append(items[anchor])
        elif store is member[store][-1]:
            order.append(_Item(member[store], None))
    return order


def _connect(items: Sequence[_Item], where: Mapping[Node, Buffer]) -> None:
    maker = {s.node: i for i in items for s in i.stores if where.get(s.node) is s.buffer}
    maker |= {i.contraction: i for i in items if i.contraction is not None}
    writer: dict[Buffer, _Item] = {
        s.buffer: i for i in items for s in i.stores if s.buffer.region not in ("batch", "fixed")
    }
    for item in items:
        read = {n for s in item.stores for n in (s.reads | s.scans)}
        scanned = {n for s in item.stores for n in s.scans}
        if item.contraction is not None:
            read.discard(item.contraction)
            operands = _contraction_reads(item.contraction, where)
            read |= operands
            scanned |= operands
        for node in read:
            if node in maker and maker[node] is not item:
                item.after.add(maker[node])
            overwriting = writer.get(where[node]) if isinstance(node.op, Source) else None
            if overwriting is not None and (overwriting is not item or node in scanned):
                overwriting.behind.add(item)


def _reads(item: _Item, where: Mapping[Node, Buffer]) -> set[Node]:
    """The batched values that an item reads."""
    read = {n for s in item.stores for n in s.reads | s.scans}
    if item.contraction is not None:
        read |= _contraction_reads(item.contraction, where)
    return {n for n in read if n.type.batched}


def _batched_operands(item: _Item, where: Mapping[Node, Buffer]) -> set[Node]:
    """The batched operands of a product that is summed over the batch."""
    if item.contraction is None or item.contraction.type.batched:
        return set()
    return {n for n in _contraction_reads(item.contraction, where) if n.type.batched}


def _contraction_reads(contraction: Node, where: Mapping[Node, Buffer]) -> set[Node]:
    return {b for a in contraction.args if (b := view_base(a)) in where}


def _defer(item: _Item, where: dict[Node, Buffer]) -> list[Unit]:
    """Redirects the item's in-place results to scratch memory; returns the copies at the end."""
    copies: list[Unit] = []
    redirected: list[Store] = []
    for store in item.stores:
        if store.buffer.region in ("batch", "fixed"):
            redirected.append(store)
            continue
        aside = Buffer(f"new {store.buffer.name}", "fixed", store.buffer.elements)
        redirected.append(replace(store, buffer=aside))
        if where.get(store.node) is store.buffer:
            where[store.node] = aside
        copy = Store(store.node, aside, frozenset(), frozenset())
        copies.append(Unit("copy", (copy,), copy_to=store.buffer))
    item.stores = tuple(redirected)
    return copies
