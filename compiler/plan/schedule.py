"""The order of the kernels: every value before its users, in-place results after the last reader.

List scheduling: ready work that fits the kernel being formed joins it, so neighbouring batched
stores share one loop over blocks of samples. A result that would overwrite a value somebody still
needs is computed aside and copied at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Source
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
    units: list[Unit] = []
    copies: list[Unit] = []
    done: set[_Item] = set()
    waiting = list(items)
    while waiting:
        ready = [i for i in waiting if i.after <= done and i.behind <= done]
        if not ready:
            stuck = next(i for i in waiting if i.after <= done)
            copies += _defer(stuck, where)
            stuck.behind.clear()
            ready = [stuck]
        group = _group(ready[0], waiting, done)
        waiting = [i for i in waiting if i not in done]
        all_stores = tuple(s for i in group for s in i.stores)
        first = group[0]
        if first.contraction is not None:
            units.append(Unit("contract", all_stores, first.contraction))
        else:
            units.append(Unit("nests", all_stores))
    return units + copies


def _group(first: _Item, waiting: Sequence[_Item], done: set[_Item]) -> list[_Item]:
    """`first` and what can follow it in the same kernel; all of it is marked as done."""
    group = [first]
    done.add(first)
    if first.contraction is not None:
        return group
    grown = True
    while grown:
        grown = False
        for item in waiting:
            fits = item not in done and item.kind == first.kind
            if fits and item.after <= done and item.behind <= done and _joins(item, group):
                group.append(item)
                done.add(item)
                grown = True
    return group


def _joins(item: _Item, group: Sequence[_Item]) -> bool:
    """Whether a kernel of nests can go on with `item`.

    Sums over the batch need all blocks: a kernel that forms them cannot use them. Results that
    exchange old values need one nest, so they start a kernel.
    """
    if len(item.stores) > 1:
        return False
    if not item.kind[1]:
        return True
    if any(not i.batched for i in (*group, item)):
        sums_only = all(not i.batched for i in (*group, item))
        return sums_only and not any(i in item.after for i in group)
    return True


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
