"""tanh and erf in f32 from tables: AVX-512 picks for each lane one of 32 numbers in two registers.

The leading bits of |x| + `shift` tell the interval: eight for each power of two. There the function
is c0 + c1 d + ... + c4 d^4 with d = x - center, exactly. Each center is a float whose value is a
float to a thousandth of the last place, so that c0 brings no error; the others are fitted for the
error in units of the last place (Lawson-weighted least squares at Chebyshev nodes, rounded one
after the other). Invariant: other widths are lanes of the one vector that there is code for.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Value, element_of, lanes_of, literal, vector
from netc.compiler.backend.math.bits import at_most, polynomial, to_bits
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder

_LANES: Final = 16
_ENTRIES: Final = 2 * _LANES

_DROPPED: Final = 20
"""The low bits of a float that do not tell its interval; permutes read the five bits above them."""


@record
class Table:
    """An odd function that is 1 from `greatest` on.

    `rows` are center and coefficients of each interval, from 0 upwards. With `beside` those of the
    first are of what comes to x: the slope at 0 is no float.
    """

    name: str
    shift: float
    greatest: float
    rows: tuple[tuple[float, ...], ...]
    beside: bool = False


TANH: Final = Table(
    name="netc.tanh",
    shift=0.6875,
    greatest=9.02,
    rows=(
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
    ),
)

ERF: Final = Table(
    name="netc.erf",
    shift=0.3125,
    greatest=3.93,
    rows=(
        (0.0, 0.0, 0.12837917, 9.518549e-07, -0.3762735, 0.007286234),
        (0.0468746, 0.05285361, 1.1259025, -0.052776404, -0.37333244, 0.028974742),
        (0.078123525, 0.087973945, 1.1215134, -0.08761658, -0.36950108, 0.04364539),
        (0.10937636, 0.12292761, 1.1149606, -0.12195153, -0.36258695, 0.066132784),
        (0.14062288, 0.15763618, 1.1062849, -0.15556891, -0.3540558, 0.0765573),
        (0.17187399, 0.19204614, 1.0955336, -0.18829398, -0.34351337, 0.09312735),
        (0.21875034, 0.24295208, 1.0756558, -0.23529926, -0.32418218, 0.1128709),
        (0.28125325, 0.3091871, 1.0425596, -0.29322335, -0.29250336, 0.13888444),
        (0.34374827, 0.37312746, 1.0026227, -0.34464994, -0.25507587, 0.15877622),
        (0.4062597, 0.43439618, 0.9567007, -0.38866886, -0.2135929, 0.1728511),
        (0.4687485, 0.49261212, 0.9057944, -0.42459005, -0.1692035, 0.18149556),
        (0.5312088, 0.5474934, 0.85095114, -0.45203266, -0.12356139, 0.18337183),
        (0.5937288, 0.59890056, 0.79315895, -0.47092128, -0.07799203, 0.18005867),
        (0.6562459, 0.6466297, 0.7335376, -0.48138052, -0.033965483, 0.17103691),
        (0.7499774, 0.7111411, 0.6429531, -0.48219982, 0.026518831, 0.15051109),
        (0.8749647, 0.78405654, 0.52477777, -0.45916158, 0.09257956, 0.112324074),
        (0.9999991, 0.8427004, 0.41510856, -0.4151079, 0.13803373, 0.06921239),
        (1.1250116, 0.8883919, 0.31826597, -0.35805267, 0.1621528, 0.02804786),
        (1.25003, 0.92290723, 0.23650359, -0.2956364, 0.16730453, -0.0060597705),
        (1.3749713, 0.9481652, 0.17037338, -0.23425852, 0.15779153, -0.03035998),
        (1.5000267, 0.9661083, 0.11892083, -0.1783845, 0.13867468, -0.044480644),
        (1.6250386, 0.97844684, 0.080462165, -0.13075428, 0.11482341, -0.04962454),
        (1.8124721, 0.98962945, 0.04224415, -0.07656863, 0.0786184, -0.0453928),
        (2.062561, 0.9964647, 0.01602769, -0.033059984, 0.040369246, -0.030373937),
        (2.3124774, 0.9989258, 0.0053701317, -0.012419498, 0.017542291, -0.016006745),
        (2.562471, 0.9997098, 0.001587307, -0.004068019, 0.0065204077, -0.0069350614),
        (2.8124347, 0.9999303, 0.00041410036, -0.0011648742, 0.0020890024, -0.0025245938),
        (3.062499, 0.99998516, 9.527634e-05, -0.00029186023, 0.0005793732, -0.00078218343),
        (3.3126981, 0.9999972, 1.9326695e-05, -6.405348e-05, 0.00013944526, -0.000207285),
        (3.5610695, 0.9999995, 3.5081055e-06, -1.1677544e-05, 2.8989589e-05, -9.4902316e-05),
        (3.8101804, 0.99999994, 5.5920975e-07, -8.152615e-06, 5.3272606e-06, 0.00038901382),
    ),
    beside=True,
)


def has_tables(b: Builder, x: Value) -> bool:
    """Whether there are the instructions, and the precision is the tables'."""
    return b.avx512 and element_of(x.type) == "float"


def looked_up(b: Builder, x: Value, table: Table) -> Value:
    """The function of a table: tanh to 1.31 ulp, erf to 0.92; never beyond 1; NaN stays NaN."""
    lanes = lanes_of(x.type)
    if lanes != _LANES:
        wide = looked_up(b, _widened(b, x, lanes), table)
        return b.shuffle(wide, wide, range(lanes))
    size = at_most(b, b.fabs(x), table.greatest)
    bits = to_bits(b, b.fadd(size, b.constant(table.shift, x.type)))
    interval = b.lshr(bits, b.constant(_DROPPED, bits.type))
    columns = range(len(table.rows[0]))
    center, first, *others = (_picked(b, table, column, interval) for column in columns)
    distance = b.fsub(size, center)
    if table.beside:  # only in the first interval is the distance the larger
        first = b.select(b.fcmp("ogt", first, distance), first, distance)
    return b.copysign(polynomial(b, distance, [first, *others]), x)


def _widened(b: Builder, x: Value, lanes: int) -> Value:
    if lanes == 1:
        return b.splat(x, _LANES)
    return b.shuffle(x, x, [lane % lanes for lane in range(_LANES)])


def _picked(b: Builder, table: Table, column: int, interval: Value) -> Value:
    """The numbers of one column, for each lane that of its interval."""
    type_ = vector("float", _LANES)
    low, high = (b.load(type_, _half(b, table, column, half), 64) for half in range(2))
    return b.intrinsic("llvm.x86.avx512.vpermi2var.ps.512", type_, low, interval, high)


def _half(b: Builder, table: Table, column: int, half: int) -> Value:
    """Where half of a column lies."""
    b.declare(_constant(table))
    return b.offset(Value(f"@{table.name}", "ptr"), column * _ENTRIES + half * _LANES, "float")


@cache
def _constant(table: Table) -> str:
    """The columns one after the other, a constant of the module."""
    unused = (0.0,) * len(table.rows[0])
    padded = [*table.rows, *[unused] * (_ENTRIES - len(table.rows))]
    first = _interval(table.shift)
    rows = padded[-first:] + padded[:-first]
    numbers = [literal(number, "float") for column in zip(*rows, strict=True) for number in column]
    text = ", ".join(f"float {number}" for number in numbers)
    return f"@{table.name} = internal constant [{len(numbers)} x float] [{text}], align 64"


def _interval(shifted: float) -> int:
    """The entry that permutes read for |x| + `shift`."""
    (bits,) = struct.unpack("<I", struct.pack("<f", shifted))
    return int(bits >> _DROPPED) % _ENTRIES
