"""Ops that move elements without computing: per-sample axes only, never the batch axis.

`Broadcast`, the one movement that repeats elements, stands in `reduce` beside its transpose.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times

Shape = tuple[int, ...]


class Movement(Op):
    """The form: each element of the result is an element of an operand, or zero."""

    __slots__ = ()


def lead(node: Node) -> int:
    """Leading batch axes of the node's array: 1 when batched."""
    return int(node.type.batched)


@record
class Reshape(Movement):
    """The same elements in row-major order, in another shape of the same size."""

    shape: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((6,)), ((2, 3),)),
            Sample(cls((3, 1, 4)), ((12,),)),
            Sample(cls(()), ((1,),)),
        )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if prod(self.shape) != x.size:
            raise TypeRuleError(f"reshape of {x} to {list(self.shape)}: the sizes differ")
        return x.with_shape(self.shape)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return args[0].reshape(args[0].shape[: lead(node)] + self.shape)

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (reshape(cotangent, node.args[0].type.shape),)


@record
class Transpose(Movement):
    """Axes reordered: result axis i is operand axis `permutation[i]`."""

    permutation: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return Sample(cls((1, 0)), ((3, 4),)), Sample(cls((2, 0, 1)), ((2, 3, 4),))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if sorted(self.permutation) != list(range(x.rank)):
            raise TypeRuleError(f"transpose of {x} by {list(self.permutation)}: not a permutation")
        return x.with_shape(tuple(x.shape[i] for i in self.permutation))

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        first = lead(node)
        return args[0].transpose(*range(first), *(first + i for i in self.permutation))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        inverse = tuple(self.permutation.index(i) for i in range(len(self.permutation)))
        return (transpose(cotangent, inverse),)


@record
class Slice(Movement):
    """The elements from `starts` (inclusive) to `stops` (exclusive), for each axis."""

    starts: Shape
    stops: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return Sample(cls((1,), (4,)), ((5,),)), Sample(cls((0, 2), (3, 3)), ((3, 4),))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        bounds = zip(self.starts, self.stops, x.shape, strict=False)
        fits = len(self.starts) == len(self.stops) == x.rank
        if not fits or not all(0 <= a < b <= n for a, b, n in bounds):
            raise TypeRuleError(f"slice {list(self.starts)} to {list(self.stops)} of {x}")
        return x.with_shape(tuple(b - a for a, b in zip(self.starts, self.stops, strict=True)))

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        index = (slice(None),) * lead(node) + tuple(map(slice, self.starts, self.stops))
        return args[0][index]

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        shape = node.args[0].type.shape
        after = tuple(n - b for n, b in zip(shape, self.stops, strict=True))
        return (pad(cotangent, self.starts, after),)


@record
class Pad(Movement):
    """Zeros around: `before` and `after` count them for each axis."""

    before: Shape
    after: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return Sample(cls((1,), (2,)), ((5,),)), Sample(cls((0, 2), (3, 0)), ((3, 4),))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        fits = len(self.before) == len(self.after) == x.rank
        if not fits or min(self.before + self.after, default=0) < 0:
            raise TypeRuleError(f"pad of {x} by {list(self.before)} and {list(self.after)}")
        sizes = zip(self.before, x.shape, self.after, strict=True)
        return x.with_shape(tuple(map(sum, sizes)))

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        widths = [(0, 0)] * lead(node) + list(zip(self.before, self.after, strict=True))
        return np.pad(args[0], widths) if widths else args[0]

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        shape = node.args[0].type.shape
        stops = tuple(a + n for a, n in zip(self.before, shape, strict=True))
        return (slice_(cotangent, self.before, stops),)


@record
class Concat(Movement):
    """Operands one after the other along `axis`; their other sizes agree."""

    axis: int

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(0), ((2,), (3,))),
            Sample(cls(1), ((3, 1), (3, 4), (3, 2))),
            Sample(cls(0), ((2, 3), (1, 3))),
        )

    def infer(self, *types: TensorType) -> TensorType:
        first = types[0]
        if not 0 <= self.axis < first.rank:
            raise TypeRuleError(f"concat along axis {self.axis} of {first}")
        for other in types[1:]:
            if _without(other.shape, self.axis) != _without(first.shape, self.axis):
                raise TypeRuleError(f"concat of {first} and {other} along axis {self.axis}")
        joined = sum(t.shape[self.axis] for t in types)
        shape = (*first.shape[: self.axis], joined, *first.shape[self.axis + 1 :])
        return TensorType(shape, any(t.batched for t in types), first.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        if node.type.batched:
            pairs = zip(args, node.args, strict=True)
            args = tuple(np.broadcast_to(x, (env.batch, *a.type.shape)) for x, a in pairs)
        return np.concatenate(args, axis=self.axis + lead(node))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        ends = [0]
        for arg in node.args:
            ends.append(ends[-1] + arg.type.shape[self.axis])
        return tuple(slice_axis(cotangent, self.axis, a, b) for a, b in pairwise(ends))


def _without(shape: Shape, axis: int) -> tuple[int, Shape]:
    return len(shape), shape[:axis] + shape[axis + 1 :]


@record
class Reverse(Movement):
    """The order along each of `axes` turned round."""

    axes: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return Sample(cls((0,)), ((5,),)), Sample(cls((0, 1)), ((3, 4),))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        check_axes("reverse", self.axes, x)
        return x

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return np.flip(args[0], tuple(a + lead(node) for a in self.axes))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (reverse(cotangent, self.axes),)


def check_axes(what: str, axes: Sequence[int], operand: TensorType) -> None:
    """Axes are given once each, in order, at least one, and exist; else TypeRuleError."""
    if not axes or list(axes) != sorted(set(axes) & set(range(operand.rank))):
        raise TypeRuleError(f"{what} over axes {list(axes)} of {operand}")


# Builders: nothing is made where nothing moves.


def reshape(x: Node, shape: Shape) -> Node:
    return x if shape == x.type.shape else make(Reshape(shape), x)


def transpose(x: Node, permutation: Shape) -> Node:
    unmoved = permutation == tuple(range(x.type.rank))
    return x if unmoved else make(Transpose(permutation), x)


def slice_(x: Node, starts: Shape, stops: Shape) -> Node:
    whole = not any(starts) and stops == x.type.shape
    return x if whole else make(Slice(starts, stops), x)


def slice_axis(x: Node, axis: int, start: int, stop: int) -> Node:
    """Elements `start` to `stop` along one axis."""
    shape = x.type.shape
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    stops = tuple(stop if i == axis else n for i, n in enumerate(shape))
    return slice_(x, starts, stops)


def pad(x: Node, before: Shape, after: Shape) -> Node:
    return make(Pad(before, after), x) if any(before + after) else x


def concat(parts: Sequence[Node], axis: int) -> Node:
    return parts[0] if len(parts) == 1 else make(Concat(axis), *parts)


def reverse(x: Node, axes: Shape) -> Node:
    return make(Reverse(axes), x) if axes else x
