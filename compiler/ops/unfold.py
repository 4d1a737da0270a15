"""Windows as axes: `Unfold` shows every window's taps, `Fold` sums taps back into elements.

Each is the other's transpose, so the pair is closed under derivatives; pools are reductions over
the taps of an `Unfold`.
"""

from __future__ import annotations

from itertools import product
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.movement import Movement, Shape, check_axes, lead
from netc.compiler.ops.window import Window
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times

Windows = tuple[tuple[int, Window], ...]
"""The axes that are seen through windows, in increasing order, and where the windows stand."""


@record
class Unfold(Movement):
    """Windows over some axes: their lengths become places, and each adds a last axis of taps.

    `[.., length, ..]` → `[.., places, .., size]`; the element under a tap is that of
    `Window.element`, and `fill` (0, or -inf under a maximum) where that lies in the padding.
    """

    windows: Windows
    fill: float

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        filled = tuple(Sample(cls(w, 0.0), (shape,)) for w, shape in _cases())
        inside = (((0, Window(6, 2, stride=2)),), ((1, Window(7, 3, dilation=2)),))
        return *filled, *(Sample(cls(w, -inf), ((6, 7),)) for w in inside)

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if self.fill not in (0.0, -inf):
            raise TypeRuleError(f"unfold of {x} with {self.fill} in the padding")
        axes = tuple(axis for axis, _ in self.windows)
        check_axes("unfold", axes, x)
        shape = list(x.shape)
        for axis, window in self.windows:
            window.check()
            if window.length != shape[axis]:
                raise TypeRuleError(f"unfold of axis {axis} of {x} by {window}")
            shape[axis] = window.places
        return x.with_shape((*shape, *(window.size for _, window in self.windows)))

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        (result,) = args
        first = lead(node)
        for axis, window in self.windows:
            places, taps = np.ogrid[: window.places, : window.size]
            elements = places * window.stride + taps * window.dilation - window.before
            inside = (elements >= 0) & (elements < window.length)
            seen = np.take(result, np.where(inside, elements, 0), axis=axis + first)
            seen = np.moveaxis(seen, axis + first + 1, -1)
            beside = (1,) * (seen.ndim - axis - first - 2)
            known = inside.reshape(window.places, *beside, window.size)
            result = np.where(known, seen, np.asarray(self.fill, seen.dtype))
        return result

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (make(Fold(self.windows), cotangent),)


@record
class Fold(Movement):
    """The transpose of `Unfold`: for each element the sum of all taps that lie on it.

    `[.., places, .., size]` → `[.., length, ..]`; what lies in the padding is dropped.
    """

    windows: Windows

    @property
    def tiling(self) -> bool:
        """Whether every element has exactly one tap: nothing is summed, only moved."""
        return all(window.tiling for _, window in self.windows)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        unfolds = ((Unfold(w, 0.0), TensorType(shape, False, "f64")) for w, shape in _cases())
        return tuple(Sample(cls(u.windows), (u.infer(x).shape,)) for u, x in unfolds)

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        shape = list(x.shape[: x.rank - len(self.windows)])
        check_axes("fold", tuple(axis for axis, _ in self.windows), x.with_shape(tuple(shape)))
        for (axis, window), taps in zip(self.windows, x.shape[len(shape) :], strict=True):
            window.check()
            if (window.places, window.size) != (shape[axis], taps):
                raise TypeRuleError(f"fold of axis {axis} of {x} by {window}")
            shape[axis] = window.length
        return x.with_shape(tuple(shape))

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        (x,) = args
        first = lead(node)
        total = np.zeros(x.shape[:first] + node.type.shape, x.dtype)
        for taps in product(*(range(window.size) for _, window in self.windows)):
            source: list[slice | int] = [slice(None)] * total.ndim
            target = [slice(None)] * total.ndim
            for (axis, window), tap in zip(self.windows, taps, strict=True):
                places = window.covered(tap)
                source[axis + first] = slice(places.start, max(places.stop, places.start))
                start = max(window.element(places.start, tap), 0)
                stop = window.element(places.stop - 1, tap) + 1 if places else start
                target[axis + first] = slice(start, stop, window.stride)
            total[tuple(target)] += x[(*source, *taps)]
        return total

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (make(Unfold(self.windows, 0.0), cotangent),)


def _cases() -> tuple[tuple[Windows, Shape], ...]:
    """Windows side by side, apart, overlapping, dilated and padded; one and two axes."""
    one = Window(length=1, size=1)
    apart = Window(length=11, size=2, stride=3)
    overlapping = Window(length=7, size=3, stride=2)
    padded = Window(length=5, size=3, stride=1, before=2, after=1)
    dilated = Window(length=13, size=3, stride=2, dilation=2, before=1, after=3)
    beyond = Window(length=2, size=2, dilation=3, before=1, after=3)
    pairs = Window(length=6, size=2, stride=2)
    return (
        (((0, one),), (1,)),
        (((0, apart),), (11,)),
        (((0, overlapping),), (7,)),
        (((0, padded),), (5,)),
        (((1, dilated),), (3, 13)),
        (((0, beyond),), (2, 3)),
        (((1, pairs), (2, overlapping)), (3, 6, 7)),
        (((0, padded), (2, pairs)), (5, 2, 6)),
        (((1, padded), (2, dilated)), (2, 5, 13)),
        (((0, pairs), (1, pairs)), (6, 6)),
    )


def unfold(x: Node, windows: Windows, fill: float) -> Node:
    """The windows of x as trailing axes of taps."""
    return make(Unfold(windows, fill), x)
