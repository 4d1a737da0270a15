"""`x[1, 2:3, ..]`, picking by a label, and lists: constant tensors, shapes and stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.build import broadcast, elementwise, reshape
from netc.compiler.elaborate.model import Index
from netc.compiler.elaborate.shape_mistakes import (
    IndexRange,
    LabelRange,
    RankMismatch,
    TooManyIndices,
    UnevenList,
)
from netc.compiler.elaborate.values import Operand, Tensor, is_known, is_number, show_shape
from netc.compiler.ir.graph import make
from netc.compiler.ops.gather import Gather
from netc.compiler.ops.movement import concat, slice_
from netc.compiler.ops.reduce import broadcast as repeated
from netc.compiler.ops.reduce import reduce
from netc.compiler.ops.source import Iota, constant
from netc.grammar import tree
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Known, Use, Value
    from netc.compiler.ir.graph import Node

Item = tree.Expr | tree.Slice | tree.Rest

LARGEST_MASK: Final = 64
"""Places of an unbatched axis up to which comparing each of them costs no more than a gather."""


def index(operand: Operand, items: Sequence[Item], scope: Scope) -> Value:
    """`operand[items]`; a list known at compile time stays known."""
    if isinstance(operand.value, tuple) and len(items) == 1 and not isinstance(items[0], tree.Rest):
        return _index_list(operand.value, items[0], operand, scope)
    x = tensor(operand, scope, "the indexed value").node
    evaluated = [_item(item, scope) for item in items]
    if len(evaluated) == 1 and isinstance(evaluated[0], Operand):
        picked = evaluated[0]
        if isinstance(picked.value, Tensor):
            return Tensor(pick(operand, x, picked, scope))
    return Tensor(_select(operand, x, evaluated, scope))


def _item(item: Item, scope: Scope) -> Operand | tree.Slice | tree.Rest:
    if isinstance(item, tree.Slice | tree.Rest):
        return item
    return Operand(scope.evaluate(item), item.span)


def _index_list(values: tuple[Known, ...], item: Item, operand: Operand, scope: Scope) -> Value:
    if isinstance(item, tree.Slice):
        start, stop = bounds(item, len(values), scope)
        return values[start:stop]
    assert not isinstance(item, tree.Rest)
    place = Operand(scope.evaluate(item), item.span)
    if isinstance(place.value, Tensor):
        x = tensor(operand, scope, "the indexed value").node
        return Tensor(pick(operand, x, place, scope))
    return values[position(place, len(values))]


def _select(
    operand: Operand, x: Node, items: Sequence[Operand | tree.Slice | tree.Rest], scope: Scope
) -> Node:
    shape = x.type.shape
    given = sum(not isinstance(item, tree.Rest) for item in items)
    rests = len(items) - given
    if given > len(shape) or rests > 1:
        raise Failure(
            TooManyIndices(
                span=operand.span,
                related=known.declared(operand),
                count=str(given),
                shape=show_shape(shape),
                rank=str(len(shape)),
            )
        )
    ranges: list[tuple[int, int]] = []
    kept: list[bool] = []
    for item in items:
        axis = len(ranges)
        match item:
            case tree.Rest():
                for size in shape[axis : axis + len(shape) - given]:
                    ranges.append((0, size))
                    kept.append(True)
            case tree.Slice():
                ranges.append(bounds(item, shape[axis], scope))
                kept.append(True)
            case Operand():
                place = position(item, shape[axis])
                ranges.append((place, place + 1))
                kept.append(False)
    for size in shape[len(ranges) :]:
        ranges.append((0, size))
        kept.append(True)
    part = slice_(x, tuple(a for a, _ in ranges), tuple(b for _, b in ranges))
    pairs = zip(part.type.shape, kept, strict=True)
    return reshape(part, tuple(size for size, keep in pairs if keep))


def position(operand: Operand, size: int) -> int:
    """An index, negative from the end, counted from 0."""
    number = known.integer(operand, "an index")
    if not -size <= number < size:
        raise Failure(IndexRange(span=operand.span, index=str(number), size=str(size)))
    return number % size


def bounds(item: tree.Slice, size: int, scope: Scope) -> tuple[int, int]:
    """Start and end of a slice; it holds at least one element."""
    ends = [0, size]
    for place, expression in enumerate((item.start, item.stop)):
        if expression is not None:
            operand = Operand(scope.evaluate(expression), expression.span)
            number = known.integer(operand, "the end of a slice")
            ends[place] = number + size if number < 0 else number
    start, stop = ends
    if not 0 <= start < stop <= size:
        raise Failure(IndexRange(span=item.span, index=item.span.text, size=str(size)))
    return start, stop


def pick(operand: Operand, x: Node, label: Operand, scope: Scope) -> Node:
    """`x[label]`: the element of the last axis that each label numbers; 0 for an unknown label.

    `label` is a scalar or has the shape of `x` without its last axis.
    """
    assert isinstance(label.value, Tensor)
    t = label.value.node
    shape = x.type.shape
    if not shape or t.type.shape not in ((), shape[:-1]):
        raise Failure(
            RankMismatch(
                span=operand.span.to(label.span)
                if operand.span.source is label.span.source
                else label.span,
                related=(*known.declared(operand), *known.declared(label)),
                operation="[…]",
                expected=f"an axis for each label of shape {show_shape(t.type.shape)}",
                found=show_shape(shape),
            )
        )
    _check_labels(label, shape[-1], scope)
    if not x.type.batched and t.type.rank == 0 and shape[-1] > LARGEST_MASK:
        return make(Gather(len(shape) - 1), x, t)
    numbers = broadcast(make(Iota(shape[-1], x.type.precision)), shape)
    labels = repeated(t, shape, tuple(range(t.type.rank)))
    hit = elementwise("eq", numbers, labels)
    zero = constant(0, (), x.type.precision)
    return reduce("sum", elementwise("where", hit, x, zero), (len(shape) - 1,))


def gather(use: Use) -> Value:
    """`gather(x, indices, axis=0)`: the axis replaced by those of the indices."""
    operand, indices = use.arguments["x"], use.arguments["indices"]
    x = tensor(operand, use.scope, "the operand of `gather`").node
    numbers = tensor(indices, use.scope, "the indices of `gather`").node
    given = use.get("axis")
    place = 0 if given is None else known.integer(given, "`axis`")
    axis = known.axis(given or operand, place, x.type.shape)
    _check_labels(indices, x.type.shape[axis], use.scope)
    return Tensor(make(Gather(axis), x, numbers))


def _check_labels(label: Operand, size: int, scope: Scope) -> None:
    """Labels known to be 0 … K-1 all name a place; other indices are on record."""
    classes = label.value.classes if isinstance(label.value, Tensor) else None
    if isinstance(label.value, Tensor) and classes is None:
        found = Index(label.value.node, size, scope.site or label.span)
        scope.session.indices.setdefault((found.node, size), found)
    if classes is not None and classes > size:
        raise Failure(
            LabelRange(
                span=label.span,
                related=known.declared(label),
                classes=str(classes),
                size=str(size),
                last=str(classes - 1),
                end=str(size - 1),
            )
        )


def listing(items: Sequence[Operand], scope: Scope) -> Value:
    """`[a, b, c]`: a list known now, or a stack of tensors along a new first axis."""
    values = [item.value for item in items]
    if all(is_known(value) for value in values):
        known_items = tuple(value for value in values if is_known(value))
        _check_even(items)
        return known_items
    return Tensor(stack([(item, tensor(item, scope, "an item").node) for item in items], 0))


def _check_even(items: Sequence[Operand]) -> None:
    if any(isinstance(item.value, tuple) for item in items):
        first = known.shape_of(items[0])
        for item in items[1:]:
            if (shape := known.shape_of(item)) != first:
                raise _uneven(item, first or (), shape or ())
    for item in items:
        if not is_number(item.value) and not isinstance(item.value, tuple | bool):
            known.wrong(item, "an item of a list", "a number or a tensor")


def _uneven(item: Operand, left: tuple[int, ...], right: tuple[int, ...]) -> Failure:
    return Failure(
        UnevenList(
            span=item.span,
            related=known.declared(item),
            left=show_shape(left),
            right=show_shape(right),
        )
    )


def stack(items: Sequence[tuple[Operand, Node]], axis: int) -> Node:
    """Equal-shaped tensors along a new axis."""
    if not items:
        raise ValueError("nothing to stack")
    first = items[0][1].type.shape
    parts = []
    for operand, node in items:
        if node.type.shape != first:
            raise _uneven(operand, first, node.type.shape)
        parts.append(reshape(node, (*first[:axis], 1, *first[axis:])))
    return concat(parts, axis)
