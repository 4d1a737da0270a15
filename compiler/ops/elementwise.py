"""Elementwise ops: one class for each, its meaning in NumPy beside its derivative.

Truth values are 0 and 1; any number but 0 counts as true. In a rule `y` is the op's own result, `g`
its cotangent, `times` the product of a cotangent and a derivative; None means a derivative of 0.
"""

from __future__ import annotations

from math import pi
from math import sqrt as root
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ops.scalar import Binary, Elementwise, Unary, apply
from netc.compiler.ops.special import erf_numpy, erfinv_numpy, sigmoid_numpy

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Times

    OfOne: TypeAlias = Callable[[Node], Node]
    OfTwo: TypeAlias = Callable[[Node | float, Node | float], Node]


# Arithmetic


class Add(Binary):
    """a + b."""

    numpy = staticmethod(np.add)
    pull = staticmethod(lambda times, g, y, a, b: (g, g))


class Sub(Binary):
    """a - b."""

    numpy = staticmethod(np.subtract)
    pull = staticmethod(lambda times, g, y, a, b: (g, neg(g)))


class Mul(Binary):
    """a b."""

    numpy = staticmethod(np.multiply)
    pull = staticmethod(lambda times, g, y, a, b: (times(g, b), times(g, a)))


class Absorb(Binary):
    """a b, but 0 where a is 0, whatever b is: the product in the shadow of a `where`.

    Its own derivatives keep the zeros: a cotangent that is 0, and the 0 in a, both win.
    """

    numpy = staticmethod(lambda a, b: np.where(a == 0, 0, a * b))
    pull = staticmethod(lambda times, g, y, a, b: (absorb(g, b), where(eq(a, 0), 0, absorb(g, a))))


class Div(Binary):
    """a / b."""

    numpy = staticmethod(np.divide)
    ranges = ((-2.0, 2.0), (0.5, 2.0))
    pull = staticmethod(lambda times, g, y, a, b: (times(g, div(1, b)), neg(times(g, div(y, b)))))


class Neg(Unary):
    """-x."""

    numpy = staticmethod(np.negative)
    pull = staticmethod(lambda times, g, y, x: neg(g))


class Pow(Binary):
    """The real power a^b; its derivatives stay finite at a = 0 wherever the limit does."""

    numpy = staticmethod(np.power)
    ranges = ((0.5, 2.0), (-2.0, 2.0))
    pull = staticmethod(
        lambda times, g, y, a, b: (
            times(g, absorb(b, power(a, sub(b, 1)))),
            times(g, absorb(y, log(a))),
        )
    )


class Max(Binary):
    """The larger; NaN if any is. On a tie b gets the cotangent."""

    numpy = staticmethod(np.maximum)
    pull = staticmethod(lambda times, g, y, a, b: (where(gt(y, b), g, 0), where(gt(y, b), 0, g)))


class Min(Binary):
    """The smaller; NaN if any is. On a tie b gets the cotangent."""

    numpy = staticmethod(np.minimum)
    pull = staticmethod(lambda times, g, y, a, b: (where(lt(y, b), g, 0), where(lt(y, b), 0, g)))


# Exponentials, logarithms and roots


class Exp(Unary):
    """e^x."""

    numpy = staticmethod(np.exp)
    pull = staticmethod(lambda times, g, y, x: times(g, y))


class Expm1(Unary):
    """e^x - 1, exact near 0."""

    numpy = staticmethod(np.expm1)
    pull = staticmethod(lambda times, g, y, x: times(g, add(y, 1)))


class Log(Unary):
    """The natural logarithm."""

    numpy = staticmethod(np.log)
    ranges = ((0.2, 3.0),)
    pull = staticmethod(lambda times, g, y, x: times(g, div(1, x)))


class Log1p(Unary):
    """log(1 + x), exact near 0."""

    numpy = staticmethod(np.log1p)
    ranges = ((-0.7, 3.0),)
    pull = staticmethod(lambda times, g, y, x: times(g, div(1, add(x, 1))))


class Sqrt(Unary):
    """The square root."""

    numpy = staticmethod(np.sqrt)
    ranges = ((0.2, 3.0),)
    pull = staticmethod(lambda times, g, y, x: times(g, div(0.5, y)))


class Rsqrt(Unary):
    """1 / sqrt(x)."""

    numpy = staticmethod(lambda x: 1 / np.sqrt(x))
    ranges = ((0.2, 3.0),)
    pull = staticmethod(lambda times, g, y, x: times(g, mul(mul(mul(y, y), y), -0.5)))


# Steps and signs


class Abs(Unary):
    """|x|, with derivative 0 at 0."""

    numpy = staticmethod(np.abs)
    pull = staticmethod(lambda times, g, y, x: times(g, sign(x)))


class Sign(Unary):
    """-1, 0 or 1."""

    numpy = staticmethod(np.sign)


class Floor(Unary):
    """The largest integer not above x."""

    numpy = staticmethod(np.floor)


class Ceil(Unary):
    """The smallest integer not below x."""

    numpy = staticmethod(np.ceil)


class Round(Unary):
    """The nearest integer, halves to even."""

    numpy = staticmethod(np.rint)


# Trigonometric, sigmoidal and error functions


class Sin(Unary):
    """The sine."""

    numpy = staticmethod(np.sin)
    pull = staticmethod(lambda times, g, y, x: times(g, cos(x)))


class Cos(Unary):
    """The cosine."""

    numpy = staticmethod(np.cos)
    pull = staticmethod(lambda times, g, y, x: neg(times(g, sin(x))))


class Tanh(Unary):
    """The hyperbolic tangent."""

    numpy = staticmethod(np.tanh)
    pull = staticmethod(lambda times, g, y, x: times(g, sub(1, mul(y, y))))


class Sigmoid(Unary):
    """1 / (1 + e^-x)."""

    numpy = staticmethod(sigmoid_numpy)
    pull = staticmethod(lambda times, g, y, x: times(g, mul(y, sub(1, y))))


class Erf(Unary):
    """The error function."""

    numpy = staticmethod(erf_numpy)
    pull = staticmethod(lambda times, g, y, x: times(g, mul(exp(neg(mul(x, x))), 2 / root(pi))))


class Erfinv(Unary):
    """The inverse of `erf` on [-1, 1]."""

    numpy = staticmethod(erfinv_numpy)
    ranges = ((-0.9, 0.9),)
    pull = staticmethod(lambda times, g, y, x: times(g, mul(exp(mul(y, y)), root(pi) / 2)))


# Choices and truth values


class Where(Elementwise):
    """a where the condition is true, b elsewhere: a choice, not a product."""

    arity = 3
    numpy = staticmethod(lambda c, a, b: np.where(c != 0, a, b))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        condition = node.args[0]
        return None, where(condition, cotangent, 0), where(condition, 0, cotangent)


class Isnan(Unary):
    """Whether x is NaN."""

    numpy = staticmethod(np.isnan)


class Lt(Binary):
    """a < b."""

    numpy = staticmethod(np.less)


class Le(Binary):
    """a <= b."""

    numpy = staticmethod(np.less_equal)


class Gt(Binary):
    """a > b."""

    numpy = staticmethod(np.greater)


class Ge(Binary):
    """a >= b."""

    numpy = staticmethod(np.greater_equal)


class Eq(Binary):
    """a = b."""

    numpy = staticmethod(np.equal)


class Ne(Binary):
    """a differs from b."""

    numpy = staticmethod(np.not_equal)


class And(Binary):
    """Both are true."""

    numpy = staticmethod(np.logical_and)


class Or(Binary):
    """At least one is true."""

    numpy = staticmethod(np.logical_or)


class Not(Unary):
    """x is 0."""

    numpy = staticmethod(np.logical_not)


class StopGradient(Unary):
    """x itself, a constant for every derivative; `simplify` removes it."""

    numpy = staticmethod(lambda x: x)


# Builders: operands of equal shapes, or Python numbers that take the shape of the others.


def _binary(op: Binary) -> OfTwo:
    return lambda a, b: apply(op, a, b)


def _unary(op: Unary) -> OfOne:
    return lambda x: make(op, x)


def where(condition: Node, a: Node | float, b: Node | float) -> Node:
    return apply(Where(), condition, a, b)


add: Final[OfTwo] = _binary(Add())
sub: Final[OfTwo] = _binary(Sub())
mul: Final[OfTwo] = _binary(Mul())
div: Final[OfTwo] = _binary(Div())
absorb: Final[OfTwo] = _binary(Absorb())
power: Final[OfTwo] = _binary(Pow())
lt: Final[OfTwo] = _binary(Lt())
gt: Final[OfTwo] = _binary(Gt())
eq: Final[OfTwo] = _binary(Eq())
neg: Final[OfOne] = _unary(Neg())
exp: Final[OfOne] = _unary(Exp())
log: Final[OfOne] = _unary(Log())
sign: Final[OfOne] = _unary(Sign())
sin: Final[OfOne] = _unary(Sin())
cos: Final[OfOne] = _unary(Cos())

ELEMENTWISE: Final[tuple[type[Elementwise], ...]] = (
    *(Add, Sub, Mul, Absorb, Div, Neg, Pow, Max, Min),
    *(Exp, Expm1, Log, Log1p, Sqrt, Rsqrt),
    *(Abs, Sign, Floor, Ceil, Round),
    *(Sin, Cos, Tanh, Sigmoid, Erf, Erfinv),
    *(Where, Isnan, Lt, Le, Gt, Ge, Eq, Ne, And, Or, Not, StopGradient),
)
