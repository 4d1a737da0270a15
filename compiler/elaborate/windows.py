"""`window_max` and `window_sum`: reductions over windows of the last one or two axes.

Invariant: each window covers at least one element, so a maximum is never that of padding alone.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import geometry, known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.shape_mistakes import RankMismatch
from netc.compiler.elaborate.values import Tensor, show_shape
from netc.compiler.elaborate.window_mistakes import OnlyPadding
from netc.compiler.ops.reduce import reduce
from netc.compiler.ops.unfold import unfold
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Use, Value
    from netc.compiler.ir.graph import Node
    from netc.compiler.ops.reduce import ReduceKind
    from netc.compiler.ops.window import Window

IMAGE: Final = 3
"""From so many axes on a single size stands for the last two axes: channels come first."""


def window_max(use: Use) -> Value:
    """The largest element under each window, the first of equals in row-major order."""
    return _reduced(use, "max", -inf)


def window_sum(use: Use) -> Value:
    """The sum of the elements under each window; padding counts as 0."""
    return _reduced(use, "sum", 0.0)


def _reduced(use: Use, kind: ReduceKind, fill: float) -> Value:
    x = tensor(use.arguments["x"], use.scope, f"the operand of `{use.name}`").node
    sizes = _sizes(use, x)
    rank, axes = x.type.rank, len(sizes)
    windows = geometry.axis_windows(use, x.type.shape[rank - axes :], sizes, strides=sizes)
    for window in windows:
        _check_padding(window, use)
    if not any(window.padded for window in windows):
        fill = 0.0
    unfolded = unfold(x, tuple(enumerate(windows, rank - axes)), fill)
    return Tensor(reduce(kind, unfolded, tuple(range(rank, rank + axes))))


def _sizes(use: Use, x: Node) -> tuple[int, ...]:
    """The window's size for each axis: a pair, or a number for one axis, for two of an image."""
    given, rank = use.arguments["size"], x.type.rank
    sizes = known.shape(given, "the size of the window")
    if given.value == sizes and len(sizes) != 2:
        known.wrong(given, "the size of the window", "a number or a pair")
    if given.value != sizes and rank >= IMAGE:
        sizes = sizes * 2
    if rank < len(sizes):
        raise Failure(
            RankMismatch(
                span=use.span,
                related=known.declared(use.arguments["x"]),
                operation=use.name,
                expected=f"at least {len(sizes)} axes" if len(sizes) > 1 else "at least one axis",
                found=show_shape(x.type.shape),
            )
        )
    return sizes


def _check_padding(window: Window, use: Use) -> None:
    covered = {place for tap in range(window.size) for place in window.covered(tap)}
    if len(covered) == window.places:
        return
    place = next(place for place in range(window.places) if place not in covered)
    raise Failure(
        OnlyPadding(
            span=use.span,
            related=known.declared(use.arguments["x"]),
            operation=use.name,
            place=str(place),
            count=str(window.places),
            length=str(window.length),
        )
    )
