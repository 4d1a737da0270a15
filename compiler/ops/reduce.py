"""Reductions and their transposes: over per-sample axes, and over the batch.

`Reduce` removes axes, `Broadcast` adds them; `BatchReduce` leaves the batch, `Lift` enters it. Axes
are in increasing order. Size-1 axes kept by a caller are a reshape.
"""

from __future__ import annotations

from math import inf, prod
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.elementwise import Abs, div, eq, exp, mul, sub, where
from netc.compiler.ops.movement import (
    Movement,
    Shape,
    check_axes,
    concat,
    lead,
    reshape,
    slice_axis,
    transpose,
)
from netc.compiler.ops.source import Iota, constant_like, dtype, source
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times

ReduceKind = Literal["sum", "max", "min", "prod", "argmax", "argmin", "logsumexp"]
BatchKind = Literal["sum", "max"]


def _logsumexp(x: Array, axis: int) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    shift = np.where(np.isinf(top), np.zeros_like(top), top)
    return np.asarray(np.log(np.sum(np.exp(x - shift), axis=axis)) + np.squeeze(shift, axis))


MEANING: Final[dict[ReduceKind, Callable[..., Any]]] = {
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "argmax": np.argmax,
    "argmin": np.argmin,
    "logsumexp": _logsumexp,
}


@record
class Reduce(Op):
    """One number from all elements along `axes`, which disappear.

    argmax and argmin number the elements of the axes in row-major order. max, min, argmax and
    argmin take the first of equals, and NaN if there is one.
    """

    kind: ReduceKind
    axes: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        cases: tuple[tuple[Shape, Shape], ...] = (
            ((0,), (5,)),
            ((1,), (3, 4)),
            ((0, 2), (2, 3, 4)),
            ((0,), (1,)),
        )
        return tuple(Sample(cls(kind, axes), (shape,)) for kind in MEANING for axes, shape in cases)

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        check_axes(self.kind, self.axes, x)
        return x.with_shape(tuple(n for i, n in enumerate(x.shape) if i not in self.axes))

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        first = lead(node)
        axes = tuple(a + first for a in self.axes)
        moved = np.moveaxis(args[0], axes, range(-len(axes), 0))
        flat = moved.reshape(*moved.shape[: -len(axes)], -1)
        return np.asarray(MEANING[self.kind](flat, axis=-1), dtype(node.type.precision))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        (x,) = node.args
        match self.kind:
            case "sum":
                return (self._spread(cotangent, x),)
            case "logsumexp":
                return (times(self._spread(cotangent, x), self._shares(node, x)),)
            case "max" | "min":
                return (where(self._chosen(x), self._spread(cotangent, x), 0),)
            case "prod":
                return (self._pull_product(cotangent, x, times),)
            case "argmax" | "argmin":
                return (None,)

    def _shares(self, node: Node, x: Node) -> Node:
        """The derivative of logsumexp, e^(x - logsumexp x), or its limit where that is infinite.

        Elements of -inf have no share, not even among themselves; an element of inf has all.
        """
        infinite = eq(make(Abs(), node), inf)
        share = exp(sub(x, self._spread(node, x)))
        return where(self._spread(infinite, x), eq(x, inf), share)

    def _spread(self, reduced: Node, x: Node) -> Node:
        """A result-shaped node repeated along the reduced axes of `x`."""
        kept = tuple(i for i in range(x.type.rank) if i not in self.axes)
        return broadcast(reduced, x.type.shape, kept)

    def _chosen(self, x: Node) -> Node:
        """1 at the first largest (smallest) element along the axes, 0 elsewhere."""
        sizes = tuple(x.type.shape[a] for a in self.axes)
        number = reshape(make(Iota(prod(sizes), x.type.precision)), sizes)
        winner = make(Reduce("argmax" if self.kind == "max" else "argmin", self.axes), x)
        return eq(broadcast(number, x.type.shape, self.axes), self._spread(winner, x))

    def _pull_product(self, g: Node, x: Node, times: Times) -> Node:
        """G times the product of all other elements: exact at zeros, by a tree of halves."""
        kept = tuple(i for i in range(x.type.rank) if i not in self.axes)
        order = kept + self.axes
        moved = transpose(x, order)
        last = len(kept)
        flat = reshape(moved, (*g.type.shape, prod(moved.type.shape[last:])))
        levels = [flat]
        while (n := levels[-1].type.shape[last]) > 1:
            low, high, rest = _halves(levels[-1], last, n)
            levels.append(concat([mul(low, high), *rest], last))
        down = reshape(g, (*g.type.shape, 1))
        for level in reversed(levels[:-1]):
            n = level.type.shape[last]
            low, high, rest = _halves(level, last, n)
            pair = slice_axis(down, last, 0, n // 2)
            odd = [slice_axis(down, last, n // 2, n // 2 + 1)] if rest else []
            down = concat([times(pair, high), times(pair, low), *odd], last)
        back = tuple(order.index(i) for i in range(x.type.rank))
        return transpose(reshape(down, moved.type.shape), back)


def _halves(x: Node, axis: int, n: int) -> tuple[Node, Node, list[Node]]:
    """First half, second half, and what is left over when n is odd."""
    half = n // 2
    low, high = slice_axis(x, axis, 0, half), slice_axis(x, axis, half, 2 * half)
    return low, high, [slice_axis(x, axis, 2 * half, n)] if n % 2 else []


@record
class Broadcast(Movement):
    """Repetition along new axes: operand axis i becomes result axis `axes[i]`, sizes unchanged."""

    shape: Shape
    axes: Shape

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((3, 4), (1,)), ((4,),)),
            Sample(cls((3, 4), ()), ((),)),
            Sample(cls((2, 3, 4), (0, 2)), ((2, 4),)),
        )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        target = x.with_shape(self.shape)
        if self.axes:
            check_axes("broadcast", self.axes, target)
        if tuple(self.shape[a] for a in self.axes) != x.shape:
            raise TypeRuleError(f"broadcast of {x} to {target} along axes {list(self.axes)}")
        return target

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        sizes = tuple(n if i in self.axes else 1 for i, n in enumerate(self.shape))
        batch = args[0].shape[: lead(node)]
        return np.broadcast_to(args[0].reshape(batch + sizes), batch + self.shape)

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        new = tuple(i for i in range(len(self.shape)) if i not in self.axes)
        return (reduce("sum", cotangent, new),)


@record
class BatchReduce(Op):
    """One value from all samples of the minibatch, of the same per-sample shape.

    Equal largest samples share the cotangent of max equally.
    """

    kind: BatchKind

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return tuple(Sample(cls(kind), (s,)) for kind in ("sum", "max") for s in ((), (3, 4)))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if not x.batched:
            raise TypeRuleError(f"batch_{self.kind} of {x}, which is not batched")
        return TensorType(x.shape, False, x.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return np.asarray(MEANING[self.kind](args[0], axis=0), args[0].dtype)

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        (x,) = node.args
        if self.kind == "sum":
            return (lift(cotangent),)
        largest = eq(x, node)
        return (where(largest, div(cotangent, batch_sum(largest)), 0),)


@record
class Lift(Op):
    """An unbatched value as the same value for each sample."""

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return Sample(cls(), ((),)), Sample(cls(), ((3, 4),))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.batched:
            raise TypeRuleError(f"lift of {x}, which is batched already")
        return TensorType(x.shape, True, x.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return np.broadcast_to(args[0], (env.batch, *args[0].shape))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (cotangent,)


# Builders: nothing is made where nothing changes.


def reduce(kind: ReduceKind, x: Node, axes: Shape) -> Node:
    """`kind` over `axes`; over no axes it is x itself, and index 0 for argmax and argmin."""
    if axes:
        return make(Reduce(kind, axes), x)
    return constant_like(0, x) if kind in ("argmax", "argmin") else x


def reduce_sum(x: Node, axes: Shape) -> Node:
    return reduce("sum", x, axes)


def broadcast(x: Node, shape: Shape, axes: Shape) -> Node:
    return x if shape == x.type.shape else make(Broadcast(shape, axes), x)


def batch_sum(x: Node) -> Node:
    return make(BatchReduce("sum"), x)


def batch_mean(x: Node) -> Node:
    """The mean over the samples; an unbatched value is its own."""
    if not x.type.batched:
        return x
    size = source("scalar", "batch_size", (), False, x.type.precision)
    return div(batch_sum(x), broadcast(size, x.type.shape, ()))


def lift(x: Node) -> Node:
    return x if x.type.batched else make(Lift(), x)
