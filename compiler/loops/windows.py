"""Loops over windows: reductions of few taps written out, and taps summed back into elements."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import Affine
from netc.compiler.loops.moves import guarded, under_taps
from netc.compiler.ops.reduce import Reduce
from netc.compiler.ops.unfold import Fold, Unfold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.plan.plan import Store

WRITTEN_OUT: Final = 9
"""So many taps are written one after the other: a loop costs as much as what it would do."""


def written_taps(node: Node) -> list[Index] | None:
    """The taps of a reduction over windows in order, when they are few and nothing else goes."""
    if not isinstance(node.op, Reduce) or not isinstance(node.args[0].op, Unfold):
        return None
    axes, x = node.op.axes, node.args[0]
    assert isinstance(x.op, Unfold)
    taps = tuple(range(x.type.rank - len(x.op.windows), x.type.rank))
    sizes = [x.type.shape[a] for a in axes]
    if axes != taps or prod(sizes) > WRITTEN_OUT:
        return None
    return _numbers(sizes)


def same_windows(node: Node, other: Node) -> bool:
    """Whether two reductions of few taps go over the same windows of samples."""
    both = node.type.batched and node.args == other.args
    return both and all(written_taps(n) is not None for n in (node, other))


def _numbers(sizes: list[int]) -> list[Index]:
    return [tuple(map(Affine, numbers)) for numbers in product(*map(range, sizes))]


def write_fold(writer: Writer, store: Store) -> None:
    """Each element once where windows lie side by side, else zeros first and taps added."""
    node = store.node
    assert isinstance(node.op, Fold)
    (x,) = node.args
    windows = node.op.windows
    rank, first = node.type.rank, windows[0][0]
    adds = any(w.overlapping or w.padded for _, w in windows)
    with writer.loops(node.type.shape[:first]) as outer:
        if adds or x.type.size < node.type.size:
            with writer.loops(node.type.shape[first:]) as inner:
                writer.store(store.buffer, node, (*outer, *inner), 0.0)
        with writer.loops(x.type.shape[first:rank]) as places:
            for taps in _taps(writer, x.type.shape[rank:]):
                index = (*outer, *places, *taps)
                element, guards = under_taps(writer, windows, index, rank)
                value = guarded(writer, guards, writer.value(x, index), 0.0)
                writer.store(store.buffer, node, element, value, add=adds)


def _taps(writer: Writer, sizes: tuple[int, ...]) -> Iterator[Index]:
    """Few taps one after the other, many in loops: what follows is written for each."""
    if prod(sizes) <= WRITTEN_OUT:
        yield from _numbers(list(sizes))
        return
    with writer.loops(sizes) as taps:
        yield taps
