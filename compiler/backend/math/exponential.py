"""exp and the functions made of it: expm1, sigmoid, tanh.

All start from x = n ln 2 + r with |r| <= ln(2)/2 and p = e^r - 1 = r + r^2 P(r), the polynomial P
being fitted here for the relative error of p (Lawson-weighted least squares at Chebyshev nodes in
45 digits, coefficients rounded one after the other). Results below the normal numbers are 0.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import element_of
from netc.compiler.backend.math import tabled
from netc.compiler.backend.math.bits import (
    at_least,
    at_most,
    horner,
    nearest,
    power_of_two,
    scale,
    select_constant,
)
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder, Value

LOG2_E: Final = 1.4426950408889634


@record
class Table:
    """The constants of one precision.

    `ln2` is ln 2 in two parts, the first so short that n times it is exact. exp(x) is a normal
    number for `least` <= x <= `greatest`; expm1(x) rounds to -1 below `flat`.
    """

    ln2: tuple[float, float]
    least: float
    greatest: float
    flat: float
    tail: tuple[float, ...]


TABLES: Final = {
    "float": Table(
        ln2=(0.693359375, -2.12194440e-4),
        least=-87.33654022216797,
        greatest=88.72283172607422,
        flat=-18.0,
        tail=(
            0.4999999701976776,
            0.1666654348373413,
            0.04166745766997337,
            0.008366631343960762,
            0.0013869054382666945,
        ),
    ),
    "double": Table(
        ln2=(0.6931471805598903, 5.497923018708371e-14),
        least=-708.3964185322641,
        greatest=709.782712893384,
        flat=-40.0,
        tail=(
            0.5,
            0.16666666666666677,
            0.04166666666666663,
            0.008333333333321449,
            0.001388888888891304,
            0.0001984126988655085,
            2.4801587259434073e-05,
            2.7557243798613785e-06,
            2.755733424926218e-07,
            2.5109177817357317e-08,
            2.0895177165461663e-09,
        ),
    ),
}


def reduced(b: Builder, x: Value) -> tuple[Value, Value]:
    """(n as a shifted number, p) with e^x = 2^n (1 + p), for |n| within the exponent range."""
    table = TABLES[element_of(x.type)]
    shifted, n = nearest(b, x, LOG2_E)
    high, low = table.ln2
    r = b.fma(n, b.constant(-high, x.type), x)
    r = b.fma(n, b.constant(-low, x.type), r)
    return shifted, b.fma(b.fmul(r, r), horner(b, r, table.tail), r)


def exp_inside(b: Builder, x: Value) -> Value:
    """The exponential of arguments whose result is a normal number."""
    shifted, p = reduced(b, x)
    return scale(b, b.fadd(b.constant(1.0, x.type), p), shifted)


def exp(b: Builder, x: Value) -> Value:
    table = TABLES[element_of(x.type)]
    inside = exp_inside(b, x)
    over = b.fcmp("ugt", x, b.constant(table.greatest, x.type))
    result = b.select(over, b.fadd(x, b.constant(inf, x.type)), inside)
    return select_constant(b, b.fcmp("olt", x, b.constant(table.least, x.type)), 0.0, result)


def expm1(b: Builder, x: Value) -> Value:
    """2 (2^(n-1) p + (2^(n-1) - 1/2)): half the result, so that n may exceed the exponent range."""
    table = TABLES[element_of(x.type)]
    shifted, p = reduced(b, at_least(b, x, table.flat))
    half = power_of_two(b, shifted, -1)
    result = b.fma(half, p, b.fsub(half, b.constant(0.5, x.type)))
    result = b.copysign(b.fadd(result, result), x)
    over = b.fcmp("ugt", x, b.constant(table.greatest, x.type))
    return b.select(over, b.fadd(x, b.constant(inf, x.type)), result)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e^-x), the rounding error of the denominator put right to first order.

    With e^-x = s (1 + p), s a power of two, the denominator is (1 + s) + s p and its error is known
    exactly. Both signs of x keep full relative precision.
    """
    table = TABLES[element_of(x.type)]
    one = b.constant(1.0, x.type)
    shifted, p = reduced(b, at_least(b, at_most(b, b.fneg(x), -table.least), table.flat))
    s = power_of_two(b, shifted)
    head, part = b.fadd(one, s), b.fmul(s, p)
    denominator = b.fadd(head, part)
    error = b.fadd(b.fsub(head, denominator), part)
    quotient = b.fdiv(one, denominator)
    result = b.fma(b.fneg(b.fmul(quotient, error)), quotient, quotient)
    return select_constant(b, b.fcmp("olt", x, b.constant(table.least, x.type)), 0.0, result)


def tanh(b: Builder, x: Value) -> Value:
    """-t / (2 + t) with t = e^(-2|x|) - 1, both roundings being put right to first order.

    t carries the error `low`, 2 + t besides the error `error`; 1 / (2 + t) = (1 + tanh) / 2 saves a
    second division. In f32 with AVX-512 tables are twice as fast.
    """
    if tabled.has_tables(b, x):
        return tabled.looked_up(b, x, tabled.TANH)
    table = TABLES[element_of(x.type)]
    two, half = b.constant(2.0, x.type), b.constant(0.5, x.type)
    shifted, p = reduced(b, at_least(b, b.fmul(b.fabs(x), b.constant(-2.0, x.type)), table.flat))
    s = power_of_two(b, shifted)
    head = b.fsub(s, b.constant(1.0, x.type))
    t = b.fma(s, p, head)
    low = b.fma(s, p, b.fsub(head, t))
    denominator = b.fadd(two, t)
    error = b.fadd(b.fsub(t, b.fsub(denominator, two)), low)
    quotient = b.fdiv(b.fneg(t), denominator)
    share = b.fma(quotient, error, low)
    inverse = b.fma(quotient, half, half)
    return b.copysign(b.fma(b.fneg(share), inverse, quotient), x)
