"""The layout of floats and the exact steps that all the functions share.

Invariants: every helper takes scalars and vectors of float and double and computes the same bits
for both; numbers are rounded to integers by adding 1.5 * 2^mantissa, which leaves the integer in
the low bits and needs nothing but addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Value, element_of, integer_of
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.backend.builder import Builder


@record
class Format:
    """An IEEE format: bits of the stored mantissa, exponent bias, and what follows from them."""

    mantissa: int
    bias: int

    @property
    def sign(self) -> int:
        """The sign bit, as the integer of that width."""
        return -1 << (31 if self.mantissa == 23 else 63)

    @property
    def rounder(self) -> float:
        """Adding this leaves an integer in the low bits."""
        return 1.5 * 2.0**self.mantissa

    @property
    def least(self) -> float:
        """The smallest normal number."""
        return 2.0 ** (1 - self.bias)


FORMATS: Final = {"float": Format(23, 127), "double": Format(52, 1023)}


def format_of(v: Value) -> Format:
    return FORMATS[element_of(v.type)]


def to_bits(b: Builder, v: Value) -> Value:
    return b.bitcast(v, integer_of(v.type))


def horner(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial whose constant term comes first."""
    return polynomial(b, x, [b.constant(coefficient, x.type) for coefficient in coefficients])


def polynomial(b: Builder, x: Value, coefficients: Sequence[Value]) -> Value:
    """The same with a coefficient of its own for each lane."""
    result = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = b.fma(result, x, coefficient)
    return result


def at_least(b: Builder, x: Value, bound: float) -> Value:
    """max(x, bound), where NaN stays NaN: one `max` instruction on x86."""
    limit = b.constant(bound, x.type)
    return b.select(b.fcmp("ogt", limit, x), limit, x)


def at_most(b: Builder, x: Value, bound: float) -> Value:
    """min(x, bound), where NaN stays NaN."""
    limit = b.constant(bound, x.type)
    return b.select(b.fcmp("olt", limit, x), limit, x)


def select_constant(b: Builder, condition: Value, value: float, otherwise: Value) -> Value:
    return b.select(condition, b.constant(value, otherwise.type), otherwise)


def nearest(b: Builder, x: Value, factor: float) -> tuple[Value, Value]:
    """`x * factor` rounded to an integer: as a shifted number (see `Format.rounder`) and plain."""
    rounder = b.constant(format_of(x).rounder, x.type)
    shifted = b.fma(x, b.constant(factor, x.type), rounder)
    return shifted, b.fsub(shifted, rounder)


def scale(b: Builder, x: Value, shifted: Value) -> Value:
    """`x * 2^n` for the n of `nearest`; x and the result must be normal numbers."""
    bits = to_bits(b, shifted)
    exponent = b.shl(bits, b.constant(format_of(x).mantissa, bits.type))
    return b.bitcast(b.add(to_bits(b, x), exponent), x.type)


def power_of_two(b: Builder, shifted: Value, offset: int = 0) -> Value:
    """`2^(n + offset)` for the n of `nearest`; the result must be a normal number."""
    one = b.constant(2.0**offset, shifted.type)
    return scale(b, one, shifted)


def split(b: Builder, x: Value, threshold: float) -> tuple[Value, Value]:
    """(n, m) with x = 2^n m and m in [threshold, 2 threshold), for positive normal x.

    n is a float. The exponent, biased to be positive, becomes a float by the bits of
    2^mantissa + exponent: AVX2 and SSE2 cannot convert 64-bit integers.
    """
    form = format_of(x)
    bits = to_bits(b, x)
    shift = b.constant(form.mantissa, bits.type)
    least = _threshold_bits(threshold, form)
    one = form.bias << form.mantissa
    biased = b.lshr(b.add(bits, b.constant(one - least, bits.type)), shift)
    mantissa = b.sub(bits, b.sub(b.shl(biased, shift), b.constant(one, bits.type)))
    carrier = b.constant((form.bias + form.mantissa) << form.mantissa, bits.type)
    number = b.bitcast(b.or_(biased, carrier), x.type)
    exponent = b.fsub(number, b.constant(2.0**form.mantissa + form.bias, x.type))
    return exponent, b.bitcast(mantissa, x.type)


def _threshold_bits(value: float, form: Format) -> int:
    """The bits of a number in [0.5, 1)."""
    return ((form.bias - 1) << form.mantissa) + int((2.0 * value - 1.0) * 2.0**form.mantissa)


def two_sum(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Knuth: the rounded sum and its exact error."""
    total = b.fadd(x, y)
    part = b.fsub(total, x)
    error = b.fadd(b.fsub(x, b.fsub(total, part)), b.fsub(y, part))
    return total, error


def fast_two_sum(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Dekker: the same when |x| >= |y|."""
    total = b.fadd(x, y)
    return total, b.fsub(y, b.fsub(total, x))


def two_product(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """The rounded product and its exact error; without fused arithmetic by Veltkamp's splitting."""
    product = b.fmul(x, y)
    if b.fused:
        return product, b.fma(x, y, b.fneg(product))
    (xh, xl), (yh, yl) = _halves(b, x), _halves(b, y)
    error = b.fsub(b.fmul(xh, yh), product)
    error = b.fadd(b.fadd(error, b.fmul(xh, yl)), b.fmul(xl, yh))
    return product, b.fadd(error, b.fmul(xl, yl))


def _halves(b: Builder, x: Value) -> tuple[Value, Value]:
    factor = b.constant(2.0 ** ((format_of(x).mantissa + 2) // 2) + 1.0, x.type)
    wide = b.fmul(x, factor)
    high = b.fsub(wide, b.fsub(wide, x))
    return high, b.fsub(x, high)
