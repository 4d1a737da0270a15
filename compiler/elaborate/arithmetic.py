"""Operators and elementwise functions on any values: folded now, or made as graph.

Invariant: operands known at compile time give a known result in double precision; one tensor among
them makes graph. An operation on a group of parameters applies to each of them.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Final

from netc.compiler.elaborate.build import broadcast, elementwise, joint_shape, literal
from netc.compiler.elaborate.name_mistakes import WrongKind
from netc.compiler.elaborate.shape_mistakes import BadArithmetic, BroadcastMismatch, EmptyList
from netc.compiler.elaborate.values import (
    Group,
    Known,
    Operand,
    Tensor,
    Value,
    is_known,
    is_number,
    show,
    show_shape,
)
from netc.compiler.ops.source import constant
from netc.grammar.diagnostics import Failure, Related

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.ir.graph import Node
    from netc.grammar.source import Span

OPERATORS: Final = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "^": "pow",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
    "!=": "ne",
}


def _power(base: float, exponent: float) -> float:
    """Exact for whole numbers that a double can hold; ValueError where it would be complex."""
    result = math.pow(base, exponent)
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        return int(base**exponent)
    return result


FOLD: Final[dict[str, Callable[..., Any]]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": _power,
    "neg": operator.neg,
    "max": max,
    "min": min,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "not": operator.not_,
    "where": lambda c, a, b: a if c else b,
    "isnan": math.isnan,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": lambda x: 0.5 * (1 + math.tanh(x / 2)),
    "erf": math.erf,
}


def combine(name: str, operands: Sequence[Operand], scope: Scope, span: Span, text: str) -> Value:
    """The elementwise operation `name`, called `text` in reports."""
    values = [operand.value for operand in operands]
    known = [value for value in values if is_known(value)]
    if len(known) == len(values) and name in FOLD and _folds(name, known):
        return _fold(name, known, span)
    groups = [value for value in values if isinstance(value, Group)]
    if groups:
        return _distribute(name, operands, groups[0], scope, text)
    nodes = [tensor(operand, scope, f"an operand of `{text}`").node for operand in operands]
    _check_shapes(operands, nodes, span, text)
    return Tensor(elementwise(name, *nodes))


def _folds(name: str, values: Sequence[Known]) -> bool:
    if name in ("eq", "ne") and isinstance(values[0], tuple | str):
        return type(values[0]) is type(values[1])
    return all(isinstance(value, bool | int | float) for value in values)


def _fold(name: str, values: Sequence[Known], span: Span) -> Known:
    try:
        result: Known = FOLD[name](*values)
        if is_number(result) and not math.isfinite(result):
            raise OverflowError
    except ZeroDivisionError:
        reason = "division by zero"
    except OverflowError:
        reason = "the result is too large"
    except ValueError:
        reason = "outside the domain of the function"
    else:
        return result
    raise Failure(BadArithmetic(span=span, expression=f"`{span.text}`", reason=reason))


def _distribute(
    name: str, operands: Sequence[Operand], group: Group, scope: Scope, text: str
) -> Group:
    """The operation on each part of a group; other operands are scalars or groups of its parts."""
    columns: list[Sequence[Operand]] = []
    for operand in operands:
        match operand.value:
            case Group(parts=parts) if [p.type.shape for p in parts] == [
                p.type.shape for p in group.parts
            ]:
                columns.append([Operand(Tensor(part), operand.span) for part in parts])
            case Tensor(node=node) if node.type.rank == 0:
                columns.append([operand] * len(group.parts))
            case bool() | int() | float():
                columns.append([operand] * len(group.parts))
            case other:
                expected = "a number when the other operand is a group of parameters"
                raise Failure(
                    WrongKind(
                        span=operand.span,
                        what=f"the operand of `{text}`",
                        expected=expected,
                        found=show(other),
                    )
                )
    applied: list[Node] = []
    for row in zip(*columns, strict=True):
        nodes = [tensor(operand, scope, "an operand").node for operand in row]
        applied.append(elementwise(name, *nodes))
    return Group(tuple(applied), group.pattern)


def tensor(operand: Operand, scope: Scope, what: str) -> Tensor:
    """A value as a tensor; raises `Failure` for strings, groups and ragged lists."""
    match operand.value:
        case Tensor() as found:
            return found
        case bool() | int() | float() as number:
            return Tensor(literal(number, scope.session.precision))
        case () | ((), *_):
            raise Failure(EmptyList(span=operand.span))
        case tuple() as items:
            return Tensor(literal(items, scope.session.precision))
        case other:
            raise Failure(
                WrongKind(span=operand.span, what=what, expected="a tensor", found=show(other))
            )


def _check_shapes(
    operands: Sequence[Operand], nodes: Sequence[Node], span: Span, text: str
) -> None:
    shape: tuple[int, ...] = ()
    for index, node in enumerate(nodes):
        try:
            shape = joint_shape(shape, node.type.shape)
        except ValueError:
            left = next(
                (i for i in range(index) if not _fit(nodes[i].type.shape, node.type.shape)), 0
            )
            raise Failure(
                mismatch(
                    text,
                    (operands[left], nodes[left].type.shape),
                    (operands[index], node.type.shape),
                    span,
                )
            ) from None


def mismatch(
    text: str,
    left: tuple[Operand, tuple[int, ...]],
    right: tuple[Operand, tuple[int, ...]],
    span: Span,
) -> BroadcastMismatch:
    """The report of two shapes that do not broadcast."""
    related = tuple(
        Related(operand.declared, f"shape {show_shape(shape)}")
        for operand, shape in (left, right)
        if operand.declared is not None
    )
    return BroadcastMismatch(
        span=span,
        related=related,
        operation=text,
        left=show_shape(left[1]),
        right=show_shape(right[1]),
    )


def _fit(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        joint_shape(a, b)
    except ValueError:
        return False
    return True


def power(base: Operand, exponent: Operand, scope: Scope, span: Span) -> Value:
    """`base ^ exponent`: repeated multiplication for a whole exponent, else the real power."""
    n = exponent.value
    if is_number(n) and float(n).is_integer() and not is_number(base.value):
        match base.value:
            case Group(parts=parts, pattern=pattern):
                return Group(tuple(_integer_power(part, int(n)) for part in parts), pattern)
            case _:
                found = tensor(base, scope, "the base of `^`")
                return Tensor(_integer_power(found.node, int(n)))
    return combine("pow", (base, exponent), scope, span, "^")


def _integer_power(x: Node, n: int) -> Node:
    """x^n by repeated squaring; x^-n is 1 / x^n."""
    if n == 0:
        return constant(1, x.type.shape, x.type.precision)
    result: Node | None = None
    square, rest = x, abs(n)
    while rest:
        if rest & 1:
            result = square if result is None else elementwise("mul", result, square)
        rest >>= 1
        if rest:
            square = elementwise("mul", square, square)
    assert result is not None
    if n > 0:
        return result
    one = constant(1, x.type.shape, x.type.precision)
    return elementwise("div", one, result)


def fitted(operand: Operand, shape: tuple[int, ...], scope: Scope) -> Node | None:
    """A value broadcast to `shape`, or None when it does not fit."""
    node = tensor(operand, scope, "the value").node
    try:
        if joint_shape(node.type.shape, shape) != shape:
            return None
    except ValueError:
        return None
    return broadcast(node, shape)
