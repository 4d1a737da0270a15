"""tanh in f32 from tables: AVX-512 picks a coefficient for each lane from 32 in two registers.

The leading bits of |x| + 11/16 tell the interval: eight for each power of two. There
tanh x = c0 + c1 d + ... + c4 d^4 with d = x - center, exactly. Each center is a float whose tanh is
a float to a thousandth of the last place, so that c0 brings no error; the others are fitted for the
error in units of the last place (Lawson-weighted least squares at Chebyshev nodes, rounded one
after the other). Invariant: other widths are lanes of the one vector that there is code for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Value, lanes_of, literal, vector
from netc.compiler.backend.math.bits import at_most, polynomial, to_bits

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder

_LANES: Final = 16
_ENTRIES: Final = 2 * _LANES
_SHIFT: Final = 0.6875
_GREATEST: Final = 9.02
"""From here on the result is 1."""

_DROPPED: Final = 20
"""The low bits of a float that do not tell its interval; permutes read the five bits above them."""

_FIRST: Final = 19
"""What these five bits are for 0."""

_ROWS: Final = (
    (0.0, 0.0, 1.0, 5.943292e-06, -0.33391094, 0.015964953),
    (0.09375012, 0.09347642, 0.99126214, -0.092659466, -0.32162634, 0.060663905),
    (0.15625425, 0.15499488, 0.9759766, -0.15127124, -0.3017828, 0.096903),
    (0.21874551, 0.21532206, 0.9536364, -0.20533893, -0.27359062, 0.12727445),
    (0.28124323, 0.27405533, 0.9248937, -0.25347164, -0.23878494, 0.14938524),
    (0.3750007, 0.358358, 0.87157947, -0.3123368, -0.17850982, 0.16766606),
    (0.4999994, 0.4621167, 0.7864483, -0.36343074, -0.09433662, 0.16451268),
    (0.6249861, 0.5545901, 0.6924301, -0.38401455, -0.01810859, 0.13776349),
    (0.7500064, 0.63515276, 0.5965813, -0.37892, 0.041499414, 0.09973266),
    (0.87500185, 0.70390654, 0.5045159, -0.3551317, 0.081511766, 0.060783513),
    (0.9999986, 0.7615936, 0.41997543, -0.31985065, 0.103381135, 0.027841348),
    (1.1251199, 0.80934244, 0.34496495, -0.27919486, 0.11082264, 0.0033784888),
    (1.2500032, 0.84828454, 0.28041342, -0.23787048, 0.10821907, -0.012483709),
    (1.4374515, 0.8931835, 0.2022236, -0.1806238, 0.093811035, -0.023453977),
    (1.6874791, 0.9338254, 0.12796997, -0.11950216, 0.06899036, -0.024472106),
    (1.9375206, 0.95933694, 0.07967228, -0.076432936, 0.04686062, -0.019383637),
    (2.1875145, 0.9751374, 0.049106706, -0.047886, 0.03040929, -0.013627709),
    (2.4374604, 0.9848443, 0.030081414, -0.029625643, 0.019210653, -0.0090020085),
    (2.687398, 0.990779, 0.018356847, -0.018187664, 0.0119423475, -0.005742261),
    (2.9374814, 0.99439794, 0.011172636, -0.01111008, 0.007350341, -0.0035899172),
    (3.1874366, 0.9965981, 0.006792114, -0.006769041, 0.0044986876, -0.0022167389),
    (3.5624564, 0.9983917, 0.0032135362, -0.0032085232, 0.002164975, -0.0010733119),
    (4.062534, 0.9994081, 0.001183211, -0.001182566, 0.0007997206, -0.00039819654),
    (4.562907, 0.9997824, 0.00043511644, -0.00043503637, 0.00029444453, -0.00014695212),
    (5.062617, 0.9999199, 0.00016018552, -0.00016018041, 0.000108442444, -5.4112155e-05),
    (5.562054, 0.9999705, 5.8997975e-05, -5.8998183e-05, 3.995306e-05, -1.9937923e-05),
    (6.0623364, 0.99998915, 2.1692627e-05, -2.1690837e-05, 1.4684483e-05, -7.3523925e-06),
    (6.562, 0.999996, 7.986e-06, -7.98362e-06, 5.400174e-06, -2.72029e-06),
    (7.0610695, 0.9999985, 2.9435641e-06, -6.594184e-07, 1.9804802e-06, -3.7006084e-05),
    (7.8139305, 0.9999997, 6.529461e-07, -1.5440945e-06, 4.4818373e-07, 3.2902365e-06),
    (8.66484, 0.99999994, 1.190901e-07, -1.1545852e-07, 8.044315e-08, -6.8120436e-08),
)
"""Center and coefficients of each interval, from 0 upwards."""


def tanh(b: Builder, x: Value) -> Value:
    """At most 1.31 ulp and never beyond 1; NaN stays NaN."""
    lanes = lanes_of(x.type)
    if lanes != _LANES:
        wide = tanh(b, _widened(b, x, lanes))
        return b.shuffle(wide, wide, range(lanes))
    size = at_most(b, b.fabs(x), _GREATEST)
    bits = to_bits(b, b.fadd(size, b.constant(_SHIFT, x.type)))
    interval = b.lshr(bits, b.constant(_DROPPED, bits.type))
    center, *coefficients = (_picked(b, column, interval) for column in range(len(_ROWS[0])))
    return b.copysign(polynomial(b, b.fsub(size, center), coefficients), x)


def _widened(b: Builder, x: Value, lanes: int) -> Value:
    if lanes == 1:
        return b.splat(x, _LANES)
    return b.shuffle(x, x, [lane % lanes for lane in range(_LANES)])


def _picked(b: Builder, column: int, interval: Value) -> Value:
    """The numbers of one column, for each lane that of its interval."""
    type_ = vector("float", _LANES)
    low, high = (b.load(type_, _half(b, column, half), 64) for half in range(2))
    return b.intrinsic("llvm.x86.avx512.vpermi2var.ps.512", type_, low, interval, high)


def _half(b: Builder, column: int, half: int) -> Value:
    """Where half of a column lies."""
    b.declare(_table())
    return b.offset(Value("@netc.tanh", "ptr"), column * _ENTRIES + half * _LANES, "float")


@cache
def _table() -> str:
    """The columns one after the other, a constant of the module."""
    unused = (0.0,) * len(_ROWS[0])
    padded = [*_ROWS, *[unused] * (_ENTRIES - len(_ROWS))]
    rows = padded[-_FIRST:] + padded[:-_FIRST]
    numbers = [literal(number, "float") for column in zip(*rows, strict=True) for number in column]
    text = ", ".join(f"float {number}" for number in numbers)
    return f"@netc.tanh = internal constant [{len(numbers)} x float] [{text}], align 64"
