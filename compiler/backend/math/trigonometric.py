"""sin and cos.

x = n pi/2 + r in double precision for both element types, pi/2 in parts of 33 bits whose products
with n are exact: full accuracy for |x| <= 2^20; beyond it the argument loses bits, beyond 2^51
results are only bounded by 1. sin(r) = r + r^3 S(r^2), cos(r) = 1 - r^2/2 + r^4 C(r^2), with S
and C fitted here for the relative error (Lawson-weighted least squares at Chebyshev nodes in 45
digits).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Value, element_of, integer_of, lanes_of, vector
from netc.compiler.backend.math.bits import (
    at_least,
    at_most,
    horner,
    nearest,
    to_bits,
)

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder

_HALF_PI: Final = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
_TWO_OVER_PI: Final = 0.6366197723675814
_RADIUS: Final = 0.7854
_SIN: Final = {
    "float": (-0.16666653752326965, 0.008332109078764915, -0.0001950878940988332),
    "double": (
        -0.1666666666666663,
        0.008333333333321915,
        -0.0001984126982945518,
        2.7557313581132e-06,
        -2.5050742157292107e-08,
        1.5895935153240736e-10,
    ),
}
_COS: Final = {
    "float": (0.04166664555668831, -0.0013887308305129409, 2.443210905767046e-05),
    "double": (
        0.041666666666666595,
        -0.0013888888888873348,
        2.4801587289007615e-05,
        -2.755731421873294e-07,
        2.087570561796121e-09,
        -1.1358759772658915e-11,
    ),
}


def sin(b: Builder, x: Value) -> Value:
    return _wave(b, x, 0)


def cos(b: Builder, x: Value) -> Value:
    return _wave(b, x, 1)


def _wave(b: Builder, x: Value, phase: int) -> Value:
    """sin(x + phase pi/2): the quadrant chooses between sin(r) and cos(r) and the sign."""
    r, quadrant = _reduce(b, x)
    bits = quadrant.type
    quadrant = b.add(quadrant, b.constant(phase, bits))
    odd = b.icmp("ne", b.and_(quadrant, b.constant(1, bits)), b.constant(0, bits))
    value = b.select(odd, _cos_inside(b, r), _sin_inside(b, r))
    width = 30 if element_of(x.type) == "float" else 62
    negative = b.shl(b.and_(quadrant, b.constant(2, bits)), b.constant(width, bits))
    return b.bitcast(b.xor(to_bits(b, value), negative), x.type)


def _reduce(b: Builder, x: Value) -> tuple[Value, Value]:
    """(r, n) with n an integer of the width of x."""
    wide = vector("double", lanes_of(x.type))
    narrow = wide != x.type
    exact = b.convert("fpext", x, wide) if narrow else x
    shifted, n = nearest(b, exact, _TWO_OVER_PI)
    r = exact
    for part in _HALF_PI[:2] if narrow else _HALF_PI:
        r = b.fma(n, b.constant(-part, wide), r)
    r = at_least(b, at_most(b, r, _RADIUS), -_RADIUS)
    quadrant = to_bits(b, shifted)
    if not narrow:
        return r, quadrant
    return b.convert("fptrunc", r, x.type), b.convert("trunc", quadrant, integer_of(x.type))


def _sin_inside(b: Builder, r: Value) -> Value:
    z = b.fmul(r, r)
    tail = b.fmul(z, horner(b, z, _SIN[element_of(r.type)]))
    return b.copysign(b.fma(r, tail, r), r)


def _cos_inside(b: Builder, r: Value) -> Value:
    """1 - z/2 first: its error is the last thing added."""
    z = b.fmul(r, r)
    half = b.fmul(z, b.constant(0.5, z.type))
    one = b.constant(1.0, z.type)
    head = b.fsub(one, half)
    error = b.fsub(b.fsub(one, head), half)
    tail = b.fma(b.fmul(z, z), horner(b, z, _COS[element_of(r.type)]), error)
    return b.fadd(head, tail)
