"""Kernels of contractions: register tiles of accumulators, with elementwise stores as epilogue.

One generator serves every product and every gradient of a product. What differs between the forms
(see `netc.compiler.plan.tiles`) is which accesses are vectors and which loops are summed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netc.compiler.loops.loops import (
    Affine,
    Bind,
    Count,
    Extent,
    Load,
    Operand,
    Store,
    TransposeTile,
    var,
)
from netc.compiler.loops.nests import BLOCKS, over_batch, write_at
from netc.compiler.loops.views import View, view
from netc.compiler.ops.contract import Contract
from netc.compiler.plan import tiles
from netc.compiler.plan.costs import own_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.writer import Writer
    from netc.compiler.plan.plan import Buffer
    from netc.compiler.plan.plan import Store as PlannedStore

UNROLL: Final = 4
"""Rounds of the innermost summed loop in one body: 2 is slower, 8 only longer."""

STRAIGHT_EPILOGUE: Final = 160
"""A longer epilogue is a loop over the tile in L1: unrolled it would spill the accumulators."""

BLOCK, LANE = "block", "lane"
"""Summed loops of the batch, beside the letters of the contraction."""


@dataclass(frozen=True, slots=True)
class Access:
    """Memory that moves with the summed loops: elements per round of each loop."""

    buffer: int
    offset: Affine
    steps: dict[str, int]
    wide: bool


@dataclass(frozen=True, slots=True)
class Summed:
    """One summed loop."""

    name: str
    extent: Extent


@dataclass(frozen=True, slots=True)
class Product:
    """What all forms need: the node, its epilogue, its axes and operands."""

    writer: Writer
    node: Node
    stores: tuple[PlannedStore, ...]
    tile: tiles.Tile
    limits: tiles.Limits
    axes: tiles.Axes
    views: tuple[View, View]

    @property
    def broadcast(self) -> View:
        return self.views[1 - self.tile.moving]

    @property
    def moving(self) -> View:
        return self.views[self.tile.moving]

    def access(self, operand: View, at: dict[str, Affine], wide: bool) -> Access:
        """An operand at the given letters; the letters not given are summed over."""
        offset = operand.offset
        steps: dict[str, int] = {}
        for letter, stride in zip(operand.letters, operand.strides, strict=True):
            if letter in at:
                offset += at[letter] * stride
            else:
                steps[letter] = steps.get(letter, 0) + stride
        return Access(self.writer.number(operand.buffer), offset, steps, wide)


def write_contract(
    writer: Writer,
    node: Node,
    stores: Sequence[PlannedStore],
    registers: int,
    panel: Buffer | None,
) -> None:
    """The kernel of a contraction with its epilogue."""
    axes = tiles.axes_of(node)
    views = (
        view(writer.plan, node.args[0], axes.operands[0]),
        view(writer.plan, node.args[1], axes.operands[1]),
    )
    tile = tiles.choose_tile(node, writer.lanes)
    product = Product(
        writer, node, tuple(stores), tile, tiles.limits(registers), axes, views
    )
    match tile.form:
        case "samples":
            _samples(product)
        case "pairs":
            _pairs(product)
        case "outer":
            assert panel is not None
            _outer(product, panel)
        case "columns":
            _columns(product)
        case "loops":
            _loops(product)


# -- the tile --------------------------------------------------------------------------------------


def _accumulate(
    writer: Writer,
    loops: Sequence[Summed],
    rows: Sequence[Access],
    columns: Sequence[Access],
    initial: Sequence[Operand],
) -> Sequence[Operand]:
    """Σ rows[i] · columns[j] over the loops, for every i and j; row-major."""

    def walk(depth: int, shift: dict[str, Affine], sums: Sequence[Operand]) -> Sequence[Operand]:
        if depth == len(loops):
            return _multiply(writer, rows, columns, shift, sums)
        loop = loops[depth]
        inner = depth == len(loops) - 1
        unroll = UNROLL if inner and isinstance(loop.extent, int) else 1
        rounds = loop.extent // unroll if isinstance(loop.extent, int) else loop.extent
        if rounds == 0:
            opened = None
        else:
            opened = writer.begin(rounds, sums, hint="k")
            sums = opened.carried
            for u in range(unroll):
                at = opened.index * unroll + u
                sums = walk(depth + 1, {**shift, loop.name: at}, sums)
            sums = writer.end(opened, sums)
        if isinstance(loop.extent, int):
            for at in range(rounds * unroll if opened else 0, loop.extent):
                sums = walk(depth + 1, {**shift, loop.name: Affine(at)}, sums)
        return sums

    return walk(0, {}, initial)


def _multiply(
    writer: Writer,
    rows: Sequence[Access],
    columns: Sequence[Access],
    shift: dict[str, Affine],
    sums: Sequence[Operand],
) -> list[Operand]:
    moving = [_load(writer, c, shift) for c in columns]
    result: list[Operand] = []
    for i, row in enumerate(rows):
        value = _load(writer, row, shift)
        for j, vector in enumerate(moving):
            result.append(writer.compute("fma", value, vector, sums[i * len(columns) + j]))
    return result


def _load(writer: Writer, access: Access, shift: dict[str, Affine]) -> str:
    offset = access.offset
    for name, step in access.steps.items():
        offset += shift[name] * step
    loaded = writer.name()
    writer.add(Load(loaded, access.buffer, offset, access.wide))
    return loaded


def _finish(
    product: Product,
    sums: Sequence[Operand],
    shape: tuple[int, int],
    enter: Callable[[Affine, Affine], dict[str, Affine]],
) -> None:
    """The epilogue of a tile of `shape`; `enter(i, j)` prepares the writer and gives the letters."""
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
    scratch = writer.new_scratch(len(sums) * lanes)
    for n, value in enumerate(sums):
        writer.add(Store(scratch, Affine(n * lanes), value, wide=True))
    with writer.loop(rows) as i, writer.loop(columns) as j:
        value = writer.name()
        writer.add(Load(value, scratch, (i * columns + j) * lanes, wide=True))
        element(i, j, value)


def _epilogue_cost(product: Product) -> int:
    """Vector instructions for one accumulator."""
    stored = product.writer.plan.where
    seen: set[Node] = set()
    stack = [s.node for s in product.stores]
    while stack:
        node = stack.pop()
        if node in seen or node is product.node:
            continue
        seen.add(node)
        stack.extend(a for a in node.args if a not in stored)
    return len(product.stores) + sum(own_cost(n) for n in seen)


# -- lanes are samples -----------------------------------------------------------------------------


def _samples(product: Product) -> None:
    """Tiles of rows of the unbatched operand by blocks of samples; wider tiles first."""
    writer = product.writer
    first = Affine()
    left = Count("blocks")
    widths = sorted(product.limits.rows, reverse=True)
    for width in (w for w in widths if w != 3):
        taken = Count(left.base, width)
        rest = writer.name("n")
        if width > 1:
            groups = writer.name("n")
            writer.add(Bind(groups, taken))
            writer.add(Bind(rest, Count(left.base, width, remainder=True)))
        else:
            groups = left.base
        _sample_tiles(product, width, Count(groups), first)
        first += var(groups) * width
        left = Count(rest)


def _sample_tiles(product: Product, width: int, groups: Count, first: Affine) -> None:
    writer, row = product.writer, product.tile.row
    start = 0
    for rows, count in _row_split(product, width):
        with writer.loop(count, hint="f") as tile, _outer_letters(product, row) as outer:
            opened = writer.begin(groups, hint="g")
            block = first + opened.index * width
            _sample_tile(product, outer, tile * rows + start, (rows, width), block)
            writer.end(opened)
        start += rows * count


def _row_split(product: Product, width: int) -> list[tuple[int, int]]:
    row = product.tile.row
    extent = 1 if row is None else product.axes.sizes[row]
    most = product.limits.rows[width]
    main = width == product.limits.vectors
    return tiles.split(extent, most, most - 1 if main else tiles.ENOUGH_ACCUMULATORS // width)


def _sample_tile(
    product: Product,
    outer: dict[str, Affine],
    start: Affine,
    shape: tuple[int, int],
    block: Affine,
) -> None:
    writer, row = product.writer, product.tile.row
    rows, width = shape

    def at(i: Affine | int) -> dict[str, Affine]:
        return outer if row is None else {**outer, row: start + i}

    broadcast = [product.access(product.broadcast, at(i), wide=False) for i in range(rows)]
    plain = product.access(product.moving, outer, wide=True)
    per_block = product.moving.per_block
    vectors = [
        Access(plain.buffer, plain.offset + (block + j) * per_block, plain.steps, wide=True)
        for j in range(width)
    ]
    sums = _accumulate(writer, _letters(product), broadcast, vectors, [0.0] * (rows * width))

    def enter(i: Affine, j: Affine) -> dict[str, Affine]:
        writer.block = block + j
        return at(i)

    _finish(product, sums, shape, enter)
    writer.block = None


def _pairs(product: Product) -> None:
    """Both operands have a value for each sample: a small tile of both, block by block."""
    writer, row, column = product.writer, product.tile.row, product.tile.column
    blocks = writer.begin(BLOCKS, hint="b")
    for start, rows, count in _parts(product, row, 4):
        for begin, columns, times in _parts(product, column, 4):
            with (
                writer.loop(count, hint="f") as tile,
                writer.loop(times, hint="f") as across,
                _outer_letters(product, row, column) as outer,
            ):
                corner = (tile * rows + start, across * columns + begin)
                _pair_tile(product, outer, corner, (rows, columns), blocks.index)
    writer.end(blocks)


def _pair_tile(
    product: Product,
    outer: dict[str, Affine],
    corner: tuple[Affine, Affine],
    shape: tuple[int, int],
    block: Affine,
) -> None:
    writer, row, column = product.writer, product.tile.row, product.tile.column

    def at(letter: str | None, place: Affine) -> dict[str, Affine]:
        return outer if letter is None else {**outer, letter: place}

    def vectors(operand: View, letter: str | None, first: Affine, count: int) -> list[Access]:
        shift = block * operand.per_block
        found = [product.access(operand, at(letter, first + i), wide=True) for i in range(count)]
        return [Access(a.buffer, a.offset + shift, a.steps, wide=True) for a in found]

    sums = _accumulate(
        writer,
        _letters(product),
        vectors(product.broadcast, row, corner[0], shape[0]),
        vectors(product.moving, column, corner[1], shape[1]),
        [0.0] * (shape[0] * shape[1]),
    )

    def enter(i: Affine, j: Affine) -> dict[str, Affine]:
        writer.block = block
        return at(row, corner[0] + i) | at(column, corner[1] + j) | outer

    _finish(product, sums, shape, enter)
    writer.block = None


# -- lanes are columns of the result ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Panel:
    """The moving operand by samples: for each block, letters and panel, rows of `width` vectors."""

    buffer: int
    per_block: int
    strides: dict[str, int]
    splits: list[tuple[int, int]] = field(default_factory=list)


def _outer(product: Product, buffer: Buffer) -> None:
    """Sums over the batch: a product of panels of the moving operand with the other's samples."""
    writer = product.writer
    panel = _write_panel(product, buffer)
    full = writer.name("n")
    writer.add(Bind(full, Count("B", writer.lanes)))
    for first, width, count in _ranges(panel.splits):
        with writer.loop(count, hint="p") as across:
            _column_tiles(product, across * width + first, width, panel, full)


def _write_panel(product: Product, buffer: Buffer) -> Panel:
    """Transposes the moving operand, a square of samples and elements at a time."""
    writer, lanes, column = product.writer, product.writer.lanes, product.tile.column
    assert column is not None
    size = product.axes.sizes[column]
    vectors = tiles.panel_vectors(size, lanes)
    others = [c for c in dict.fromkeys(product.moving.letters) if c != column]
    strides, step = {}, vectors * lanes * lanes
    for letter in others:
        strides[letter] = step
        step *= product.axes.sizes[letter]
    panel = Panel(writer.number(buffer), step, strides, tiles.split(vectors, product.limits.vectors))
    with (
        writer.loop(BLOCKS, hint="b") as block,
        writer.named_loops({c: product.axes.sizes[c] for c in others}) as at,
    ):
        for first, width, count in _ranges(panel.splits):
            whole = count if first + width * count < vectors else count - 1
            if whole:
                with writer.loop(whole, hint="p") as across, writer.loop(width, hint="p") as inside:
                    corner = across * width + first
                    _transpose(product, panel, (block, at), (corner, inside, width), lanes)
            if whole < count:
                corner = Affine(first + width * whole)
                if width > 1:
                    with writer.loop(width - 1, hint="p") as inside:
                        _transpose(product, panel, (block, at), (corner, inside, width), lanes)
                inside = Affine(width - 1)
                valid = size - (vectors - 1) * lanes
                _transpose(product, panel, (block, at), (corner, inside, width), valid)
    return panel


def _transpose(
    product: Product,
    panel: Panel,
    sample: tuple[Affine, dict[str, Affine]],
    place: tuple[Affine, Affine, int],
    valid: int,
) -> None:
    """A square from element-major to sample-major; what lies beyond the axis repeats the last."""
    writer, lanes = product.writer, product.writer.lanes
    (block, at), (corner, inside, width) = sample, place
    assert product.tile.column is not None
    plain = product.access(
        product.moving, {**at, product.tile.column: (corner + inside) * lanes}, wide=True
    )
    step = product.moving.stride_of(product.tile.column)
    offset = plain.offset + block * product.moving.per_block
    loaded = [writer.name() for _ in range(valid)]
    for i, name in enumerate(loaded):
        writer.add(Load(name, plain.buffer, offset + step * i, wide=True))
    turned = tuple(writer.name() for _ in range(lanes))
    writer.add(TransposeTile(turned, (*loaded, *loaded[-1:] * (lanes - valid))))
    target = block * panel.per_block + corner * (lanes * lanes) + inside * lanes
    for letter, stride in panel.strides.items():
        target += at[letter] * stride
    for row, name in enumerate(turned):
        writer.add(Store(panel.buffer, target + row * width * lanes, name, wide=True))


def _column_tiles(product: Product, first: Affine, width: int, panel: Panel, full: str) -> None:
    writer, row, column = product.writer, product.tile.row, product.tile.column
    lanes = writer.lanes
    start = 0
    for rows, count in _row_split(product, width):
        with writer.loop(count, hint="f") as tile, _outer_letters(product, row, column) as outer:
            place = tile * rows + start
            at = [outer if row is None else {**outer, row: place + i} for i in range(rows)]
            broadcast = [_by_sample(product, a) for a in at]
            corner = first * (lanes * lanes)
            for letter, stride in panel.strides.items():
                if letter in outer:
                    corner += outer[letter] * stride
            steps = {c: s for c, s in panel.strides.items() if c not in outer}
            steps |= {BLOCK: panel.per_block, LANE: width * lanes}
            vectors = [
                Access(panel.buffer, corner + j * lanes, steps, wide=True) for j in range(width)
            ]
            sums = _over_samples(product, broadcast, vectors, full)
            _finish_columns(product, sums, (rows, width), outer, (place, first))
        start += rows * count


def _by_sample(product: Product, at: dict[str, Affine]) -> Access:
    plain = product.access(product.broadcast, at, wide=False)
    return Access(
        plain.buffer,
        plain.offset,
        plain.steps | {BLOCK: product.broadcast.per_block, LANE: 1},
        wide=False,
    )


def _over_samples(
    product: Product, rows: Sequence[Access], columns: Sequence[Access], full: str
) -> Sequence[Operand]:
    """Full blocks first, then the samples of the last block: exactly the batch, no masks."""
    writer, letters = product.writer, _letters(product)
    zeros: list[Operand] = [0.0] * (len(rows) * len(columns))
    whole = [*letters, Summed(BLOCK, Count(full)), Summed(LANE, writer.lanes)]
    sums = _accumulate(writer, whole, rows, columns, zeros)
    tail = [*letters, Summed(LANE, Count("B", writer.lanes, remainder=True))]

    def last_block(access: Access) -> Access:
        offset = access.offset + var(full) * access.steps[BLOCK]
        steps = {n: s for n, s in access.steps.items() if n != BLOCK}
        return Access(access.buffer, offset, steps, access.wide)

    rows, columns = [last_block(a) for a in rows], [last_block(a) for a in columns]
    return _accumulate(writer, tail, rows, columns, sums)


def _columns(product: Product) -> None:
    """Nothing batched: rows of one operand by vectors of the other."""
    writer, row, column = product.writer, product.tile.row, product.tile.column
    assert column is not None
    lanes = writer.lanes
    vectors = tiles.panel_vectors(product.axes.sizes[column], lanes)
    for first, width, times in _ranges(tiles.split(vectors, product.limits.vectors)):
        for start, rows, count in _ranges(_row_split(product, width)):
            with (
                writer.loop(times, hint="p") as across,
                writer.loop(count, hint="f") as tile,
                _outer_letters(product, row, column) as outer,
            ):
                corner = across * width + first
                place = tile * rows + start
                at = [outer if row is None else {**outer, row: place + i} for i in range(rows)]
                sums = _accumulate(
                    writer,
                    _letters(product),
                    [product.access(product.broadcast, a, wide=False) for a in at],
                    [
                        product.access(
                            product.moving, {**outer, column: (corner + j) * lanes}, wide=True
                        )
                        for j in range(width)
                    ],
                    [0.0] * (rows * width),
                )
                _finish_columns(product, sums, (rows, width), outer, (place, corner))


def _finish_columns(
    product: Product,
    sums: Sequence[Operand],
    shape: tuple[int, int],
    outer: dict[str, Affine],
    corner: tuple[Affine, Affine],
) -> None:
    writer, row, column = product.writer, product.tile.row, product.tile.column
    assert column is not None
    with writer.along_lanes(1) as lane:

        def enter(i: Affine, j: Affine) -> dict[str, Affine]:
            at = {**outer, column: (corner[1] + j) * writer.lanes + lane}
            return at if row is None else {**at, row: corner[0] + i}

        _finish(product, sums, shape, enter)


# -- everything else -------------------------------------------------------------------------------


def _loops(product: Product) -> None:
    """One accumulator at a time; lanes are samples when the sum runs over the batch."""
    writer, out = product.writer, product.axes.out
    assert isinstance(product.node.op, Contract)
    sum_batch = product.node.op.sum_batch
    with writer.loops([product.axes.sizes[c] for c in out]) as index:
        at = dict(zip(out, index, strict=True))

        def product_of() -> Operand:
            accesses = []
            for operand in product.views:
                plain = product.access(operand, at, wide=operand.per_block > 0)
                if writer.block is not None and plain.wide:
                    shift = writer.block * operand.per_block
                    plain = Access(plain.buffer, plain.offset + shift, plain.steps, plain.wide)
                accesses.append(plain)
            return _single(writer, _letters(product), accesses, sum_batch)

        if sum_batch:
            value = over_batch(writer, "sum", product_of)
        else:
            value = product_of()
        writer.know(product.node, index, value)
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
    first, second = (_load(writer, a, shift) for a in accesses)
    total = writer.compute("fma", first, second, total)
    for loop in reversed(opened):
        (total,) = writer.end(loop, [total])
    return total


# -- shared ----------------------------------------------------------------------------------------


def _letters(product: Product) -> list[Summed]:
    """The summed letters; the one with the smallest steps innermost."""
    def stride(letter: str) -> int:
        return min(abs(v.stride_of(letter)) or 1 << 60 for v in product.views)

    letters = sorted(product.axes.summed, key=stride, reverse=True)
    return [Summed(c, product.axes.sizes[c]) for c in letters]


def _outer_letters(
    product: Product, *tiled: str | None
) -> AbstractContextManager[dict[str, Affine]]:
    """Loops over the letters of the result that the tile does not cover."""
    letters = [c for c in product.axes.out if c not in tiled]
    return product.writer.named_loops({c: product.axes.sizes[c] for c in letters})


def _parts(product: Product, letter: str | None, most: int) -> list[tuple[int, int, int]]:
    extent = 1 if letter is None else product.axes.sizes[letter]
    return _ranges(tiles.split(extent, most))


def _ranges(splits: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(start, size, count) of successive tiles."""
    found, start = [], 0
    for size, count in splits:
        found.append((start, size, count))
        start += size * count
    return found
