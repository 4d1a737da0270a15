"""Writes the statements of one kernel, and values of graph nodes at an index inside it.

A node that is not stored is computed where it is used: movements become index arithmetic,
elementwise ops become one instruction on the values of their arguments at the same index.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netc.compiler.loops.lanes import leaves
from netc.compiler.loops.leaves import draw, table
from netc.compiler.loops.loops import (
    Affine,
    Carry,
    Compute,
    Count,
    Extent,
    For,
    Guard,
    Kernel,
    Load,
    Operand,
    Position,
    Quotient,
    ReadScalar,
    Statement,
    Store,
    var,
)
from netc.compiler.loops.moves import moved
from netc.compiler.loops.windows import reduced
from netc.compiler.ops.elementwise import StopGradient
from netc.compiler.ops.movement import Movement
from netc.compiler.ops.reduce import Lift, Reduce
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Iota, Random, Source, Table
from netc.compiler.plan.storage import row_major, storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Plan

Index = tuple[Affine, ...]


class NotAlongLanesError(Exception):
    """The vectorised axis would need a gather: the nest is written again without vectors."""


@dataclass(slots=True)
class Loop:
    """A loop that is being written: its variable and the values it carries."""

    variable: str
    extent: Extent
    carried: tuple[str, ...]
    initial: tuple[Operand, ...]
    wide: bool
    split: bool

    @property
    def index(self) -> Affine:
        return var(self.variable)


class Writer:
    """One kernel in the making.

    `block` is the index of the block of samples while one is open. `lane_axis` is the variable that
    counts vectors along an axis of unbatched values, None when there is no such axis; `live` is how
    many of its lanes count, None for all. With `steps` elements along it may be read that are not
    neighbours. With `flat` the index of a stored value is its (row, column) instead of one index
    for each axis.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lanes = plan.lanes
        self.block: Affine | None = None
        self.lane_axis: str | None = None
        self.flat = False
        self.live: int | None = None
        self.steps = False
        self.buffers: dict[Buffer, int] = {}
        self.scratch: list[int] = []
        self.extents: dict[str, int] = {}
        self._bodies: list[list[Statement]] = [[]]
        self._known: list[dict[object, Operand]] = [{}]
        self._names = 0

    # -- statements ----------------------------------------------------------------------------

    def name(self, hint: str = "v") -> str:
        self._names += 1
        return f"{hint}{self._names}"

    def add(self, statement: Statement) -> None:
        self._bodies[-1].append(statement)

    def compute(self, op: str, *args: Operand) -> str:
        name = self.name()
        self.add(Compute(name, op, args))
        return name

    def number(self, buffer: Buffer) -> int:
        """The number of a buffer in this kernel."""
        return self.buffers.setdefault(buffer, len(self.buffers))

    def begin(
        self,
        extent: Extent,
        initial: Sequence[Operand] = (),
        wide: bool = True,
        hint: str = "i",
        *,
        split: bool = False,
    ) -> Loop:
        """Opens a loop that carries a value for each initial one."""
        carried = tuple(self.name("c") for _ in initial)
        loop = Loop(self.name(hint), extent, carried, tuple(initial), wide, split)
        if isinstance(extent, int):
            self.extents[loop.variable] = extent
        self._bodies.append([])
        self._known.append({})
        return loop

    def end(self, loop: Loop, following: Sequence[Operand] = ()) -> tuple[str, ...]:
        """Closes the innermost loop; returns the last carried values."""
        body = tuple(self._bodies.pop())
        self._known.pop()
        results = tuple(self.name("r") for _ in loop.carried)
        carries = tuple(
            Carry(*fields, loop.wide)
            for fields in zip(loop.carried, loop.initial, following, results, strict=True)
        )
        self.add(For(loop.variable, loop.extent, body, carries, loop.split))
        return results

    @contextmanager
    def loop(self, extent: Extent, hint: str = "i", *, split: bool = False) -> Iterator[Affine]:
        """A loop that carries nothing; a single round needs no loop, unless it is some part's."""
        if extent == 1 and not split:
            yield Affine()
            return
        opened = self.begin(extent, hint=hint, split=split)
        yield opened.index
        self.end(opened)

    @contextmanager
    def blocks(self) -> Iterator[Affine]:
        """The loop over the blocks of this call, opened at one of them."""
        opened = self.begin(Count("blocks"), hint="b")
        self.block = opened.index + var("first")
        yield self.block
        self.block = None
        self.end(opened)

    @contextmanager
    def loops(self, shape: Sequence[int], *, split: bool = False) -> Iterator[Index]:
        """Nested loops over a shape; with `split` the longest is shared out among the parts."""
        longest = max(shape, default=1)
        shared = shape.index(longest) if split and longest > 1 else None
        with self.loop(1, split=split and shared is None):
            opened = [
                None if size == 1 else self.begin(size, split=axis == shared)
                for axis, size in enumerate(shape)
            ]
            yield tuple(Affine() if loop is None else loop.index for loop in opened)
            for loop in reversed(opened):
                if loop is not None:
                    self.end(loop)

    @contextmanager
    def named_loops(
        self, sizes: Mapping[str, int], *, split: bool = False
    ) -> Iterator[dict[str, Affine]]:
        """Nested loops over named axes."""
        with self.loops(tuple(sizes.values()), split=split) as index:
            yield dict(zip(sizes, index, strict=True))

    @contextmanager
    def vectors(self, outer: Sequence[int], last: int, *, split: bool = False) -> Iterator[Index]:
        """Nested loops over a shape whose last axis runs along the lanes."""
        inner = split and -(-last // self.lanes) > max(outer, default=0)
        with (
            self.loops(outer, split=split and not inner) as index,
            self.along_lanes(last, split=inner) as lane,
        ):
            yield (*index, lane)

    def new_scratch(self, elements: int) -> int:
        """A stack tile; its number is negative: -1 is the first."""
        self.scratch.append(elements)
        return -len(self.scratch)

    @contextmanager
    def along_lanes(self, size: int, *, split: bool = False) -> Iterator[Affine]:
        """A loop over whole vectors that cover `size` neighbouring elements."""
        opened = self.begin(-(-size // self.lanes), hint="l", split=split)
        self.lane_axis = opened.variable
        yield opened.index * self.lanes
        self.lane_axis = None
        self.end(opened)

    @contextmanager
    def some(self, live: int) -> Iterator[None]:
        """Vectors along an axis of which only the first `live` lanes count."""
        self.live = live if live < self.lanes else None
        yield
        self.live = None

    def attempt(self, *ways: Callable[[], None]) -> None:
        """Writes by the first way whose accesses all run along the lanes."""
        for way in ways:
            state = (len(self._bodies), len(self._bodies[-1]), dict(self.buffers), self._names)
            try:
                way()
            except NotAlongLanesError:
                depth, length, self.buffers, self._names = state
                del self._bodies[depth:], self._known[depth:]
                del self._bodies[-1][length:]
                self._known[-1].clear()
                self.lane_axis = self.live = None
            else:
                return
        raise AssertionError("no way to write the nest")

    def kernel(self) -> Kernel:
        (body,) = self._bodies
        return Kernel(tuple(body), len(self.buffers), tuple(self.scratch))

    # -- memory --------------------------------------------------------------------------------

    def offset(self, node: Node, index: Index) -> Affine:
        """The element of a stored node's buffer at an index of its shape."""
        stored = storage(node.type, self.lanes)
        if self.flat and node.type.rank > 0:
            row = stored.strides[0] if node.type.rank > 1 else 0
            return index[0] * row + index[1]
        offset = Affine()
        for axis, stride in zip(index, stored.strides, strict=True):
            offset += axis * stride
        if node.type.batched:
            assert self.block is not None, "a batched value outside the loop over blocks"
            offset += self.block * stored.elements
        return offset

    def is_wide(self, offset: Affine, batched: bool) -> bool:
        """Whether an access at `offset` touches a whole vector."""
        if batched:
            return True
        along = 0 if self.lane_axis is None else offset.coefficient(self.lane_axis)
        if along not in (0, self.lanes):
            raise NotAlongLanesError
        return along != 0

    def load(self, node: Node, index: Index) -> str:
        offset = self.offset(node, index)
        name, buffer = self.name(), self.number(self.plan.where[node])
        if node.type.batched:
            self.add(Load(name, buffer, offset, wide=True))
        elif step := self._step(offset):
            if leaves(self, node, offset, step):
                raise NotAlongLanesError
            live = (0, self.live) if self.live else None
            self.add(Load(name, buffer, offset, wide=True, step=step, live=live))
        else:
            self.add(Load(name, buffer, offset, wide=False))
        return name

    def _step(self, offset: Affine) -> int:
        """The distance of the elements in neighbouring lanes, 0 if they are one element."""
        if self.lane_axis is None or not self.steps:
            return int(self.is_wide(offset, batched=False))
        step, rest = divmod(offset.coefficient(self.lane_axis), self.lanes)
        if rest:
            raise NotAlongLanesError
        return step

    def store(
        self, buffer: Buffer, node: Node, index: Index, value: Operand, *, add: bool = False
    ) -> None:
        """Writes an element, or with `add` adds to it."""
        offset = self.offset(node, index)
        wide = self.is_wide(offset, node.type.batched)
        if add:
            old = self.name()
            self.add(Load(old, self.number(buffer), offset, wide))
            value = self.compute("add", old, value)
        live = self.live if wide and not node.type.batched else None
        self.add(Store(self.number(buffer), offset, value, wide, live))

    # -- values --------------------------------------------------------------------------------

    def know(self, node: Node, index: Index, value: Operand) -> None:
        """Notes a value that has been computed at an index, for the rest of this loop body."""
        self._known[-1][self._key(node, index)] = value

    def _key(self, node: Node, index: Index) -> tuple[Node, Index, Affine | None]:
        return node, index, self.block if node.type.batched else None

    def known(self, node: Node, index: Index) -> Operand | None:
        """The value of a node at an index where it has been computed already."""
        return self._recall(self._key(node, index))

    def _recall(self, key: object) -> Operand | None:
        return next((v for k in reversed(self._known) if (v := k.get(key)) is not None), None)

    def value(self, node: Node, index: Index) -> Operand:
        """The value of a node at an index: known, loaded, or computed."""
        known = self.known(node, index)
        if known is not None:
            return known
        stored = node in self.plan.where
        value = self.load(node, index) if stored else self.evaluate(node, index)
        self.know(node, index, value)
        return value

    def evaluate(self, node: Node, index: Index) -> Operand:
        """Computes a node that needs no loops of its own."""
        args = node.args
        match node.op:
            case StopGradient():
                return self.value(args[0], index)
            case Elementwise() as op:
                return self.compute(op.name, *(self.value(a, index) for a in args))
            case Constant(value=number):
                return number
            case Source(space="scalar", name=scalar):
                name = self.name()
                self.add(ReadScalar(name, scalar))
                return name
            case Random() as op:
                return draw(self, op, index)
            case Iota():
                return self.position(index[0])
            case Table() as op:
                return table(self, op, index)
            case Lift():
                return self.value(args[0], index)
            case Reduce():
                return reduced(self, node, index)
            case Movement():
                return moved(self, node, index)
        raise AssertionError(f"{node.op} needs loops of its own")

    def guard(self, index: Affine, length: int) -> tuple[str, Affine]:
        """Whether an index lies inside an axis, and one that always does."""
        key = ("guard", index, length)
        name = self._recall(key)
        if name is None:
            name = self.name("in")
            self.add(Guard(name, f"{name}.at", index, length))
            self.extents[f"{name}.at"] = length
            self._known[-1][key] = name
        return str(name), var(f"{name}.at")

    def require_one(self, index: Affine) -> None:
        """An index that must be the same for all lanes."""
        if self.lane_axis is not None and index.coefficient(self.lane_axis):
            raise NotAlongLanesError

    def position(self, index: Affine) -> Operand:
        """An index as a number."""
        if not index.terms:
            return float(index.constant)
        name = self.name()
        self.add(Position(name, index, self.is_wide(index, batched=False)))
        return name

    def divided(self, index: Affine, divisor: int) -> tuple[Affine, Affine]:
        """Quotient and remainder of an index; without any instruction where the loops fit."""
        if all(factor % divisor == 0 for _, factor in index.terms):
            quotient, rest = divmod(index.constant, divisor)
            terms = tuple((name, factor // divisor) for name, factor in index.terms)
            return Affine(quotient, terms), Affine(rest)
        self.require_one(index)
        quotient_name, rest_name = self.name("q"), self.name("q")
        self.add(Quotient(quotient_name, index, divisor, remainder=False))
        self.add(Quotient(rest_name, index, divisor, remainder=True))
        self.extents[rest_name] = divisor
        last = sum(factor * (self.extents[n] - 1) for n, factor in index.terms)
        self.extents[quotient_name] = (index.constant + last) // divisor + 1
        return var(quotient_name), var(rest_name)

    def unflatten(self, flat: Affine, shape: tuple[int, ...]) -> Index:
        index: list[Affine] = []
        for size, stride in zip(shape, row_major(shape), strict=True):
            name = self.name("q")
            self.add(Quotient(name, flat, stride, remainder=False))
            inside = self.name("q")
            self.add(Quotient(inside, var(name), size, remainder=True))
            self.extents[inside] = size
            index.append(var(inside))
        return tuple(index)
