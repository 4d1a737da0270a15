"""Loops over windows: reductions of few taps written out, and taps summed back into elements."""

from __future__ import annotations

from functools import partial, reduce
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.loops.loops import Affine
from netc.compiler.loops.moves import guarded, under_taps
from netc.compiler.ops.reduce import Reduce
from netc.compiler.ops.unfold import Fold
from netc.compiler.plan.costs import FEW_TAPS
from netc.compiler.plan.fuse import few_taps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Operand
    from netc.compiler.loops.writer import Index, Writer
    from netc.compiler.plan.plan import Store

COMBINE: Final = {"sum": "add", "max": "max", "min": "min", "prod": "mul"}
"""How two values of a reduction become one."""


def written_taps(node: Node) -> list[Index] | None:
    """The taps of a reduction over windows in order, when they are few and nothing else goes."""
    sizes = few_taps(node)
    return None if sizes is None else _numbers(sizes)


def reduced(writer: Writer, node: Node, index: Index) -> Operand:
    """The reduction of few taps at an index, one tap after the other."""
    assert isinstance(node.op, Reduce)
    kind, taps = node.op.kind, written_taps(node)
    assert taps is not None
    values = [writer.value(node.args[0], (*index, *tap)) for tap in taps]
    if kind in COMBINE:
        return reduce(partial(writer.compute, COMBINE[kind]), values)
    extreme = make(Reduce("max" if kind == "argmax" else "min", node.op.axes), node.args[0])
    best = writer.known(extreme, index)
    if best is None:
        best = reduced(writer, extreme, index)
        writer.know(extreme, index, best)
    found: Operand = 0.0
    for number, value in reversed(list(enumerate(values))):
        equal = writer.compute("eq", value, best)
        here = writer.compute("or", equal, writer.compute("isnan", value))
        found = writer.compute("where", here, float(number), found)
    return found


def same_windows(node: Node, other: Node) -> bool:
    """Whether two reductions of few taps go over the same windows of samples."""
    both = node.type.batched and node.args == other.args
    return both and all(written_taps(n) is not None for n in (node, other))


def _numbers(sizes: tuple[int, ...]) -> list[Index]:
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
    if prod(sizes) <= FEW_TAPS:
        yield from _numbers(sizes)
        return
    with writer.loops(sizes) as taps:
        yield taps
