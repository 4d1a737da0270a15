"""The order of the kernels: every value before its users, in-place results after the last reader.

List scheduling: ready work that fits the kernel being formed joins it, so neighbouring batched
stores share one loop over blocks of samples. A result that would overwrite a value somebody still
needs is computed aside and copied at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netc.compiler.ops.source import Source
from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.plan import Buffer, Store, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    items = _items(stores, epilogues, contractions)
    _connect(items, where)
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
    """Sums over the batch need all blocks: a kernel that forms them cannot use them."""
    if not item.kind[1]:
        return True
    if any(not i.batched for i in (*group, item)):
        return all(not i.batched for i in (*group, item)) and not any(i in item.after for i in group)
    return True


def _items(
    stores: Sequence[Store], epilogues: Mapping[Store, Node], contractions: Sequence[Node]
) -> list[_Item]:
    by_contraction: dict[Node, list[Store]] = {c: [] for c in contractions}
    for store in stores:
        anchor = epilogues.get(store)
        if anchor is not None:
            by_contraction[anchor].append(store)
        elif store.node in by_contraction:
            by_contraction[store.node].insert(0, store)
    items: dict[Node, _Item] = {
        c: _Item(tuple(found), c) for c, found in by_contraction.items() if found
    }
    order: list[_Item] = []
    emitted: set[Node] = set()
    clusters = _clusters([s for s in stores if s not in epilogues and s.node not in items])
    for store in stores:
        anchor = epilogues.get(store, store.node)
        if anchor in items:
            if anchor not in emitted:
                emitted.add(anchor)
                order.append(items[anchor])
        elif store in clusters:
            order.append(_Item(clusters[store], None))
    return order


def _clusters(stores: Sequence[Store]) -> dict[Store, tuple[Store, ...]]:
    """In-place results of one shape that read each other's old values: computed in one nest.

    Keyed by the last store of each cluster; most clusters are single stores.
    """
    member: dict[Store, list[Store]] = {s: [s] for s in stores}
    place = {s: i for i, s in enumerate(stores)}
    writers = {
        (s.buffer.region, s.buffer.name): s
        for s in stores
        if s.buffer.region not in ("batch", "fixed")
    }
    for reader in writers.values():
        for old in reader.reads:
            if not isinstance(old.op, Source):
                continue
            writer = writers.get((old.op.space, old.op.name))
            if writer is None or writer.node.type != reader.node.type:
                continue
            if member[writer] is not member[reader]:
                merged = sorted(member[writer] + member[reader], key=place.__getitem__)
                member.update(dict.fromkeys(merged, merged))
    return {m[-1]: tuple(m) for m in member.values()}


def _connect(items: Sequence[_Item], where: Mapping[Node, Buffer]) -> None:
    maker = {s.node: i for i in items for s in i.stores}
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
    """Redirects the item's in-place results to scratch memory; returns the copies that end the job."""
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


