"""Which elementwise stores are computed on a contraction's finished tiles.

A store joins a contraction when it reads the product at its own index, has its shape, and all else
that it reads is ready before the contraction starts. Bias, activation, the activation's derivative
and the optimizer's update all arrive here by this one rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ops.contract import Contract
from netc.compiler.ops.reduce import Broadcast
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Iota, Random, Source
from netc.compiler.plan.order import knots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Store


def ancestors(stores: Sequence[Store], where: Mapping[Node, Buffer]) -> dict[Node, int]:
    """For each stored node the set, as bits in order of `stores`, of stored nodes it depends on."""
    homes = {s: i for i, s in enumerate(stores) if where[s.node] is s.buffer}
    bit = {s.node: 1 << i for s, i in homes.items()}
    found: dict[Node, int] = {}
    for store in homes:
        bits = 0
        for node in store.reads | store.scans:
            if node in bit:
                bits |= bit[node] | found[node]
        found[store.node] = bits
    return found


def assign_epilogues(stores: Sequence[Store], where: Mapping[Node, Buffer]) -> dict[Store, Node]:
    """For each store that becomes part of a contraction's kernel, that contraction.

    `stores` are in topological order.
    """
    order = {s.node: i for i, s in enumerate(stores) if where[s.node] is s.buffer}
    above = ancestors(stores, where)
    anchor: dict[Node, Node] = {}
    chosen: dict[Store, Node] = {}
    readers = _readers(stores, where)
    for store in (s for s in stores if _along_lanes(s.node, where)):
        found = _anchor(store, anchor, order)
        if found is not None and _ready_before(store, found, anchor, above, order):
            chosen[store] = found
            if where[store.node] is store.buffer:
                anchor[store.node] = found
    while True:
        anchor = {s.node: c for s, c in chosen.items() if where[s.node] is s.buffer}
        kept = {
            s: c
            for s, c in chosen.items()
            if _anchor(s, anchor, order) is c
            and _ready_before(s, c, anchor, above, order)
            and _may_overwrite(s, chosen, readers.get(s.buffer, ()), above, order)
        }
        if len(kept) == len(chosen) and (tangled := _tangled(chosen, stores, where)):
            del kept[tangled]
        elif len(kept) == len(chosen):
            return chosen
        chosen = kept


def _tangled(
    chosen: Mapping[Store, Node], stores: Sequence[Store], where: Mapping[Node, Buffer]
) -> Store | None:
    """The last store of an epilogue for which two kernels would wait for each other."""
    homes = {s.node: chosen.get(s, s.node) for s in stores if where[s.node] is s.buffer}
    after: dict[Node, set[Node]] = {group: set() for group in homes.values()}
    for store in stores:
        group = chosen.get(store, store.node)
        if store in chosen or where[store.node] is store.buffer:
            read = {homes[n] for n in store.reads | store.scans if n in homes}
            after[group] |= read - {group}
    waiting = knots(after)
    return next((s for s in reversed(stores) if chosen.get(s) in waiting), None)


def _along_lanes(root: Node, where: Mapping[Node, Buffer]) -> bool:
    """Whether an unbatched value's last axis is the last axis of all it reads, or none of it."""
    stack, seen = list(root.args), {root}
    while stack and not root.type.batched:
        node = stack.pop()
        if node in seen or node in where or node.type.rank == 0:
            continue
        seen.add(node)
        if not isinstance(node.op, Elementwise | Broadcast | Constant | Random | Iota):
            return False
        stack.extend(node.args)
    return True


def _anchor(store: Store, anchor: Mapping[Node, Node], order: Mapping[Node, int]) -> Node | None:
    """The last contraction that the store reads at its own index, directly or through a store."""
    if not isinstance(store.node.op, Elementwise):
        return None
    candidates = [
        n if isinstance(n.op, Contract) else anchor[n]
        for n in store.reads
        if n.type == store.node.type and (_finishes_tiles(n) or n in anchor)
    ]
    return max(candidates, key=order.__getitem__, default=None)


def _finishes_tiles(node: Node) -> bool:
    """Whether a node is a contraction whose sums are finished in registers.

    The gradient of a convolution's weights is added up in memory.
    """
    op = node.op
    return isinstance(op, Contract) and not (op.windows and op.sum_batch)


def _ready_before(
    store: Store,
    contraction: Node,
    anchor: Mapping[Node, Node],
    above: Mapping[Node, int],
    order: Mapping[Node, int],
) -> bool:
    bit = 1 << order[contraction]
    for node in store.reads | store.scans:
        if node is contraction or anchor.get(node) is contraction:
            if node in store.scans:
                return False
        elif above.get(node, 0) & bit:
            return False
    return True


def _readers(
    stores: Sequence[Store], where: Mapping[Node, Buffer]
) -> dict[Buffer, list[tuple[Store, Node]]]:
    """For each persistent buffer who reads its old value, as which source."""
    found: dict[Buffer, list[tuple[Store, Node]]] = {}
    for store in stores:
        for node in store.reads | store.scans:
            if isinstance(node.op, Source) and node in where:
                found.setdefault(where[node], []).append((store, node))
    return found


def _may_overwrite(
    store: Store,
    chosen: Mapping[Store, Node],
    readers: Sequence[tuple[Store, Node]],
    above: Mapping[Node, int],
    order: Mapping[Node, int],
) -> bool:
    """An in-place result may be written here only if nobody needs the old value later."""
    contraction = chosen[store]
    bit = 1 << order[contraction]
    for reader, old in readers:
        together = chosen.get(reader) is contraction and old not in reader.scans
        read = reader.reads | reader.scans
        late = any(n is contraction or above.get(n, 0) & bit for n in read)
        if not together and (reader.node is contraction or late):
            return False
    return True
