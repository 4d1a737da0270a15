"""How a value lies in memory: the one place that knows element offsets.

Batched values are stored in blocks of `lanes` samples with the samples innermost,
`[block][element][lane]`, so every per-sample computation is vector code without shuffles.
Unbatched values are matrices of `shape[0]` rows (one row up to rank 1); a row is padded to whole
vectors, and once more when its length would map successive rows to the same cache sets.
Offsets are in elements.
"""

from __future__ import annotations

from functools import cache
from math import gcd, prod
from typing import TYPE_CHECKING, Final

from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.types import TensorType

ALIASING_STRIDE: Final = 2048
"""Rows a multiple of this many bytes apart share cache sets: measured at half the speed."""

CACHE_SETS_BYTES: Final = 1 << 17
"""Lines this far apart share a set of the second-level cache."""

WAYS: Final = 8
"""Lines of a column that may share a set: half of what a set of that cache holds."""

ELEMENT_BYTES: Final = {"f32": 4, "f64": 8}


@record
class Storage:
    """Strides of the axes in elements, and the elements taken (for each block when batched)."""

    strides: tuple[int, ...]
    elements: int


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense array."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def padded(columns: int, rows: int, lanes: int, element_bytes: int) -> int:
    """The distance between rows of an unbatched matrix."""
    stride = -(-columns // lanes) * lanes
    step = stride * element_bytes
    sharing = rows * gcd(step, CACHE_SETS_BYTES) // CACHE_SETS_BYTES
    if rows > 1 and (step % ALIASING_STRIDE == 0 or sharing > WAYS):
        stride += lanes
    return stride


@cache
def storage(type_: TensorType, lanes: int) -> Storage:
    """How a value of this type is stored on a target with vectors of `lanes` elements."""
    dense = row_major(type_.shape)
    if type_.batched:
        return Storage(tuple(s * lanes for s in dense), type_.size * lanes)
    if type_.rank < 2:
        return Storage(dense, padded(type_.size, 1, lanes, ELEMENT_BYTES[type_.precision]))
    rows, columns = type_.shape[0], prod(type_.shape[1:])
    stride = padded(columns, rows, lanes, ELEMENT_BYTES[type_.precision])
    return Storage((stride, *dense[1:]), rows * stride)
