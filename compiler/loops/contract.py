"""Kernels of contractions: register tiles of accumulators, with elementwise stores as epilogue.

One generator serves every product and every gradient of a product. What differs between the forms
(see `netc.compiler.plan.tiles`) is which accesses are vectors and which loops are summed.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import product as combinations
from typing import TYPE_CHECKING

from netc.compiler.loops.along_places import write_along_places
from netc.compiler.loops.by_columns import write_columns, write_outer, write_panel
from netc.compiler.loops.by_places import write_places
from netc.compiler.loops.by_samples import write_pairs, write_samples
from netc.compiler.loops.by_taps import write_taps
from netc.compiler.loops.loops import Affine
from netc.compiler.loops.nests import over_batch, write_at
from netc.compiler.loops.product import Access, Loads, Product, Summed, summed_letters
from netc.compiler.loops.tile import load
from netc.compiler.loops.tracks import tracks
from netc.compiler.loops.views import view
from netc.compiler.loops.window_loops import outer_results, summed_terms
from netc.compiler.ops.contract import Contract
from netc.compiler.plan import tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Operand
    from netc.compiler.loops.tracks import Track
    from netc.compiler.loops.writer import Writer
    from netc.compiler.plan.plan import Buffer, Store


def write_contract(
    writer: Writer,
    node: Node,
    stores: Sequence[Store],
    registers: int,
    panel: Buffer | None,
) -> None:
    """The kernel of a contraction with its epilogue."""
    product = _product(writer, node, stores, registers)
    match product.tile.form:
        case "samples":
            write_samples(product)
        case "pairs":
            write_pairs(product)
        case "outer":
            assert panel is not None
            write_outer(product, panel)
        case "columns":
            write_columns(product)
        case "places":
            write_places(product)
        case "taps":
            write_taps(product)
        case "along":
            write_along_places(product)
        case "loops" if product.axes.tied:
            _window_loops(product)
        case "loops":
            _loops(product)


def write_transposed(writer: Writer, node: Node, registers: int, panel: Buffer) -> None:
    """The kernel that transposes the operand with the columns of a contraction's result."""
    write_panel(_product(writer, node, (), registers), panel)


def _product(writer: Writer, node: Node, stores: Sequence[Store], registers: int) -> Product:
    axes = tiles.axes_of(node)
    views = (
        view(writer.plan, node.args[0], axes.operands[0]),
        view(writer.plan, node.args[1], axes.operands[1]),
    )
    tile = tiles.choose_tile(node, writer.lanes)
    return Product(writer, node, tuple(stores), tile, tiles.limits(registers), axes, views)


def _loops(product: Product) -> None:
    """One accumulator at a time; lanes are samples when the sum runs over the batch."""
    writer, out = product.writer, product.axes.out
    assert isinstance(product.node.op, Contract)
    sum_batch = product.node.op.sum_batch
    with writer.loops([product.axes.sizes[c] for c in out], split=True) as index:
        at = dict(zip(out, index, strict=True))

        def product_of() -> Operand:
            accesses = []
            for operand in product.views:
                plain = product.access(operand, at, wide=operand.per_block > 0)
                if writer.block is not None and plain.wide:
                    shift = writer.block * operand.per_block
                    plain = Access(plain.buffer, plain.offset + shift, plain.steps, plain.wide)
                accesses.append(plain)
            return _single(writer, summed_letters(product), accesses, sum_batch)

        value = over_batch(writer, "sum", product_of) if sum_batch else product_of()
        writer.know(product.node, index, value)
        write_at(writer, product.stores, index)


def _window_loops(product: Product) -> None:
    """Windows with operands batched in unusual ways: one accumulator at a time."""
    writer, node = product.writer, product.node
    assert isinstance(node.op, Contract)
    with writer.blocks() if node.type.batched else nullcontext():
        for chosen in combinations(*tracks(node.op)):
            _window_track(product, chosen)


def _window_track(product: Product, chosen: Sequence[Track]) -> None:
    writer, node, axes = product.writer, product.node, product.axes
    assert isinstance(node.op, Contract)
    wide = any(a.type.batched for a in node.args)
    letters = {c: axes.sizes[c] for c in axes.free}
    split = not node.type.batched
    with (
        writer.named_loops(letters, split=split) as free,
        outer_results(writer, chosen) as places,
    ):

        def total() -> Operand:
            with summed_terms(product, chosen, places, [0.0], wide=wide) as summed:
                load = Loads(product)
                factors = (load(operand, free | summed.letters) for operand in product.views)
                summed.sums = [writer.compute("fma", *factors, *summed.sums)]
            return summed.sums[0]

        results = {
            track.result: track.lines[track.result].at(t, Affine())
            for track, t in zip(chosen, places, strict=True)
        }
        index = tuple((free | results)[letter] for letter in axes.out)
        value: Operand = 0.0
        if all(track.terms for track in chosen):
            value = over_batch(writer, "sum", total) if node.op.sum_batch else total()
        writer.know(node, index, value)
        write_at(writer, product.stores, index)


def _single(
    writer: Writer, loops: Sequence[Summed], accesses: Sequence[Access], wide: bool
) -> Operand:
    opened = []
    shift: dict[str, Affine] = {}
    total: Operand = 0.0
    for summed in loops:
        loop = writer.begin(summed.extent, [total], wide, hint="k")
        (total,) = loop.carried
        shift[summed.name] = loop.index
        opened.append(loop)
    first, second = (load(writer, a, shift) for a in accesses)
    total = writer.compute("fma", first, second, total)
    for loop in reversed(opened):
        (total,) = writer.end(loop, [total])
    return total
