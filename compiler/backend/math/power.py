"""Real powers x^y = 2^(y log2 |x|), with the logarithm to more bits than the result.

f32 computes in double. f64 carries the logarithm as a sum of two doubles with an error near 2^-65.
Special cases are those of IEEE 754 and NumPy. Coefficients are fitted here (Lawson-weighted least
squares at Chebyshev nodes in 45 digits).
"""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import element_of, lanes_of, vector
from netc.compiler.backend.math.basic import floor
from netc.compiler.backend.math.bits import (
    at_least,
    at_most,
    fast_two_sum,
    format_of,
    horner,
    nearest,
    scale,
    select_constant,
    split,
    two_product,
    two_sum,
)
from netc.compiler.backend.math.exponential import TABLES as EXPONENTIAL

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder, Value

_LOG2: Final = (
    1.4426950408922008,
    -0.7213475195701708,
    0.48089834405826404,
    -0.3606739784612868,
    0.28853943124629183,
    -0.24043366817283524,
    0.20607638310138662,
    -0.1808059040550112,
    0.16088403876066884,
    -0.13746254105773506,
    0.12362078558616144,
    -0.16610057342912649,
    0.1573667848147148,
)
"""log2(1 + t) / t for t in [-1/3, 1/3], to 2^-36."""

_EXP2: Final = (
    1.0000000005612104,
    0.6931472060080597,
    0.24022646817774507,
    0.05550328174184098,
    0.009618495530707373,
    0.0013400178950556101,
    0.00015344510747982175,
)
"""2^r for |r| <= 1/2, to 2^-29."""

_ATANH: Final = (
    0.40000000000002284,
    0.2857142857008556,
    0.22222222522545076,
    0.18181784127806522,
    0.15386768784888197,
    0.13256541553131623,
    0.13198975790272624,
)
"""(2 atanh(s) - 2 s - 2/3 s^3) / s^5 in s^2 for |s| <= 0.1716, to 2^-66."""

_TWO_THIRDS: Final = (0.6666666666666666, 3.700743415417188e-17)
_LOG2_E: Final = (1.4426950408889634, 2.0355273740931033e-17)
_LN_2: Final = 0.6931471805599453

Pair = tuple["Value", "Value"]
"""The sum of two floats, the first being the rounded sum."""


def power(b: Builder, x: Value, y: Value) -> Value:
    magnitude = (_single if element_of(x.type) == "float" else _double)(b, b.fabs(x), y)
    zero, one = b.constant(0.0, x.type), b.constant(1.0, x.type)
    half = b.fmul(y, b.constant(0.5, x.type))
    whole = b.fcmp("oeq", floor(b, y), y)
    odd = b.and_(whole, b.fcmp("one", floor(b, half), half))
    signed = b.select(odd, b.copysign(magnitude, x), magnitude)
    below = b.and_(b.fcmp("olt", x, zero), b.fcmp("ogt", x, b.constant(-inf, x.type)))
    refused = b.and_(below, b.fcmp("one", floor(b, y), y))
    result = select_constant(b, refused, nan, signed)
    trivial = b.or_(b.fcmp("oeq", x, one), b.fcmp("oeq", y, zero))
    return b.select(trivial, one, result)


def _single(b: Builder, x: Value, y: Value) -> Value:
    """|x|^y of floats, the overflow and underflow being those of the final conversion."""
    wide = vector("double", lanes_of(x.type))
    xd, yd = b.convert("fpext", x, wide), b.convert("fpext", y, wide)
    n, m = split(b, xd, 2.0 / 3.0)
    t = b.fsub(m, b.constant(1.0, wide))
    logarithm = _at_the_ends(b, xd, b.fma(t, horner(b, t, _LOG2), n))
    exponent = _bounded(b, xd, yd, b.fmul(yd, logarithm), 200.0)
    shifted, n = nearest(b, exponent, 1.0)
    result = scale(b, horner(b, b.fsub(exponent, n), _EXP2), shifted)
    return b.convert("fptrunc", result, x.type)


def _double(b: Builder, x: Value, y: Value) -> Value:
    """|x|^y of doubles: the logarithm and its product with y as pairs."""
    form = format_of(x)
    lift = b.constant(2.0 ** (form.mantissa + 1), x.type)
    tiny = b.fcmp("olt", x, b.constant(form.least, x.type))
    n, m = split(b, b.select(tiny, b.fmul(x, lift), x), 0.7071067811865476)
    n = b.select(tiny, b.fsub(n, b.constant(form.mantissa + 1, x.type)), n)
    high, low = _log2(b, n, m)
    high = _at_the_ends(b, x, high)
    calm = at_least(b, at_most(b, y, 2.0**66), -(2.0**66))
    product, error = two_product(b, calm, high)
    error = b.fma(calm, low, error)
    bound = 1100.0
    exponent = _bounded(b, x, y, product, bound)
    shifted, n = nearest(b, exponent, 1.0)
    usable = b.fcmp("olt", b.fabs(product), b.constant(bound, x.type))
    rest = b.fadd(b.fsub(exponent, n), b.select(usable, error, b.constant(0.0, x.type)))
    r = b.fmul(rest, b.constant(_LN_2, x.type))
    p = b.fma(b.fmul(r, r), horner(b, r, EXPONENTIAL["double"].tail), r)
    result = scale(b, b.fadd(b.constant(1.0, x.type), p), shifted)
    total = b.fadd(n, rest)
    over = b.fcmp("oge", total, b.constant(1024.0, x.type))
    result = select_constant(b, over, inf, result)
    under = b.fcmp("olt", total, b.constant(-1022.0, x.type))
    result = select_constant(b, under, 0.0, result)
    return b.select(b.fcmp("uno", exponent, exponent), exponent, result)


def _log2(b: Builder, n: Value, m: Value) -> Pair:
    """log2(2^n m) with s = (m - 1) / (m + 1): 2 s + 2/3 s^3 as pairs, the rest plain."""
    one = b.constant(1.0, m.type)
    f = b.fsub(m, one)
    g, g_low = two_sum(b, m, one)
    inverse = b.fdiv(one, g)
    quotient = b.fmul(f, inverse)
    back, back_error = two_product(b, quotient, g)
    rest = b.fsub(b.fsub(b.fsub(f, back), back_error), b.fmul(quotient, g_low))
    s = fast_two_sum(b, quotient, b.fmul(rest, inverse))
    z = _multiply(b, s, s)
    cube = _multiply(b, z, s)
    bend = _multiply(b, cube, _pair(b, _TWO_THIRDS, m.type))
    tail = b.fmul(b.fmul(cube[0], z[0]), horner(b, z[0], _ATANH))
    two = b.constant(2.0, m.type)
    high, error = fast_two_sum(b, b.fmul(two, s[0]), bend[0])
    low = b.fadd(b.fadd(error, b.fmul(two, s[1])), b.fadd(bend[1], tail))
    natural = fast_two_sum(b, high, low)
    binary = _multiply(b, natural, _pair(b, _LOG2_E, m.type))
    high, error = two_sum(b, n, binary[0])
    return fast_two_sum(b, high, b.fadd(error, binary[1]))


def _pair(b: Builder, parts: tuple[float, float], type_: str) -> Pair:
    return b.constant(parts[0], type_), b.constant(parts[1], type_)


def _multiply(b: Builder, x: Pair, y: Pair) -> Pair:
    high, error = two_product(b, x[0], y[0])
    error = b.fma(x[0], y[1], error)
    return fast_two_sum(b, high, b.fma(x[1], y[0], error))


def _at_the_ends(b: Builder, x: Value, logarithm: Value) -> Value:
    """log2 of 0 is -inf, of inf is inf, of NaN is NaN."""
    logarithm = select_constant(b, b.fcmp("oeq", x, b.constant(0.0, x.type)), -inf, logarithm)
    return b.select(b.fcmp("olt", x, b.constant(inf, x.type)), logarithm, x)


def _bounded(b: Builder, x: Value, y: Value, exponent: Value, bound: float) -> Value:
    """The exponent of 2 within the bounds; 0 for 1^(+-inf)."""
    infinite = b.fcmp("oeq", b.fabs(y), b.constant(inf, y.type))
    unit = b.and_(infinite, b.fcmp("oeq", x, b.constant(1.0, x.type)))
    exponent = select_constant(b, unit, 0.0, exponent)
    return at_least(b, at_most(b, exponent, bound), -bound)
