"""log and log1p.

x = 2^n (1 + t) with t around 0. f32: log(1 + t) = t + t^2 Q(t). f64: with s = t / (2 + t),
log(1 + t) = t - (t^2/2 - s (t^2/2 + s^2 R(s^2))), the classical form in which t enters exactly.
Q and R are fitted here for the relative error of log(1 + t) (Lawson-weighted least squares at
Chebyshev nodes in 45 digits).
"""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import element_of
from netc.compiler.backend.math.bits import (
    at_most,
    format_of,
    horner,
    power_of_two,
    select_constant,
    split,
    two_sum,
)
from netc.compiler.backend.math.exponential import TABLES as EXPONENTIAL

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder, Value

THRESHOLD: Final = {"float": 2.0 / 3.0, "double": 0.7071067811865476}
"""The mantissa lies in [threshold, 2 threshold)."""

_SINGLE: Final = (
    -0.5,
    0.3333321511745453,
    -0.24999812245368958,
    0.20010441541671753,
    -0.1667984426021576,
    0.14005421102046967,
    -0.1219295784831047,
    0.13986213505268097,
    -0.12854725122451782,
)
_DOUBLE: Final = (
    0.6666666666666735,
    0.39999999999409164,
    0.2857142874376948,
    0.22222198416366315,
    0.18183573216325188,
    0.15313805031295175,
    0.1479857958313539,
)


def log_split(b: Builder, n: Value, t: Value) -> Value:
    """log(2^n (1 + t))."""
    high, low = (b.constant(part, t.type) for part in EXPONENTIAL[element_of(t.type)].ln2)
    square = b.fmul(t, t)
    if element_of(t.type) == "float":
        small = b.fma(square, horner(b, t, _SINGLE), b.fmul(n, low))
    else:
        half = b.fmul(square, b.constant(0.5, t.type))
        s = b.fdiv(t, b.fadd(t, b.constant(2.0, t.type)))
        z = b.fmul(s, s)
        bend = b.fma(z, horner(b, z, _DOUBLE), half)
        small = b.fsub(b.fma(s, bend, b.fmul(n, low)), half)
    return b.fma(n, high, b.fadd(t, small))


def log(b: Builder, x: Value) -> Value:
    form = format_of(x)
    lift = b.constant(2.0 ** (form.mantissa + 1), x.type)
    tiny = b.fcmp("olt", x, b.constant(form.least, x.type))
    n, m = split(b, b.select(tiny, b.fmul(x, lift), x), THRESHOLD[element_of(x.type)])
    n = b.select(tiny, b.fsub(n, b.constant(form.mantissa + 1, x.type)), n)
    result = log_split(b, n, b.fsub(m, b.constant(1.0, x.type)))
    return _outside(b, x, 0.0, result)


def log1p(b: Builder, x: Value) -> Value:
    """The logarithm of the rounded 1 + x, whose exact error joins t: small x enter exactly."""
    form = format_of(x)
    one = b.constant(1.0, x.type)
    total, error = two_sum(b, one, x)
    n, m = split(b, total, THRESHOLD[element_of(x.type)])
    rounder = b.constant(form.rounder, x.type)
    inverse = power_of_two(b, b.fsub(rounder, at_most(b, n, form.bias - 1)))
    t = b.fma(error, inverse, b.fsub(m, one))
    return _outside(b, x, -1.0, b.copysign(log_split(b, n, t), x))


def _outside(b: Builder, x: Value, pole: float, inside: Value) -> Value:
    """-inf at the pole, NaN below it, inf and NaN as they are."""
    at_pole = b.constant(pole, x.type)
    special = select_constant(b, b.fcmp("olt", x, at_pole), nan, x)
    special = select_constant(b, b.fcmp("oeq", x, at_pole), -inf, special)
    regular = b.and_(b.fcmp("ogt", x, at_pole), b.fcmp("olt", x, b.constant(inf, x.type)))
    return b.select(regular, inside, special)
