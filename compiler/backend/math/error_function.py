"""erf and its inverse.

erf(x) = x + x E(x^2) near 0, 1 - e^L(|x|) beyond, L being fitted to log(1 - erf). The inverse is
x G(w) with w = -log(1 - x^2), after M. Giles, "Approximating the erfinv function" (GPU Computing
Gems, 2011): a polynomial in w where w is small, in sqrt(w) where it is large (f64: a rational
function). All coefficients are fitted here for the relative error of the result (Lawson-weighted
least squares at Chebyshev nodes in 45 digits).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import element_of
from netc.compiler.backend.math.bits import at_most, horner, select_constant
from netc.compiler.backend.math.exponential import exp_inside
from netc.compiler.backend.math.logarithm import log

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder, Value


@dataclass(frozen=True, slots=True)
class Erf:
    """`small` is E, used below `border`; `large` is L in |x| - `centre`; erf is 1 from `end` on."""

    border: float
    centre: float
    end: float
    small: tuple[float, ...]
    large: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Inverse:
    """`small` is G in w - `centre` for w < 2 `centre`, `large` / `over` in sqrt(w) - `root`."""

    centre: float
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
        centre=3.0,
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
            -10.720363041980857,
            -6.303753689003391,
            -0.9573942188224335,
            -0.007411891878211197,
            0.0013533104402885555,
            -0.00024569158401828537,
            4.308280258776174e-05,
            -7.115417143320543e-06,
            1.067514977857031e-06,
            -1.383515337386616e-07,
            1.120811086360626e-08,
            2.0234062468475148e-09,
            5.784944183786261e-10,
            4.247526236441334e-10,
            -2.53236633730061e-10,
            -1.5123322950700198e-10,
            -4.6867526638613886e-11,
            -4.927152336483222e-12,
        ),
    ),
}
INVERSE: Final = {
    "float": Inverse(
        centre=2.5,
        root=3.0,
        small=(
            1.5014094114303589,
            0.24664027988910675,
            -0.004177665803581476,
            -0.0012527552898973227,
            0.00021857413230463862,
            -4.943913154420443e-06,
            -3.5226635191065725e-06,
            4.6008742060621444e-07,
            2.80958669662823e-08,
            -8.24964541124018e-09,
        ),
        large=(
            2.832976818084717,
            1.001675009727478,
            0.009444862604141235,
            -0.007637687958776951,
            0.005689460318535566,
            -0.0035970623139292,
            0.0014795050956308842,
            -5.488807073561475e-05,
            -0.0003053070686291903,
            0.00011307593376841396,
        ),
        over=(),
    ),
    "double": Inverse(
        centre=3.0,
        root=4.0,
        small=(
            1.6235420064648298,
            0.24163040416615827,
            -0.005738135221003672,
            -0.0008361817769090433,
            0.00019506132440434522,
            -1.2716422639875754e-05,
            -1.7480020813958239e-06,
            4.499854273972892e-07,
            -2.3688739246550165e-08,
            -5.46718066374729e-09,
            1.1108039044031229e-09,
            -3.142470043945498e-11,
            -1.733056920027016e-11,
            2.6986958359514563e-12,
            6.601305543087036e-15,
            -5.2874822947557305e-14,
            6.285481916219764e-15,
            2.6685941698644817e-16,
            -1.582016980761621e-16,
            1.3461714312809841e-17,
            1.841247171766842e-18,
            -4.1872653032823056e-19,
            -6.230552621755772e-21,
            4.877636078752376e-21,
        ),
        large=(
            3.839783797411554,
            8.737059440122696,
            10.388399384176646,
            8.215895781746422,
            4.728360765614684,
            2.054336300959074,
            0.6811120524101372,
            0.17080965517130572,
            0.03148699247319896,
            0.0040286794793938895,
            0.0003192425246004561,
            1.1753675688489973e-05,
        ),
        over=(
            1.0,
            2.012500337150889,
            2.176042836066495,
            1.567153018556961,
            0.8190609008597366,
            0.31952017219608203,
            0.09333120841220287,
            0.0199426949787114,
            0.0029591682487301735,
            0.0002724800577985657,
            1.1749421443283865e-05,
        ),
    ),
}


def erf(b: Builder, x: Value) -> Value:
    table = ERF[element_of(x.type)]
    small = b.fma(x, horner(b, b.fmul(x, x), table.small), x)
    size = b.fabs(x)
    argument = at_most(b, size, table.end)
    if table.centre:
        argument = b.fsub(argument, b.constant(table.centre, x.type))
    complement = exp_inside(b, horner(b, argument, table.large))
    large = b.copysign(b.fsub(b.constant(1.0, x.type), complement), x)
    return b.select(b.fcmp("olt", size, b.constant(table.border, x.type)), small, large)


def erfinv(b: Builder, x: Value) -> Value:
    """NaN outside [-1, 1], infinite at its ends."""
    table = INVERSE[element_of(x.type)]
    one = b.constant(1.0, x.type)
    w = b.fneg(log(b, b.fmul(b.fsub(one, x), b.fadd(one, x))))
    small = horner(b, b.fsub(w, b.constant(table.centre, x.type)), table.small)
    root = b.fsub(b.sqrt(w), b.constant(table.root, x.type))
    large = horner(b, root, table.large)
    if table.over:
        large = b.fdiv(large, horner(b, root, table.over))
    near = b.fcmp("olt", w, b.constant(2.0 * table.centre, x.type))
    result = b.fmul(x, b.select(near, small, large))
    size = b.fabs(x)
    result = b.select(b.fcmp("oeq", size, one), b.fmul(x, b.constant(inf, x.type)), result)
    return select_constant(b, b.fcmp("ogt", size, one), nan, result)
