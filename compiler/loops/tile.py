"""The register tile: sums of products over nested loops, and the epilogue on the finished sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import Affine, Extent, Load, Operand, Prefetch, Store
from netc.compiler.loops.nests import write_at
from netc.compiler.ops.source import Constant
from netc.compiler.plan.costs import own_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.product import Access, Product, Summed
    from netc.compiler.loops.writer import Writer

UNROLL: Final = 2
"""Rounds of the innermost summed loop in one body: 4 is as fast and twice the code, 1 is slower."""

FETCH_AHEAD: Final = 24
"""Rounds, from 8 to 24 alike in batches; with weights from afar 16 take 3 to 12 % more time."""

STRAIGHT_EPILOGUE: Final = 160
"""A longer epilogue is a loop over the tile in L1: unrolled it would spill the accumulators."""


def accumulate(
    writer: Writer,
    loops: Sequence[Summed],
    rows: Sequence[Access],
    columns: Sequence[Access],
    initial: Sequence[Operand],
    each: Mapping[str, Callable[[Affine], None]] | None = None,
    far: Sequence[Access] = (),
) -> Sequence[Operand]:
    """Σ rows[i] · columns[j] over the loops, for every i and j; row-major.

    `each` writes something at the start of a round of the loop it is for. What `far` accesses is
    fetched some rounds of the innermost loop before.
    """

    def walk(depth: int, shift: dict[str, Affine], sums: Sequence[Operand]) -> Sequence[Operand]:
        if depth == len(loops):
            for access in far:
                at = access.at(shift) + access.steps[loops[-1].name] * FETCH_AHEAD
                writer.add(Prefetch(access.buffer, at))
            return _multiply(writer, rows, columns, shift, sums)
        loop = loops[depth]
        innermost = depth == len(loops) - 1
        unroll = UNROLL if innermost and isinstance(loop.extent, int) else 1
        rounds: Extent = loop.extent
        rest = 0
        if isinstance(loop.extent, int):
            rounds, rest = divmod(loop.extent, unroll)
        if rounds:
            opened = writer.begin(rounds, sums, hint="k")
            sums = opened.carried
            if each and loop.name in each:
                each[loop.name](opened.index)
            for u in range(unroll):
                sums = walk(depth + 1, {**shift, loop.name: opened.index * unroll + u}, sums)
            sums = writer.end(opened, sums)
        for u in range(rest):
            done = rounds * unroll if isinstance(rounds, int) else 0
            sums = walk(depth + 1, {**shift, loop.name: Affine(done + u)}, sums)
        return sums

    return walk(0, {}, initial)


def _multiply(
    writer: Writer,
    rows: Sequence[Access],
    columns: Sequence[Access],
    shift: dict[str, Affine],
    sums: Sequence[Operand],
) -> list[Operand]:
    moving = [load(writer, c, shift) for c in columns]
    result: list[Operand] = []
    for i, row in enumerate(rows):
        value = load(writer, row, shift)
        for j, vector in enumerate(moving):
            result.append(writer.compute("fma", value, vector, sums[i * len(columns) + j]))
    return result


def load(writer: Writer, access: Access, shift: dict[str, Affine]) -> str:
    loaded = writer.name()
    writer.add(Load(loaded, access.buffer, access.at(shift), access.wide))
    return loaded


def finish(
    product: Product,
    sums: Sequence[Operand],
    shape: tuple[int, int],
    enter: Callable[[Affine, Affine], dict[str, Affine]],
) -> None:
    """The epilogue of a tile; `enter(i, j)` prepares the writer and gives the letters' indices."""
    writer, (rows, columns) = product.writer, shape

    def element(i: Affine, j: Affine, value: Operand) -> None:
        at = enter(i, j)
        index = tuple(at[letter] for letter in product.axes.out)
        writer.know(product.node, index, value)
        write_at(writer, product.stores, index)

    if _epilogue_cost(product) * len(sums) <= STRAIGHT_EPILOGUE:
        for n, value in enumerate(sums):
            element(Affine(n // columns), Affine(n % columns), value)
        return
    lanes = writer.lanes
    _prepare(product)
    scratch = writer.new_scratch(len(sums) * lanes)
    for n, value in enumerate(sums):
        writer.add(Store(scratch, Affine(n * lanes), value, wide=True))
    with writer.loop(rows) as i, writer.loop(columns) as j:
        value = writer.name()
        writer.add(Load(value, scratch, (i * columns + j) * lanes, wide=True))
        element(i, j, value)


def _prepare(product: Product) -> None:
    """Single numbers that the epilogue uses, in all lanes before its loop."""
    writer = product.writer
    for node in _epilogue(product):
        for number in (a for a in node.args if a.type.rank == 0 and not a.type.batched):
            if not isinstance(number.op, Constant):
                writer.know(number, (), writer.compute("wide", writer.value(number, ())))


def _epilogue(product: Product) -> list[Node]:
    """What is computed for each accumulator."""
    stored = product.writer.plan.where
    seen: dict[Node, None] = {}
    stack = [s.node for s in product.stores]
    while stack:
        node = stack.pop()
        if node in seen or node is product.node:
            continue
        seen[node] = None
        stack.extend(a for a in node.args if a not in stored)
    return list(seen)


def _epilogue_cost(product: Product) -> int:
    """Vector instructions for one accumulator."""
    return len(product.stores) + sum(own_cost(n) for n in _epilogue(product))
