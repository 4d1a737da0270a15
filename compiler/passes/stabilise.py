"""Replaces formulas that overflow or cancel by equal ones that do not.

log (reduce{kind='sum', axes=(0,)} (exp %0))  →  reduce{kind='logsumexp', axes=(0,)} %0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import (
    Add,
    Div,
    Exp,
    Expm1,
    Log,
    Log1p,
    Mul,
    Rsqrt,
    Sigmoid,
    Sqrt,
    Sub,
    Where,
    add,
    exp,
    gt,
    neg,
    sub,
    where,
)
from netc.compiler.ops.reduce import Broadcast, Reduce
from netc.compiler.passes.rewrite import number, rewrite

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.passes.rewrite import Rule


def stabilise(graph: Graph) -> Graph:
    """The graph with stable forms of logarithms, softmax, softplus and roots."""
    return rewrite(graph, STABLE)


def logarithm(node: Node) -> Node | None:
    """Log e^x = x, log sum e^x = logsumexp x, log(1 + x) = log1p x."""
    if not isinstance(node.op, Log):
        return None
    (x,) = node.args
    match x.op, x.args:
        case Exp(), (z,):
            return z
        case Reduce("sum", axes), (e,) if isinstance(e.op, Exp):
            return make(Reduce("logsumexp", axes), e.args[0])
        case Broadcast(), (e,):
            return make(x.op, make(Log(), e)) if isinstance(e.op, Exp | Reduce) else None
        case Add(), (a, b) if number(b) == 1:
            return make(Log1p(), a)
        case Add(), (a, b) if number(a) == 1:
            return make(Log1p(), b)
        case Sigmoid(), (z,):
            return neg(softplus_of(neg(z)))
        case Sub(), (one, s) if number(one) == 1 and isinstance(s.op, Sigmoid):
            (z,) = s.args
            return neg(softplus_of(z))
    return None


def softmax(node: Node) -> Node | None:
    """e^x / sum e^x = e^(x - logsumexp x)."""
    if not isinstance(node.op, Div):
        return None
    top, bottom = node.args
    if not isinstance(top.op, Exp) or not isinstance(bottom.op, Broadcast):
        return None
    (total,) = bottom.args
    if not isinstance(total.op, Reduce) or total.op.kind != "sum" or total.args[0] is not top:
        return None
    (x,) = top.args
    return exp(sub(x, make(bottom.op, make(Reduce("logsumexp", total.op.axes), x))))


def softplus(node: Node) -> Node | None:
    """log1p e^z = where(z > 0, z, 0) + log1p e^where(z > 0, -z, z)."""
    if not isinstance(node.op, Log1p) or not isinstance(node.args[0].op, Exp):
        return None
    (z,) = node.args[0].args
    if isinstance(z.op, Where) and z is _minus_size(z.args[2]):
        return None
    return softplus_of(z)


def softplus_of(z: Node) -> Node:
    """log(1 + e^z) without overflow, and with its slope 1/2 at 0, which max(z, 0) would lose."""
    return add(where(gt(z, 0), z, 0), make(Log1p(), exp(_minus_size(z))))


def _minus_size(z: Node) -> Node:
    """-|z|, with slope 1 at 0."""
    return where(gt(z, 0), neg(z), z)


def exponential(node: Node) -> Node | None:
    """e^x - 1 = expm1 x; (g / e^x) e^x = g, which derivatives of log e^x leave behind."""
    match node.op, node.args:
        case Sub(), (e, one) if isinstance(e.op, Exp) and number(one) == 1:
            return make(Expm1(), e.args[0])
        case Add(), (e, one) if isinstance(e.op, Exp) and number(one) == -1:
            return make(Expm1(), e.args[0])
        case Mul(), (g, e) if isinstance(g.op, Div) and isinstance(e.op, Exp):
            same = g.args[1] is e and g.args[0].type == node.type
            return g.args[0] if same else None
    return None


def root(node: Node) -> Node | None:
    """1 / sqrt x = rsqrt x."""
    match node.op, node.args:
        case Div(), (one, s) if number(one) == 1 and isinstance(s.op, Sqrt):
            return make(Rsqrt(), s.args[0])
    return None


STABLE: Final[tuple[Rule, ...]] = (logarithm, softmax, softplus, exponential, root)
