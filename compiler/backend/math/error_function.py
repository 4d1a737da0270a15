"""erf and its inverse.

erf(x) = x + x E(x^2) near 0, 1 - e^L(|x|) beyond, L being fitted to log(1 - erf). The inverse is
x G(w) with w = -log(1 - x^2), after M. Giles, "Approximating the erfinv function" (GPU Computing
Gems, 2011): a polynomial in w where w is small, in sqrt(w) where it is large (f64: a rational
function). All coefficients are fitted here for the relative error of the result (Lawson-weighted
least squares at Chebyshev nodes in 45 digits).
"""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import element_of, lanes_of, vector
from netc.compiler.backend.math import tabled
from netc.compiler.backend.math.bits import at_most, horner, select_constant
from netc.compiler.backend.math.exponential import exp_inside
from netc.compiler.backend.math.logarithm import log
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder, Value


@record
class Erf:
    """`small` is E, used below `border`; `large` is L in |x| - `centre`; erf is 1 from `end` on."""

    border: float
    centre: float
    end: float
    small: tuple[float, ...]
    large: tuple[float, ...]


@record
class Inverse:
    """`small` is G(w) - 1 for w < `border`, G - sqrt(w) is `large` / `over` in sqrt(w) - `root`."""

    border: float
    root: float
    small: tuple[float, ...]
    large: tuple[float, ...]
    over: tuple[float, ...]


ERF: Final = {
    "float": Erf(
        border=0.875,
        centre=0.0,
        end=4.0,
        small=(
            0.12837915122509003,
            -0.37612512707710266,
            0.11282104253768921,
            -0.02677960693836212,
            0.005015458911657333,
            -0.0006119509343989193,
        ),
        large=(
            -0.00013415013381745666,
            -1.127933382987976,
            -0.6367425322532654,
            -0.10432220995426178,
            0.0224173441529274,
            -0.003091490129008889,
            0.00020090636098757386,
        ),
    ),
    "double": Erf(
        border=1.0,
        centre=1.0,
        end=6.0,
        small=(
            0.1283791670955126,
            -0.37612638903184076,
            0.11283791670969537,
            -0.026866170647681775,
            0.005223977648954981,
            -0.0008548328308945331,
            0.00012055377663937602,
            -1.4926673476648142e-05,
            1.6477710080866477e-06,
            -1.6521778579514832e-07,
            1.5777880803673177e-08,
            -1.5568513546681537e-09,
            1.2855454222937063e-10,
        ),
        large=(
            -1.8496055099332482,
            -2.6389675142347837,
            -0.8431072563591062,
            -0.041561098030237886,
            0.010033825226167904,
            -0.0019779014776120196,
            0.00023731739081750216,
            2.6293924563006254e-05,
            -2.7194685440717576e-05,
            9.665831393837498e-06,
            -2.126680158415108e-06,
            2.0114107214527254e-07,
            5.988799549737597e-08,
            -3.408336482315351e-08,
            8.697617540829451e-09,
            -1.3497518508930033e-09,
            1.2244820524871139e-10,
            -5.007882561316785e-12,
        ),
    ),
}
INVERSE: Final = {
    "float": Inverse(
        border=5.0,
        root=3.0,
        small=(
            -0.11377307772636414,
            0.2320137917995453,
            0.011548752896487713,
            -0.002334462944418192,
            -0.00012733004405163229,
            4.4484466343419626e-05,
            4.009151780337561e-06,
            -1.9813862763840007e-06,
            2.2154058854084724e-07,
            -8.813185736755713e-09,
        ),
        large=(
            -0.1670231968164444,
            0.0016749454662203789,
            0.009445182047784328,
            -0.007636933121830225,
            0.005687841679900885,
            -0.003599070943892002,
            0.0014828619314357638,
            -5.36842635483481e-05,
            -0.00030781768145971,
            0.00011366234684828669,
        ),
        over=(),
    ),
    "double": Inverse(
        border=5.0,
        root=2.0,
        small=(
            -0.11377307454724198,
            0.2320136665346522,
            0.011549342038348799,
            -0.0023351016426475793,
            -0.00012804328699513208,
            4.6611409372587754e-05,
            2.020077032600803e-06,
            -1.012730902771637e-06,
            -3.7036563487882625e-08,
            2.2508569417123683e-08,
            9.94681573417344e-10,
            -6.809954326886456e-10,
            6.31754668324714e-11,
            -1.8882724696137645e-11,
            9.700819354711882e-12,
            -2.366762923618074e-12,
            3.1009283915622603e-13,
            -1.9991217870899736e-14,
            -9.25807119983109e-17,
            1.1940593956953982e-16,
            -8.450756046185612e-18,
            2.0953175341625804e-19,
        ),
        large=(
            -0.1412208876199638,
            -0.11825335112033054,
            -0.0016503975897935346,
            -0.12469950726084403,
            0.03552335645992524,
            -0.037587152136022914,
            0.007199059055369183,
            -0.004165593730304287,
            0.00038802479829246967,
            -0.00018243635953141946,
            -4.4082260301007226e-06,
            5.838132611568508e-08,
        ),
        over=(
            1.0,
            0.22427343685489826,
            0.6730607023779018,
            0.14802720322613677,
            0.1779485195303688,
            0.04477142672764766,
            0.025466577868008374,
            0.006576287849170836,
            0.002321405996256051,
            0.0003972353145945941,
            0.00015003650301834422,
        ),
    ),
}


def erf(b: Builder, x: Value) -> Value:
    if tabled.has_tables(b, x):
        return tabled.looked_up(b, x, tabled.ERF)
    table = ERF[element_of(x.type)]
    small = b.fma(x, horner(b, b.fmul(x, x), table.small), x)
    size = b.fabs(x)
    argument = at_most(b, size, table.end)
    if table.centre:
        argument = b.fsub(argument, b.constant(table.centre, x.type))
    complement = exp_inside(b, horner(b, argument, table.large))
    large = b.copysign(b.fsub(b.constant(1.0, x.type), complement), x)
    return b.select(b.fcmp("oge", size, b.constant(table.border, x.type)), large, small)


def erfinv(b: Builder, x: Value) -> Value:
    """NaN outside [-1, 1], infinite at its ends; floats without fused arithmetic go by double."""
    if b.fused or element_of(x.type) == "double":
        return _erfinv(b, x)
    wide = b.convert("fpext", x, vector("double", lanes_of(x.type)))
    return b.convert("fptrunc", _erfinv(b, wide), x.type)


def _erfinv(b: Builder, x: Value) -> Value:
    table = INVERSE[element_of(x.type)]
    one = b.constant(1.0, x.type)
    w = b.fneg(log(b, b.fmul(b.fsub(one, x), b.fadd(one, x))))
    small = b.copysign(b.fma(x, horner(b, w, table.small), x), x)
    root = b.sqrt(w)
    argument = b.fsub(root, b.constant(table.root, x.type))
    large = horner(b, argument, table.large)
    if table.over:
        large = b.fdiv(large, horner(b, argument, table.over))
    large = b.fadd(root, large)
    near = b.fcmp("olt", w, b.constant(table.border, x.type))
    result = b.select(near, small, b.fmul(x, large))
    size = b.fabs(x)
    result = b.select(b.fcmp("oeq", size, one), b.fmul(x, b.constant(inf, x.type)), result)
    return select_constant(b, b.fcmp("ogt", size, one), nan, result)
