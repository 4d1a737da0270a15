"""Ops without operands: named values, constants, index ranges and random draws.

Equality of constants is equality of bits in their precision: 0.0 and -0.0 differ, NaN equals NaN.
"""

from __future__ import annotations

import struct
from math import copysign, inf, isnan, nan, prod
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node, Space
    from netc.compiler.ir.op import Array, Environment, Sample, Times
    from netc.compiler.ir.types import Precision

Words = NDArray[np.uint64]

_CHUNK: Final = 8192
"""Random numbers drawn at a time: the words on the way to them stay in the cache."""


def dtype(precision: Precision) -> type[np.float32] | type[np.float64]:
    """The NumPy element type of a precision."""
    return np.float32 if precision == "f32" else np.float64


def rounded(value: float, precision: Precision) -> float:
    """The nearest number of the precision; every NaN becomes the one NaN."""
    if isnan(value):
        return nan
    if precision == "f64":
        return float(value)
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return copysign(inf, value)
    return float(single)


def most_indices(precision: Precision) -> int:
    """How many whole numbers 0, 1, … are exact in the precision."""
    return 1 << (24 if precision == "f32" else 53)


def bits(values: tuple[float, ...]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


class SourceForm(Op):
    """What all sources share: no operands, hence no derivative."""

    __slots__ = ()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return ()

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return ()


@record
class Source(SourceForm):
    """A value from outside the graph, `name` in `space`."""

    space: Space
    name: str
    shape: tuple[int, ...]
    batched: bool
    precision: Precision

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.shape, self.batched, self.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        if self.space == "placeholder":
            batch = (env.batch,) if self.batched else ()
            return np.full(batch + self.shape, np.nan, dtype(self.precision))
        known = {("scalar", "step"): env.step, ("scalar", "batch_size"): env.batch}
        value = env.values.get((self.space, self.name), known.get((self.space, self.name)))
        if value is None:
            raise ValueError(f"no value for {self.space} {self.name!r} : {node.type}")
        array: Array = np.asarray(value, dtype(self.precision))
        expected = ((env.batch,) if self.batched else ()) + self.shape
        if array.shape != expected:
            raise ValueError(
                f"{self.space} {self.name!r} has shape {array.shape}, expected {expected}"
            )
        return array


@record(eq=False)
class Constant(SourceForm):
    """A tensor filled with one number, rounded to the precision."""

    value: float
    shape: tuple[int, ...]
    precision: Precision

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", rounded(self.value, self.precision))

    def _key(self) -> tuple[bytes, tuple[int, ...], Precision]:
        return bits((self.value,)), self.shape, self.precision

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.shape, False, self.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return np.full(self.shape, self.value, dtype(self.precision))


@record(eq=False)
class Table(SourceForm):
    """A small constant tensor: its elements in row-major order, rounded to the precision."""

    values: tuple[float, ...]
    shape: tuple[int, ...]
    precision: Precision

    def __post_init__(self) -> None:
        values = tuple(rounded(v, self.precision) for v in self.values)
        object.__setattr__(self, "values", values)

    def _key(self) -> tuple[bytes, tuple[int, ...], Precision]:
        return bits(self.values), self.shape, self.precision

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def infer(self, *types: TensorType) -> TensorType:
        if len(self.values) != prod(self.shape):
            raise TypeRuleError(f"{len(self.values)} numbers do not fill shape {list(self.shape)}")
        return TensorType(self.shape, False, self.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        values: Array = np.array(self.values, dtype(self.precision))
        return values.reshape(self.shape)


@record
class Iota(SourceForm):
    """The vector 0, 1, …, n-1."""

    n: int
    precision: Precision

    def infer(self, *types: TensorType) -> TensorType:
        if not 1 <= self.n <= most_indices(self.precision):
            raise TypeRuleError(f"{self.n} indices are not exact in {self.precision}")
        return TensorType((self.n,), False, self.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return np.arange(self.n, dtype=dtype(self.precision))


@record
class Random(SourceForm):
    """Uniform numbers in (0, 1), a pure function of seed, step, `path`, sample and element.

    Philox4x32-10 (Salmon et al., 2011): counter (element, sample, step low, step high), key (seed
    low, crc32(path) xor seed high); the number is ((first word >> 9) + 0.5) / 2**23, which is the
    same in f32 and f64. Unbatched draws use sample 0.
    """

    path: str
    shape: tuple[int, ...]
    batched: bool
    precision: Precision

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.shape, self.batched, self.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        element = np.arange(prod(self.shape), dtype=np.uint64)[None, :]
        sample = np.arange(env.batch if self.batched else 1, dtype=np.uint64)[:, None]
        shape = (sample.size, *self.shape) if self.batched else self.shape
        unit = uniform(element, sample, env, self.path)
        return unit.reshape(shape).astype(dtype(self.precision))


def uniform(element: Words, sample: Words, env: Environment, path: str) -> NDArray[np.float64]:
    """The draws named `path` of a step, for each (sample, element)."""
    seed, step = env.seed & (1 << 64) - 1, env.step & (1 << 64) - 1
    key = (seed & 0xFFFFFFFF, crc32(path.encode()) ^ seed >> 32)
    elements, samples = np.broadcast_arrays(element, sample)
    numbers = np.empty(elements.shape)
    for start in range(0, numbers.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        here = elements.flat[part], samples.flat[part]
        word = philox(*here, step & 0xFFFFFFFF, step >> 32, key)
        numbers.flat[part] = ((word >> np.uint64(9)).astype(np.float64) + 0.5) / 2**23
    return numbers


def philox(
    element: Words, sample: Words, step_low: int, step_high: int, key: tuple[int, int]
) -> Words:
    """First output word of Philox4x32-10 for each (sample, element)."""
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c0, c1 = np.broadcast_arrays(element, sample)
    c2, c3 = np.full_like(c0, step_low), np.full_like(c0, step_high)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            p1 >> shift ^ c1 ^ np.uint64(k0),
            p1 & low,
            p0 >> shift ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return c0


def constant(value: float, shape: tuple[int, ...], precision: Precision) -> Node:
    """A tensor filled with `value`."""
    return make(Constant(float(value), shape, precision))


def constant_like(value: float, like: Node) -> Node:
    """`value` in the per-sample shape of `like`; unbatched."""
    return constant(value, like.type.shape, like.type.precision)


def table(values: Array, precision: Precision) -> Node:
    """A small constant tensor; a Constant when all its elements have the same bits."""
    flat = tuple(rounded(v, precision) for v in np.asarray(values, np.float64).ravel().tolist())
    if len({bits((v,)) for v in flat}) == 1:
        return constant(flat[0], values.shape, precision)
    return make(Table(flat, values.shape, precision))


def source(
    space: Space, name: str, shape: tuple[int, ...], batched: bool, precision: Precision
) -> Node:
    """The value `name` of `space`."""
    return make(Source(space, name, shape, batched, precision))
