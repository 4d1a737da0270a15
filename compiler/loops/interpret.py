"""The meaning of kernels: every statement executed in NumPy, a vector as an array of its lanes.

Invariant: an access outside its buffer is an error, and memory that was never written is NaN.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from netc.compiler.loops.loops import (
    AddSums,
    Affine,
    Bind,
    Compute,
    Count,
    Draw,
    Extent,
    For,
    Guard,
    Kernel,
    Load,
    LoadRows,
    Mask,
    Operand,
    PackRows,
    Place,
    Places,
    Position,
    Prefetch,
    Quotient,
    ReadScalar,
    Rows,
    Statement,
    Store,
    StoreResult,
    StoreRows,
    TransposeTile,
    Within,
)
from netc.compiler.ops.elementwise import ELEMENTWISE
from netc.compiler.ops.source import dtype, uniform
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from netc.compiler.ir.op import Array, Environment
    from netc.compiler.ir.types import Precision

Number: TypeAlias = Any
"""A narrow value, a wide one (an array of lanes) or a mask."""

Value: TypeAlias = Any
"""A number of the kernel's precision, or an array of one number for each lane."""

OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{op.word: op.numpy for op in ELEMENTWISE},
    "fma": lambda a, b, c: a * b + c,
    "keep": np.where,
    "reduce_add": np.sum,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "wide": lambda x: x,
    "convert": lambda x: x,
}


class AccessError(Exception):
    """A kernel reads or writes outside a buffer."""


def run_kernel(
    kernel: Kernel,
    memory: Sequence[Array],
    env: Environment,
    *,
    lanes: int,
    precision: Precision,
    blocks: range | None = None,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Executes a kernel on its buffers, flat arrays in the order of their numbers.

    It does some `blocks`, all when they are not given, or one `part` of so many. Batch, seed, step
    and the run-time numbers come from `env`; results are float64. Raises AccessError for an access
    outside a buffer.
    """
    number = dtype(precision)
    tiles = [np.full(size, np.nan, number) for size in kernel.scratch]
    buffers = dict(enumerate(memory)) | {-i: tile for i, tile in enumerate(tiles, 1)}
    blocks = range(-(-env.batch // lanes)) if blocks is None else blocks
    integers = {"B": env.batch, "first": blocks.start, "blocks": len(blocks)}
    integers |= {"part": part[0], "parts": part[1]}
    with np.errstate(all="ignore"):
        _Run(buffers, env, lanes, number, integers).statements(kernel.body)


@record
class _Run:
    """A kernel while it is executed: integer variables and values by name."""

    buffers: Mapping[int, Array]
    env: Environment
    lanes: int
    number: type[np.float32] | type[np.float64]
    integers: dict[str, int]
    values: dict[str, Any] = field(default_factory=dict)

    def statements(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, statement: Statement) -> None:  # noqa: C901 - one case each
        values = self.values
        match statement:
            case Load():
                values[statement.name] = self.load(statement)
            case Store():
                self.store(statement)
            case AddSums(buffer, indices, summed):
                for index, value in zip(indices, summed, strict=True):
                    lanes = np.broadcast_to(self.value(value), self.lanes)
                    self.place(buffer, index, wide=False)[...] += np.sum(lanes)
            case Prefetch():
                pass
            case Compute(name, op, args):
                found = OPERATIONS[op](*(self.value(a) for a in args))
                values[name] = np.asarray(found, self.number)
            case For():
                self.loop(statement)
            case Bind(name, count):
                self.integers[name] = self.extent(count)
            case Quotient(name, index, divisor, remainder):
                whole, rest = divmod(self.index(index), divisor)
                self.integers[name] = rest if remainder else whole
            case Within(first, count, index, step, length, extent):
                start = self.index(index)
                rounds = [r for r in range(extent) if 0 <= start + step * r < length]
                self.integers[first] = rounds[0] if rounds else 0
                self.integers[count] = len(rounds)
            case Guard(name, clamped, index, length):
                at = self.index(index)
                values[name] = 0 <= at < length
                self.integers[clamped] = at if values[name] else 0
            case TransposeTile():
                self.transpose(statement)
            case Position() | Mask() | Draw() | ReadScalar():
                values[statement.name] = self.made(statement)
            case Place(name, value, limit):
                self.integers[name] = int(_checked(self.value(value), limit))
            case Rows() | LoadRows() | PackRows() | StoreRows() | StoreResult() | Places():
                self.border(statement)

    def load(self, load: Load) -> Number:
        if load.step == 1 and load.live is None:
            return self.place(load.buffer, load.index, load.wide).copy()
        first, last = load.live or (0, self.lanes)
        found = np.zeros(self.lanes, self.number)
        for lane in range(first, last):
            found[lane] = self.place(load.buffer, load.index + lane * load.step, wide=False)
        return found

    def store(self, store: Store) -> None:
        value = self.value(store.value)
        if store.live is None:
            self.place(store.buffer, store.index, store.wide)[...] = value
            return
        lanes = np.broadcast_to(value, self.lanes)
        for lane in range(store.live):
            self.place(store.buffer, store.index + lane, wide=False)[...] = lanes[lane]

    def transpose(self, tile: TransposeTile) -> None:
        """All vectors are read before the first is written."""
        numbers = range(self.lanes)
        starts = [tile.index + min(i, tile.valid - 1) * tile.step for i in numbers]
        columns = np.stack([self.place(tile.source, at, wide=True) for at in starts])
        for i in numbers:
            target = self.place(tile.target, tile.target_index + i * tile.stride, wide=True)
            target[...] = columns[:, i]

    def made(self, statement: Position | Mask | Draw | ReadScalar) -> Number:
        match statement:
            case Position(_, index, wide):
                return self.number(self.index(index) + (self.along() if wide else 0))
            case Mask(_, index, limit):
                end = self.integers[limit] if isinstance(limit, str) else limit
                return self.index(index) + self.along() < end
            case Draw(_, path, element, sample, lanes):
                along = {lanes: self.along().astype(np.uint64)}
                zero = np.zeros(() if lanes == "none" else self.lanes, np.uint64)
                elements = along.get("elements", zero) + np.uint64(self.index(element))
                samples = along.get("samples", zero) + np.uint64(self.index(sample))
                return uniform(elements, samples, self.env, path).astype(self.number)
            case ReadScalar(_, scalar):
                known = {"step": self.env.step, "batch_size": self.env.batch}
                return self.number(self.env.values.get(("scalar", scalar), known.get(scalar)))

    def border(
        self, statement: Rows | LoadRows | PackRows | StoreRows | StoreResult | Places
    ) -> None:
        last = self.env.batch - 1
        match statement:
            case Rows(name, index):
                self.values[name] = np.minimum(self.index(index) + self.along(), last)
            case Places(name, value, limit, step, apart):
                lanes = np.broadcast_to(_checked(self.value(value), limit), self.lanes)
                places = lanes.astype(np.int64) * step
                self.values[name] = places + (self.along() if apart else 0)
            case LoadRows(name, buffer, rows, size, element):
                places = self.values[rows] * size + self.index(element)
                self.values[name] = self.buffers[buffer][places]
            case PackRows(buffer, rows, size, target, index):
                for e in range(size):
                    vector = self.place(target, index + e * self.lanes, wide=True)
                    vector[...] = self.buffers[buffer][self.values[rows] * size + e]
            case StoreRows(buffer, first, size, element, value):
                samples = self.index(first) + self.along()
                alive = samples <= last
                places = samples[alive] * size + self.index(element)
                self.buffers[buffer][places] = np.broadcast_to(self.value(value), self.lanes)[alive]
            case StoreResult(buffer, number, value):
                self.buffers[buffer][number] = self.value(value)

    def loop(self, loop: For) -> None:
        carried = [self.value(c.initial) for c in loop.carries]
        for i in self.rounds(loop):
            self.integers[loop.variable] = i
            self.values.update(zip((c.name for c in loop.carries), carried, strict=True))
            self.statements(loop.body)
            carried = [self.value(c.next) for c in loop.carries]
        for carry, value in zip(loop.carries, carried, strict=True):
            width = self.lanes if carry.wide else ()
            self.values[carry.result] = np.broadcast_to(value, width)

    def rounds(self, loop: For) -> range:
        extent = self.extent(loop.extent)
        if not loop.split:
            return range(extent)
        part, parts = self.integers["part"], self.integers["parts"]
        return range(extent * part // parts, extent * (part + 1) // parts)

    def extent(self, extent: Extent) -> int:
        if isinstance(extent, Count):
            base = self.integers[extent.base]
            return base % extent.divisor if extent.remainder else base // extent.divisor
        return extent

    def place(self, buffer: int, index: Affine, wide: bool) -> Array:
        start, memory = self.index(index), self.buffers[buffer]
        width = self.lanes if wide else 1
        if not 0 <= start <= len(memory) - width:
            place = f"{start}, width {width}"
            raise AccessError(f"buffer {buffer} of {len(memory)} elements at {place}")
        return memory[start : start + width] if wide else memory[start : start + 1].reshape(())

    def index(self, index: Affine) -> int:
        return index.constant + sum(self.integers[n] * factor for n, factor in index.terms)

    def along(self) -> NDArray[np.int64]:
        return np.arange(self.lanes)

    def value(self, operand: Operand) -> Number:
        return self.values[operand] if isinstance(operand, str) else self.number(operand)


def _checked(value: Number, limit: int) -> Number:
    """A value that counts places; AccessError when there is no such place."""
    if not np.all((value >= 0) & (value < limit)):
        raise AccessError(f"place {value} of {limit}")
    return value
