"""Which stores of one kernel share loops, and at which of its indices each reads the others.

A nest has outer loops and, inside them, parts one after the other. A part has loops of its own, in
which elementwise values are stored and reductions gather theirs: a mean and what is computed from
the same elements are one pass. A store joins a part when it reads the part's values at its own
index only, a nest when what it reads there lies under the same outer index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.windows import same_windows
from netc.compiler.plan.indices import gathers, in_parts, read_axes
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Store

Shape = tuple[int, ...]


@record
class Part:
    """Stores in the loops `inner` inside the outer loops of a nest.

    Reductions among them reduce the axes of `inner`; without any the stores have all axes.
    """

    inner: Shape
    stores: tuple[Store, ...]


@record
class Nest:
    """Parts that share the loops over the leading axes `outer`."""

    outer: Shape
    parts: tuple[Part, ...]

    @property
    def stores(self) -> tuple[Store, ...]:
        return tuple(s for part in self.parts for s in part.stores)

    @property
    def first(self) -> Node:
        return self.parts[0].stores[0].node


def group_batched(stores: Sequence[Store], where: Mapping[Node, Buffer]) -> list[Nest]:
    """The nests of one loop over blocks; each store joins the first that fits after all it reads.

    Reductions over the same windows share one wherever they stand: they read the same.
    """
    nests: list[Nest] = []
    for store in stores:
        read = store.reads | store.scans
        after = [i for i, nest in enumerate(nests) if read & {s.node for s in nest.stores}]
        places = range(max(after, default=0), len(nests))
        joined = {i: found for i in places if (found := _joined(nests[i], store, where))}
        same = [i for i in joined if same_windows(store.node, nests[i].parts[-1].stores[0].node)]
        if joined:
            i = same[0] if same else min(joined)
            nests[i] = joined[i]
        else:
            nests.append(_alone(store))
    return nests


def _alone(store: Store) -> Nest:
    node = store.node
    if gathers(node):
        kept = node.type.rank
        source = node.args[0].type.shape
        return Nest(source[:kept], (Part(source[kept:], (store,)),))
    return Nest((), (Part(node.type.shape, (store,)),))


def _joined(nest: Nest, store: Store, where: Mapping[Node, Buffer]) -> Nest | None:
    """The nest with the store in its last part or in a new one; None where it does not fit."""
    node, last = store.node, nest.parts[-1]
    if in_parts(node) or in_parts(nest.first):
        return None
    read = read_axes(store, where)
    read = {n: read[n] for n in {s.node for s in nest.stores} & read.keys()}
    shape = node.args[0].type.shape if gathers(node) else node.type.shape
    own = all(axes == n.type.rank == len(shape) for n, axes in read.items())
    outer = shape[: node.type.rank] if gathers(node) else nest.outer
    if own and nest.outer + last.inner == shape:
        if nest.outer == outer:
            return Nest(outer, (*nest.parts[:-1], Part(last.inner, (*last.stores, store))))
        if len(nest.parts) == 1 and not any(gathers(s.node) for s in nest.stores):
            return Nest(outer, (Part(shape[len(outer) :], (*last.stores, store)),))
    beside = outer and nest.outer == outer == shape[: len(outer)]
    if beside and all(axes >= len(outer) for axes in read.values()):
        return Nest(outer, (*nest.parts, Part(shape[len(outer) :], (store,))))
    return None
