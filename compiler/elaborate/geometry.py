"""Windows from the arguments `stride`, `padding` and `dilation` of a convolution or a pool.

Invariant: every window that leaves here has at least one place on its padded axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.values import Operand
from netc.compiler.elaborate.window_mistakes import WindowTooLarge
from netc.compiler.ops.window import Window
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.values import Use

Padding = tuple[int, int]
"""How many elements are added before and after an axis."""


def axis_windows(
    use: Use, lengths: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None = None
) -> tuple[Window, ...]:
    """The windows of `sizes` taps along axes of `lengths` elements, one for each axis.

    `stride` and `dilation` of the call are a number for all axes or a list with one for each;
    without an argument `strides` counts, or 1. `padding` is described at `paddings`. Raises a
    Failure for a window that reaches further than its padded axis.
    """
    axes = len(lengths)
    stride = per_axis(use, "stride", axes) or tuple(strides or (1,) * axes)
    dilation = per_axis(use, "dilation", axes) or (1,) * axes
    plain = [Window(*four) for four in zip(lengths, sizes, stride, dilation, strict=True)]
    found = paddings(use, plain)
    windows = tuple(
        Window(w.length, w.size, w.stride, w.dilation, before, after)
        for w, (before, after) in zip(plain, found, strict=True)
    )
    for window in windows:
        _check_place(window, use)
    return windows


def per_axis(use: Use, name: str, axes: int, least: int = 1) -> tuple[int, ...] | None:
    """A whole number of at least `least` for each axis; None when the argument is left out."""
    given = use.get(name)
    if given is None:
        return None
    what = f"`{name}`"
    items = _items(given, what, axes)
    return tuple(known.size(item, what, least) for item in items)


def paddings(use: Use, windows: Sequence[Window]) -> list[Padding]:
    """What surrounds each axis: none by default.

    `padding` is a number for all sides, a list with an item for each axis (a number for both
    sides, or `[before, after]`), "valid" for none, or "same" for ⌈length / stride⌉ places with
    the smaller half of an odd padding before.
    """
    given = use.get("padding")
    if given is None or given.value == "valid":
        return [(0, 0)] * len(windows)
    if given.value == "same":
        return [_same(window) for window in windows]
    if isinstance(given.value, str):
        known.wrong(given, "`padding`", 'a number, a list, "same" or "valid"')
    return [_sides(item) for item in _items(given, "`padding`", len(windows))]


def _items(given: Operand, what: str, axes: int) -> list[Operand]:
    """The argument of each axis: the same for all, or an item of a list."""
    value = known.known(given, what)
    if not isinstance(value, tuple):
        return [given] * axes
    if len(value) != axes:
        known.wrong(given, what, f"a number or a list of {axes}, one for each axis")
    return [Operand(item, given.span, given.declared) for item in value]


def _sides(given: Operand) -> Padding:
    value = given.value
    sides = value if isinstance(value, tuple) else (value, value)
    if len(sides) != 2:
        known.wrong(given, "`padding`", "a number or `[before, after]` for each axis")
    before, after = (
        known.size(Operand(side, given.span, given.declared), "`padding`", least=0)
        for side in sides
    )
    return before, after


def _same(window: Window) -> Padding:
    places = -(-window.length // window.stride)
    total = max((places - 1) * window.stride + window.reach - window.length, 0)
    return total // 2, total - total // 2


def _check_place(window: Window, use: Use) -> None:
    padded = window.length + window.before + window.after
    if window.reach > padded:
        sides = window.before + window.after
        reason = f"{window.length} elements and {sides} of padding" if sides else "no padding"
        raise Failure(
            WindowTooLarge(
                span=use.span,
                related=known.declared(use.arguments["x"]),
                reach=str(window.reach),
                padded=str(padded),
                reason=reason,
            )
        )
