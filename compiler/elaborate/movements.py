"""Primitives that move elements without computing, with their operands checked."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from netc.compiler.elaborate import build, known
from netc.compiler.elaborate.arithmetic import mismatch, tensor
from netc.compiler.elaborate.indexing import stack as stacked
from netc.compiler.elaborate.name_mistakes import Missing
from netc.compiler.elaborate.reductions import concatenated
from netc.compiler.elaborate.shape_mistakes import IndexRange, ReshapeSize, UnevenList
from netc.compiler.elaborate.values import Group, Operand, Tensor, show_shape
from netc.compiler.ops import movement
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Use, Value
    from netc.compiler.ir.graph import Node


def operand(use: Use) -> Node:
    """The tensor that a primitive is applied to."""
    return tensor(use.arguments["x"], use.scope, f"the operand of `{use.name}`").node


def reshape(use: Use) -> Value:
    """The elements in another shape; a group of parameters is one vector."""
    given = use.arguments["x"].value
    x = concatenated(given) if isinstance(given, Group) else operand(use)
    shape = known.shape(use.arguments["shape"], "the shape")
    if prod(shape) != x.type.size:
        raise Failure(
            ReshapeSize(
                span=use.span,
                related=known.declared(use.arguments["x"]),
                size=str(x.type.size),
                shape=show_shape(shape),
                found=show_shape(x.type.shape),
                wanted=str(prod(shape)),
            )
        )
    return Tensor(build.reshape(x, shape))


def transpose(use: Use) -> Value:
    """`transpose(x, [1, 0])`: result axis i is axis `axes[i]`; all reversed when left out."""
    x = operand(use)
    given = use.get("axes")
    if given is None:
        return Tensor(movement.transpose(x, tuple(reversed(range(x.type.rank)))))
    shape = x.type.shape
    order = tuple(known.axis(given, n, shape) for n in known.integers(given, "`axes`"))
    if sorted(order) != list(range(len(shape))):
        known.wrong(given, "`axes`", f"each axis of {show_shape(shape)} once")
    return Tensor(movement.transpose(x, order))


def broadcast(use: Use) -> Value:
    """`broadcast(x, [c, h, w], axis=0)`: `axis` is where the axes of x are; the last by default."""
    x = operand(use)
    shape = known.shape(use.arguments["shape"], "the shape")
    given = use.get("axis")
    if given is not None:
        x = _placed(x, known.axes(given, shape), len(shape), given)
    try:
        fits = build.joint_shape(x.type.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        left, right = (use.arguments["x"], x.type.shape), (use.arguments["shape"], shape)
        raise Failure(mismatch("broadcast", left, right, use.span))
    return Tensor(build.broadcast(x, shape))


def _placed(x: Node, axes: tuple[int, ...], rank: int, given: Operand) -> Node:
    """`x` with its axes at `axes` of `rank`, size 1 elsewhere."""
    if len(axes) != x.type.rank:
        known.wrong(given, "`axis`", f"as many axes as {show_shape(x.type.shape)} has")
    sizes = dict(zip(axes, x.type.shape, strict=True))
    return build.reshape(x, tuple(sizes.get(axis, 1) for axis in range(rank)))


def _several(use: Use) -> list[tuple[Operand, Node]]:
    if not use.rest:
        raise Failure(Missing(span=use.span, callee=use.name, name="a tensor"))
    return [(x, tensor(x, use.scope, f"an operand of `{use.name}`").node) for x in use.rest]


def concat(use: Use) -> Value:
    """`concat(a, b, axis=0)`: one after the other along an axis that exists."""
    items = _several(use)
    first = items[0][1].type.shape
    given = use.get("axis")
    place = 0 if given is None else known.integer(given, "`axis`")
    axis = known.axis(given or use.rest[0], place, first)
    for item, node in items[1:]:
        shape = node.type.shape
        if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise Failure(
                UnevenList(
                    span=item.span,
                    related=known.declared(item),
                    left=show_shape(first),
                    right=show_shape(shape),
                )
            )
    return Tensor(movement.concat([node for _, node in items], axis))


def stack(use: Use) -> Value:
    """`stack(a, b, axis=0)`: along a new axis."""
    items = _several(use)
    given = use.get("axis")
    place = 0 if given is None else known.integer(given, "`axis`")
    axis = known.axis(given or use.rest[0], place, (*items[0][1].type.shape, 0))
    return Tensor(stacked(items, axis))


def pad(use: Use) -> Value:
    """`pad(x, before, after)`: zeros around each axis; one number counts for all axes."""
    x = operand(use)
    widths = []
    for name in ("before", "after"):
        given = use.get(name) or use.arguments["before"]
        numbers = known.integers(given, f"`{name}`")
        numbers = numbers * x.type.rank if len(numbers) == 1 else numbers
        if len(numbers) != x.type.rank or min(numbers, default=0) < 0:
            expected = f"a number of zeros for each axis of {show_shape(x.type.shape)}"
            known.wrong(given, f"`{name}`", expected)
        widths.append(numbers)
    return Tensor(movement.pad(x, widths[0], widths[1]))


def slice_(use: Use) -> Value:
    """`slice(x, start, stop, axis)`: elements start to stop of one axis."""
    x = operand(use)
    given = use.get("axis")
    place = 0 if given is None else known.integer(given, "`axis`")
    axis = known.axis(given or use.arguments["x"], place, x.type.shape)
    size = x.type.shape[axis]
    ends = [known.integer(use.arguments[name], f"`{name}`") for name in ("start", "stop")]
    start, stop = (n + size if n < 0 else n for n in ends)
    if not 0 <= start < stop <= size:
        raise Failure(IndexRange(span=use.span, index=f"{ends[0]}:{ends[1]}", size=str(size)))
    return Tensor(movement.slice_axis(x, axis, start, stop))


def reverse(use: Use) -> Value:
    x = operand(use)
    return Tensor(movement.reverse(x, known.axes(use.get("axis"), x.type.shape)))
