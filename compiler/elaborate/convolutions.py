"""`convolve` and `convolve_transpose`: cross-correlation over the last one or two axes, in groups.

Both are one contraction whose windows tie the axes of the image, the result and the weights. In
`convolve` the image has the elements, in its transpose the places.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import geometry, known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.build import reshape
from netc.compiler.elaborate.shape_mistakes import RankMismatch
from netc.compiler.elaborate.values import Tensor, show_shape
from netc.compiler.elaborate.window_mistakes import GroupMismatch, WeightMismatch
from netc.compiler.ir.graph import make
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.window import Window
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.values import Operand, Use, Value
    from netc.compiler.ir.graph import Node

AXES: Final = (1, 2)
"""How many axes a window may have."""


def convolve(use: Use) -> Value:
    """Of an image [c, …] with weights [f, c / groups, …]: [f, …], one place for each window."""
    image, weights, groups = _operands(use, channels=1)
    windows = geometry.axis_windows(use, image.type.shape[1:], weights.type.shape[2:])
    return _contraction("gc{i},gfc{t}->gf{p}", image, weights, groups, windows)


def convolve_transpose(use: Use) -> Value:
    """Of an image [f, …] with weights [f, c / groups, …]: [c, …], the transpose of `convolve`.

    An axis of p places becomes (p − 1) · stride + reach of the window − padding + `extra` elements;
    with `padding="same"` p · stride.
    """
    image, weights, groups = _operands(use, channels=0)
    windows = _spread(use, image.type.shape[1:], weights.type.shape[2:])
    return _contraction("gf{p},gfc{t}->gc{i}", image, weights, groups, windows)


def _operands(use: Use, channels: int) -> tuple[Node, Node, int]:
    """Image, weights and the number of groups; the image's channels fit axis `channels`."""
    image = tensor(use.arguments["x"], use.scope, f"the image of `{use.name}`").node
    weights = tensor(use.arguments["w"], use.scope, f"the weights of `{use.name}`").node
    axes = image.type.rank - 1
    if axes not in AXES:
        raise _rank(use, use.arguments["x"], image, "an image `[c, n]` or `[c, h, w]`")
    if weights.type.rank != axes + 2:
        sizes = "kh, kw" if axes > 1 else "k"
        raise _rank(use, use.arguments["w"], weights, f"weights `[f, c / groups, {sizes}]`")
    given = use.get("groups")
    groups = 1 if given is None else known.size(given, "`groups`")
    filters, inner = weights.type.shape[:2]
    expected = inner * groups if channels else filters
    if image.type.shape[0] != expected:
        raise Failure(
            WeightMismatch(
                span=use.span,
                related=known.declared(use.arguments["x"]),
                operation=use.name,
                weights=show_shape(weights.type.shape),
                expected=str(expected),
                found=str(image.type.shape[0]),
            )
        )
    if filters % groups:
        assert given is not None
        mistake = GroupMismatch(span=given.span, groups=str(groups), filters=str(filters))
        raise Failure(mistake)
    return image, weights, groups


def _rank(use: Use, operand: Operand, node: Node, expected: str) -> Failure:
    return Failure(
        RankMismatch(
            span=operand.span,
            related=known.declared(operand),
            operation=use.name,
            expected=expected,
            found=show_shape(node.type.shape),
        )
    )


def _spread(use: Use, places: Sequence[int], sizes: Sequence[int]) -> list[Window]:
    """The windows that have `places` places, and the elements they stand on."""
    axes = len(places)
    stride = geometry.per_axis(use, "stride", axes) or (1,) * axes
    dilation = geometry.per_axis(use, "dilation", axes) or (1,) * axes
    extra = geometry.per_axis(use, "extra", axes, least=0) or (0,) * axes
    padding = use.get("padding")
    same = padding is not None and padding.value == "same"
    plain = [
        Window(p * s, k, s, d) if same else Window((p - 1) * s + d * (k - 1) + 1, k, s, d)
        for p, k, s, d in zip(places, sizes, stride, dilation, strict=True)
    ]
    found: list[Window] = []
    for window, more, (before, after) in zip(
        plain, extra, geometry.paddings(use, plain), strict=True
    ):
        length = window.length if same else window.length - before - after + more
        grown = Window(length, window.size, window.stride, window.dilation, before, after)
        if more >= window.stride:
            known.wrong(use.arguments["extra"], "`extra`", "less than the stride")
        if length < 1:
            known.wrong(use.arguments["padding"], "`padding`", "less than the result's elements")
        found.append(grown)
    return found


def _contraction(
    form: str, image: Node, weights: Node, groups: int, windows: Sequence[Window]
) -> Tensor:
    """The contraction of a form in which i, p and t stand for the windows' letters."""
    taken = iter(c for c in ascii_lowercase if c not in "gfc")
    tied = tuple((next(taken) + next(taken) + next(taken), window) for window in windows)
    element, place, tap = ("".join(letters[n] for letters, _ in tied) for n in range(3))
    spec = form.format(i=element, p=place, t=tap)
    if groups == 1:
        return Tensor(make(Contract(spec.replace("g", ""), windows=tied), image, weights))
    channels, *axes = image.type.shape
    filters, *inner = weights.type.shape
    result = make(
        Contract(spec, windows=tied),
        reshape(image, (groups, channels // groups, *axes)),
        reshape(weights, (groups, filters // groups, *inner)),
    )
    _, some, *axes = result.type.shape
    return Tensor(reshape(result, (groups * some, *axes)))
