"""Identities of elementwise ops. Each rule names its identity; constants stand second."""

from __future__ import annotations

from math import frexp, isfinite
from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import (
    Absorb,
    Add,
    Div,
    Mul,
    Neg,
    Not,
    Pow,
    Sub,
    Where,
    add,
    div,
    mul,
    neg,
    sub,
    where,
)
from netc.compiler.ops.source import constant_like
from netc.compiler.passes.rewrite import as_batched, number

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.passes.rewrite import Rule


def constant_second(node: Node) -> Node | None:
    """2 * x = x * 2, 2 + x = x + 2."""
    match node.op, node.args:
        case Add() | Mul(), (a, b) if number(a) is not None and number(b) is None:
            return make(node.op, b, a)
    return None


def neutral(node: Node) -> Node | None:
    """X + 0 = x - 0 = x * 1 = x / 1 = x ^ 1 = x."""
    match node.op, node.args:
        case Add() | Sub(), (x, c) if number(c) == 0:
            return as_batched(x, node)
        case Mul() | Div() | Pow(), (x, c) if number(c) == 1:
            return as_batched(x, node)
    return None


def negation(node: Node) -> Node | None:
    """-(-x) = x, a + -b = a - b, and relatives."""
    match node.op, node.args:
        case Neg(), (x,):
            return _negated(x)
        case Add(), (a, b) if isinstance(b.op, Neg):
            return sub(a, b.args[0])
        case Add(), (a, b) if isinstance(a.op, Neg):
            return sub(b, a.args[0])
        case Sub(), (a, b) if isinstance(b.op, Neg):
            return add(a, b.args[0])
        case Sub(), (a, b) if number(a) == 0:
            return as_batched(neg(b), node)
        case Mul(), (x, c) if number(c) == -1:
            return as_batched(neg(x), node)
        case ((Mul() | Div()), (a, b)) if isinstance(a.op, Neg) and isinstance(b.op, Neg):
            return make(node.op, a.args[0], b.args[0])
        case ((Mul() | Div()), (a, b)) if isinstance(a.op, Neg) and number(b) is not None:
            return make(node.op, a.args[0], neg(b))
    return None


def _negated(x: Node) -> Node | None:
    match x.op, x.args:
        case Neg(), (y,):
            return y
        case Sub(), (a, b):
            return sub(b, a)
        case Mul(), (a, b) if number(b) is not None:
            return mul(a, neg(b))
    return None


def scaling(node: Node) -> Node | None:
    """(x * a) * b = x * ab, x + x = x * 2, x / 4 = x * 0.25, a * (1 / b) = a / b."""
    match node.op, node.args:
        case Mul(), (x, c) if isinstance(x.op, Mul):
            return _gathered(x, c)
        case Mul(), (a, b) if isinstance(b.op, Div) and number(b.args[0]) == 1:
            return div(a, b.args[1])
        case Mul(), (a, b) if isinstance(a.op, Div) and number(a.args[0]) == 1:
            return div(b, a.args[1])
        case Add(), (a, b) if a is b:
            return mul(a, 2)
        case Div(), (x, c):
            value = number(c)
            if value is not None and _power_of_two(value):
                return as_batched(mul(x, 1 / value), node)
    return None


def _gathered(x: Node, c: Node) -> Node | None:
    """X * c for a product x with a constant, if the product of the constants is a normal number."""
    inner, outer = number(x.args[1]), number(c)
    if inner is None or outer is None:
        return None
    both = inner * outer
    least, largest = (1e-30, 1e30) if x.type.precision == "f32" else (1e-280, 1e280)
    batched = x if x.type.batched else c
    if least < abs(both) < largest:
        return as_batched(mul(x.args[0], both), batched)
    return None


def _power_of_two(value: float) -> bool:
    return isfinite(value) and abs(frexp(value)[0]) == 0.5 and 1e-30 < abs(value) < 1e30


def powers(node: Node) -> Node | None:
    """X ^ 0 = 1, x ^ 2 = x x, x ^ -1 = 1 / x."""
    match node.op, node.args:
        case Pow(), (x, n) if number(n) == 0:
            return as_batched(constant_like(1, x), node)
        case Pow(), (x, n) if number(n) == 2:
            return as_batched(mul(x, x), node)
        case Pow(), (x, n) if number(n) == -1:
            return as_batched(div(1, x), node)
    return None


def choices(node: Node) -> Node | None:
    """where(1, a, b) = a, where(c, a, a) = a, where(not c, a, b) = where(c, b, a)."""
    match node.op, node.args:
        case Where(), (c, a, b) if (known := number(c)) is not None:
            return as_batched(b if known == 0 else a, node)
        case Where(), (_, a, b) if a is b:
            return as_batched(a, node)
        case Where(), (c, a, b) if isinstance(c.op, Not):
            return where(c.args[0], b, a)
    return None


def absorbing(node: Node) -> Node | None:
    """absorb(0, d) = 0; with one finite constant factor (g not 0) it is a plain product."""
    if not isinstance(node.op, Absorb):
        return None
    g, d = node.args
    left, right = number(g), number(d)
    if left is not None:
        return as_batched(constant_like(0, g), node) if left == 0 else mul(g, d)
    return mul(g, d) if right is not None and isfinite(right) else None


ALGEBRA: Final[tuple[Rule, ...]] = (
    constant_second,
    neutral,
    negation,
    scaling,
    powers,
    choices,
    absorbing,
)
