"""Arithmetic, comparisons, masks, rounding: what needs at most a few instructions.

Invariant: comparisons yield masks (i1 in each lane); `where`, `and`, `or`, `not` accept masks and
floats. Results are those of NumPy: NaN spreads through max and min, sign(0) is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.backend.builder import element_of
from netc.compiler.backend.math import estimates
from netc.compiler.backend.math.bits import format_of, select_constant

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder, Value


def as_mask(b: Builder, v: Value) -> Value:
    """A float as a truth value: not zero (NaN is true)."""
    if element_of(v.type) == "i1":
        return v
    return b.fcmp("une", v, b.constant(0.0, v.type))


def as_float(b: Builder, v: Value, type_: str) -> Value:
    """A mask as 1 and 0 of a float type; floats pass."""
    if element_of(v.type) != "i1":
        return v
    return b.select(v, b.constant(1.0, type_), b.constant(0.0, type_))


def add(b: Builder, x: Value, y: Value) -> Value:
    return b.fadd(x, y, contract=True)


def sub(b: Builder, x: Value, y: Value) -> Value:
    return b.fsub(x, y, contract=True)


def mul(b: Builder, x: Value, y: Value) -> Value:
    return b.fmul(x, y, contract=True)


def div(b: Builder, x: Value, y: Value) -> Value:
    return b.fdiv(x, y)


def neg(b: Builder, x: Value) -> Value:
    return b.fneg(x)


def absolute(b: Builder, x: Value) -> Value:
    return b.fabs(x)


def sqrt(b: Builder, x: Value) -> Value:
    if b.avx512 and x.type == estimates.VECTOR:
        return estimates.root(b, x)
    return b.sqrt(x)


def rsqrt(b: Builder, x: Value) -> Value:
    """Two correctly rounded operations: no approximate reciprocal root."""
    return b.fdiv(b.constant(1.0, x.type), b.sqrt(x))


def maximum(b: Builder, x: Value, y: Value) -> Value:
    return _extreme(b, "ogt", x, y)


def minimum(b: Builder, x: Value, y: Value) -> Value:
    return _extreme(b, "olt", x, y)


def _extreme(b: Builder, predicate: str, x: Value, y: Value) -> Value:
    """The select is one x86 instruction, which yields its second operand when either is NaN.

    So a constant goes first, and any other first operand that is NaN must be put back.
    """
    if _is_constant(y):
        x, y = y, x
    result = b.select(b.fcmp(predicate, x, y), x, y)
    return result if _is_constant(x) else b.select(b.fcmp("uno", x, x), x, result)


def _is_constant(v: Value) -> bool:
    return v.text.startswith(("0x", "splat"))


def sign(b: Builder, x: Value) -> Value:
    zero = b.constant(0.0, x.type)
    nonzero = b.fcmp("one", x, zero)
    unit = b.copysign(b.constant(1.0, x.type), x)
    return b.select(nonzero, unit, b.fadd(x, zero))


def round_half_even(b: Builder, x: Value) -> Value:
    """The nearest integer, halves to even; without rounding instructions by adding 2^mantissa."""
    if b.fused:
        return b.roundeven(x)
    whole = b.constant(2.0 ** format_of(x).mantissa, x.type)
    size = b.fabs(x)
    rounded = b.copysign(b.fsub(b.fadd(size, whole), whole), x)
    return b.select(b.fcmp("olt", size, whole), rounded, x)


def floor(b: Builder, x: Value) -> Value:
    if b.fused:
        return b.floor(x)
    near = round_half_even(b, x)
    return b.select(b.fcmp("ogt", near, x), b.fsub(near, b.constant(1.0, x.type)), near)


def ceil(b: Builder, x: Value) -> Value:
    if b.fused:
        return b.ceil(x)
    return b.fneg(floor(b, b.fneg(x)))


def where(b: Builder, condition: Value, x: Value, y: Value) -> Value:
    return b.select(as_mask(b, condition), x, y)


def absorb(b: Builder, g: Value, d: Value) -> Value:
    """The product, but 0 where g is 0: an infinite derivative counts only where it is used."""
    unused = b.fcmp("oeq", g, b.constant(0.0, g.type))
    return select_constant(b, unused, 0.0, b.fmul(g, d))


def isnan(b: Builder, x: Value) -> Value:
    return b.fcmp("uno", x, x)


def less(b: Builder, x: Value, y: Value) -> Value:
    return b.fcmp("olt", x, y)


def less_equal(b: Builder, x: Value, y: Value) -> Value:
    return b.fcmp("ole", x, y)


def greater(b: Builder, x: Value, y: Value) -> Value:
    return b.fcmp("ogt", x, y)


def greater_equal(b: Builder, x: Value, y: Value) -> Value:
    return b.fcmp("oge", x, y)


def equal(b: Builder, x: Value, y: Value) -> Value:
    return b.fcmp("oeq", x, y)


def not_equal(b: Builder, x: Value, y: Value) -> Value:
    return b.fcmp("une", x, y)


def logical_and(b: Builder, x: Value, y: Value) -> Value:
    return b.and_(as_mask(b, x), as_mask(b, y))


def logical_or(b: Builder, x: Value, y: Value) -> Value:
    return b.or_(as_mask(b, x), as_mask(b, y))


def logical_not(b: Builder, x: Value) -> Value:
    return b.not_(as_mask(b, x))
