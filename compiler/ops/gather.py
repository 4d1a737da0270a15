"""Picking along an axis by numbers known at run time, and its transpose.

An index counts as its whole part and picks one of 0 … n - 1; any other number, NaN included, picks
0 and adds nowhere. So both are what a product with one-hot rows would give, without the product.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.source import dtype, most_indices
from netc.records import record

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times


@record
class Gather(Op):
    """Elements of `x` along `axis`, which is replaced by the axes of the indices."""

    axis: int

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(0), ((5,), ()), ((-2.0, 2.0), (-1.0, 5.5))),
            Sample(cls(0), ((4, 3), (2,)), ((-2.0, 2.0), (-0.5, 4.5))),
            Sample(cls(1), ((2, 3, 2), (2, 2)), ((-2.0, 2.0), (0.0, 3.0))),
            Sample(cls(1), ((3, 20), (7,)), ((-2.0, 2.0), (-2.0, 21.0))),
        )

    def infer(self, *types: TensorType) -> TensorType:
        x, indices = types
        _check("gather", self.axis, x, indices)
        shape = (*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :])
        return TensorType(shape, x.batched or indices.batched, x.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        rows = [_picked(x, indices, self.axis) for x, indices in _samples(env, node, args)]
        return np.stack(rows) if node.type.batched else rows[0]

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        x, indices = node.args
        sum_batch = indices.type.batched and not x.type.batched
        op = Scatter(self.axis, x.type.shape[self.axis], sum_batch)
        return make(op, cotangent, indices), None


@record
class Scatter(Op):
    """Zeros with the values added at the indices, along an `axis` of `size` places.

    With `sum_batch` both operands are batched and all samples add to the same places, in order.
    """

    axis: int
    size: int
    sum_batch: bool = False

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(0, 5), ((), ()), ((-2.0, 2.0), (-1.0, 5.5))),
            Sample(cls(0, 4), ((2, 3), (2,)), ((-2.0, 2.0), (-0.5, 4.5))),
            Sample(cls(1, 3), ((2, 4, 2), (4,)), ((-2.0, 2.0), (0.0, 3.0))),
            Sample(cls(0, 4, sum_batch=True), ((2, 3), (2,)), ((-2.0, 2.0), (-0.5, 4.5))),
            Sample(cls(1, 3, sum_batch=True), ((20,), ()), ((-2.0, 2.0), (-0.5, 3.5))),
        )

    def infer(self, *types: TensorType) -> TensorType:
        values, indices = types
        end = self.axis + indices.rank
        if values.shape[self.axis : end] != indices.shape:
            raise TypeRuleError(f"scatter of {values} at {indices} along axis {self.axis}")
        if self.sum_batch and not (values.batched and indices.batched):
            raise TypeRuleError(f"scatter over the batch of {values} at {indices}")
        shape = (*values.shape[: self.axis], self.size, *values.shape[end:])
        batched = (values.batched or indices.batched) and not self.sum_batch
        result = TensorType(shape, batched, values.precision)
        _check("scatter", self.axis, result, indices)
        return result

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        number = dtype(node.type.precision)
        if node.type.batched:
            result = np.zeros((env.batch, *node.type.shape), number)
            targets = list(result)
        else:
            result = np.zeros(node.type.shape, number)
            targets = [result] * (env.batch if self.sum_batch else 1)
        for target, (values, indices) in zip(targets, _samples(env, node, args), strict=True):
            _add(target, values, indices, self.axis)
        return result

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return make(Gather(self.axis), cotangent, node.args[1]), None


def _check(what: str, axis: int, x: TensorType, indices: TensorType) -> None:
    """The axis exists, and every place along it is an exact number; else TypeRuleError."""
    if not 0 <= axis < x.rank or x.precision != indices.precision:
        raise TypeRuleError(f"{what} along axis {axis} of {x} by {indices}")
    if not 1 <= x.shape[axis] <= most_indices(x.precision):
        raise TypeRuleError(f"{what} along {x.shape[axis]} places, not exact in {x.precision}")


def _samples(env: Environment, node: Node, args: tuple[Array, ...]) -> list[tuple[Array, Array]]:
    """The operands of each sample, or once when neither is batched."""
    x, indices = args
    first, second = (a.type.batched for a in node.args)
    count = env.batch if first or second else 1
    return [(x[b] if first else x, indices[b] if second else indices) for b in range(count)]


def _places(indices: Array, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Whole numbers in range, and which of the indices they stand for."""
    inside = np.asarray((indices >= 0) & (indices < size))
    return np.where(inside, indices, 0).astype(np.int64), inside


def _picked(x: Array, indices: Array, axis: int) -> Array:
    """`x` of one sample at the indices."""
    places, inside = _places(np.asarray(indices), x.shape[axis])
    known = inside.reshape(inside.shape + (1,) * (x.ndim - axis - 1))
    return np.where(known, np.take(x, places, axis=axis), np.zeros((), x.dtype))


def _add(target: NDArray[Any], values: Array, indices: Array, axis: int) -> None:
    """Adds the values of one sample at the indices, in row-major order."""
    places, inside = _places(np.asarray(indices), target.shape[axis])
    flat = np.reshape(values, (*values.shape[:axis], prod(places.shape), *target.shape[axis + 1 :]))
    rows = np.moveaxis(target, axis, 0)
    for k in np.flatnonzero(inside):
        rows[places.flat[k]] += np.moveaxis(flat, axis, 0)[k]
