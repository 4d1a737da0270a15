"""Compile-time values read from operands: whole numbers, sizes, truth, shapes, axes.

Invariant: a value of another kind, or one known only at run time, is a `Failure` at its own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from netc.compiler.elaborate.name_mistakes import WrongKind
from netc.compiler.elaborate.shape_mistakes import AxisRange, NotASize, NotKnown
from netc.compiler.elaborate.values import (
    Group,
    Operand,
    Tensor,
    is_known,
    is_number,
    show,
    show_shape,
)
from netc.grammar.diagnostics import Failure, Related

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Known, Number


_LARGEST: Final = 10**12


def known(operand: Operand, what: str) -> Known:
    """The value when it is known now."""
    if is_known(operand.value):
        return operand.value
    raise Failure(
        NotKnown(span=operand.span, related=declared(operand), what=what, found=show(operand.value))
    )


def declared(operand: Operand) -> tuple[Related, ...]:
    """The second place of a report: where the operand's name was bound."""
    if operand.declared is None:
        return ()
    return (Related(operand.declared, "declared here"),)


def wrong(operand: Operand, what: str, expected: str) -> NoReturn:
    raise Failure(
        WrongKind(
            span=operand.span,
            related=declared(operand),
            what=what,
            expected=expected,
            found=show(operand.value),
        )
    )


def number(operand: Operand, what: str) -> Number:
    value = known(operand, what)
    if isinstance(value, bool):
        return int(value)
    return value if is_number(value) else wrong(operand, what, "a number")


def integer(operand: Operand, what: str) -> int:
    value = known(operand, what)
    if not is_number(value) or not float(value).is_integer():
        wrong(operand, what, "a whole number")
    return int(value)


def size(operand: Operand, what: str, least: int = 1, most: int = _LARGEST) -> int:
    """A whole number of at least `least`."""
    value = known(operand, what)
    if not is_number(value) or not float(value).is_integer() or not least <= value <= most:
        raise Failure(
            NotASize(
                span=operand.span,
                related=declared(operand),
                what=what,
                found=show(value),
                least=str(least),
                reason="too large" if is_number(value) and value > most else "not a size",
            )
        )
    return int(value)


def boolean(operand: Operand, what: str) -> bool:
    value = known(operand, what)
    match value:
        case bool():
            return value
        case 0 | 1:
            return bool(value)
        case _:
            wrong(operand, what, "true or false")


def string(operand: Operand, what: str) -> str:
    value = known(operand, what)
    return value if isinstance(value, str) else wrong(operand, what, "a string")


def shape(operand: Operand, what: str) -> tuple[int, ...]:
    """A list of sizes."""
    value = known(operand, what)
    if is_number(value):
        return (size(operand, what),)
    if not isinstance(value, tuple):
        wrong(operand, what, "a shape such as `[3, 4]`")
    return tuple(size(Operand(item, operand.span), "a size") for item in value)


def integers(operand: Operand, what: str) -> tuple[int, ...]:
    """One whole number, or a list of them."""
    value = known(operand, what)
    items = value if isinstance(value, tuple) else (value,)
    return tuple(integer(Operand(item, operand.span), what) for item in items)


def axes(operand: Operand | None, of: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of a shape in increasing order, negative ones from the end; all when not given."""
    if operand is None:
        return tuple(range(len(of)))
    named = [axis(operand, n, of) for n in integers(operand, "`axis`")]
    if len(set(named)) < len(named):
        wrong(operand, "`axis`", "a list of different axes")
    return tuple(sorted(named))


def axis(operand: Operand, number: int, of: tuple[int, ...]) -> int:
    """One axis of a shape, counted from 0."""
    rank = len(of)
    if not -rank <= number < rank:
        raise Failure(
            AxisRange(
                span=operand.span,
                axis=str(number),
                shape=show_shape(of),
                reason=f"axes run from {-rank} to {rank - 1}" if rank else "a number has no axes",
            )
        )
    return number % rank


def shape_of(operand: Operand) -> tuple[int, ...] | None:
    """The shape of any value that has one."""
    match operand.value:
        case Tensor() as tensor:
            return tensor.shape
        case Group() as group:
            return (group.size,)
        case bool() | int() | float():
            return ()
        case ():
            return None
        case (first, *_) as items:
            inner = shape_of(Operand(first, operand.span))
            return None if inner is None else (len(items), *inner)
        case _:
            return None
