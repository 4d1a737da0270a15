"""The kernel of one channel after the other: sums over the batch, and what needs them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from netc.compiler.loops.groups import Nest, Part, group_batched
from netc.compiler.loops.nests import write_at, write_sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.loops.loops import Affine
    from netc.compiler.loops.writer import Writer
    from netc.compiler.plan.plan import Store


def write_channels(writer: Writer, stores: Sequence[Store]) -> None:
    """All stores at one index of their first axis, then at the next; parts share out the axis."""
    count = stores[0].node.type.shape[0]
    with writer.loops((count,), split=True) as (channel,):
        for batched, neighbours in groupby(stores, lambda s: s.node.type.batched):
            if batched:
                nests = group_batched(list(neighbours), writer.plan.where)
                with writer.blocks():
                    for nest in nests:
                        _write_nest(writer, nest, channel)
            else:
                for store in neighbours:
                    with writer.loops(store.node.type.shape[1:]) as index:
                        write_at(writer, [store], (channel, *index))


def _write_nest(writer: Writer, nest: Nest, channel: Affine) -> None:
    """A nest without the loop over its first axis."""
    if not nest.outer:
        (part,) = nest.parts
        write_sweep(writer, Part(part.inner[1:], part.stores), (channel,))
        return
    with writer.loops(nest.outer[1:]) as index:
        for part in nest.parts:
            write_sweep(writer, part, (channel, *index))
