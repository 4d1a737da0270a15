"""Reductions over the axes of a sample and over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import combine, tensor
from netc.compiler.elaborate.build import batch_reduce, elementwise, reshape, with_number
from netc.compiler.elaborate.name_mistakes import WrongKind
from netc.compiler.elaborate.values import Group, Tensor, Use
from netc.compiler.ops.movement import concat
from netc.compiler.ops.reduce import ReduceKind, reduce
from netc.compiler.ops.reduce import batch_mean as mean_of_batch
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.elaborate.values import Operand, Value
    from netc.compiler.ir.graph import Node
    from netc.compiler.ops.reduce import BatchKind

_COMBINE: Final[dict[ReduceKind, str]] = {"sum": "add", "max": "max", "min": "min", "prod": "mul"}


def reduction(kind: ReduceKind) -> Callable[[Use], Value]:
    """The builder of a reduction with `axis=` and `keepdims=`."""
    return lambda use: _reduced(use, kind)


def extreme(kind: ReduceKind) -> Callable[[Use], Value]:
    """`max` and `min`: elementwise of two values, a reduction of one."""

    def build(use: Use) -> Value:
        other = use.get("y")
        if other is None:
            return _reduced(use, kind)
        for option in ("axis", "keepdims"):
            if (given := use.get(option)) is not None:
                known.wrong(given, f"`{option}`", f"left out in `{kind}` of two values")
        return combine(kind, (use.arguments["x"], other), use.scope, use.span, kind)

    return build


def mean(use: Use) -> Value:
    operand = use.arguments["x"]
    total = _reduced(use, "sum")
    assert isinstance(total, Tensor)
    count = _size(operand, use) // total.node.type.size
    return Tensor(with_number("div", total.node, count))


def _size(operand: Operand, use: Use) -> int:
    if isinstance(operand.value, Group):
        return operand.value.size
    return tensor(operand, use.scope, "the operand").node.type.size


def _reduced(use: Use, kind: ReduceKind) -> Value:
    operand = use.arguments["x"]
    if isinstance(operand.value, Group):
        return Tensor(_group(operand.value, kind, use))
    x = tensor(operand, use.scope, f"the operand of `{use.name}`").node
    axes = known.axes(use.get("axis"), x.type.shape)
    reduced = reduce(kind, x, axes)
    keep = use.get("keepdims")
    if keep is not None and known.boolean(keep, "`keepdims`"):
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.type.shape))
        return Tensor(reshape(reduced, shape))
    return Tensor(reduced)


def _group(group: Group, kind: ReduceKind, use: Use) -> Node:
    """A reduction over all elements of a group, part by part where that is the same."""
    for option in ("axis", "keepdims"):
        if (given := use.get(option)) is not None:
            raise Failure(
                WrongKind(
                    span=given.span,
                    what=f"`{option}`",
                    expected="left out: a group is one vector",
                    found=f"the parameters {group.pattern}",
                )
            )
    if kind not in _COMBINE:
        return reduce(kind, concatenated(group), (0,))
    parts = [reduce(kind, part, tuple(range(part.type.rank))) for part in group.parts]
    total = parts[0]
    for part in parts[1:]:
        total = elementwise(_COMBINE[kind], total, part)
    return total


def concatenated(group: Group) -> Node:
    """A group as one vector."""
    return concat([reshape(part, (part.type.size,)) for part in group.parts], 0)


def batch(kind: BatchKind) -> Callable[[Use], Value]:
    """The builder of `batch_sum` and `batch_max`."""

    def build(use: Use) -> Value:
        x = tensor(use.arguments["x"], use.scope, f"the operand of `{use.name}`").node
        return Tensor(batch_reduce(kind, x))

    return build


def batch_mean(use: Use) -> Value:
    x = tensor(use.arguments["x"], use.scope, "the operand of `batch_mean`").node
    return Tensor(mean_of_batch(x))
