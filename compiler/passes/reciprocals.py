"""Divisions of a whole tensor by one number become products with its reciprocal, in f32 only.

div %0 (broadcast %1)  →  mul %0 (broadcast (div 1 %1))

A vector division takes as long as about sixteen products. The result differs from the quotient by
at most one rounding more; f64, which exists for checking, keeps exact division. Constants beyond
2^±100 stay, because their reciprocal would leave the normal range; a run-time divisor is taken to
lie inside it.
"""

from __future__ import annotations

from math import frexp
from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import Div, div, mul
from netc.compiler.ops.reduce import Broadcast
from netc.compiler.ops.source import constant_like
from netc.compiler.passes.rewrite import number, rewrite

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.passes.rewrite import Rule

SAFE_EXPONENT: Final = 100


def reciprocals(graph: Graph) -> Graph:
    """The graph with its repeated divisions replaced."""
    return rewrite(graph, RULES)


def by_one_number(node: Node) -> Node | None:
    """X / broadcast(d) = x * broadcast(1 / d), x / c = x * (1 / c)."""
    if not isinstance(node.op, Div) or node.type.precision != "f32" or node.type.rank == 0:
        return None
    x, divisor = node.args
    value = number(divisor)
    if value is not None:
        safe = value != 0 and abs(frexp(value)[1]) < SAFE_EXPONENT
        return mul(x, constant_like(1 / value, divisor)) if safe else None
    match divisor.op, divisor.args:
        case Broadcast(), (d,) if d.type.rank == 0 and not d.type.batched:
            return mul(x, make(divisor.op, div(constant_like(1.0, d), d)))
    return None


RULES: Final[tuple[Rule, ...]] = (by_one_number,)
