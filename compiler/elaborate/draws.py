"""Random numbers: every draw has a name path, so that equal-looking draws are never merged.

Invariant: a draw's path is that of the layer or binding it stands in, with `#2`, `#3` … for later
draws of the same path; in an initial value it is the name of the parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import combine, fitted
from netc.compiler.elaborate.build import elementwise, with_number
from netc.compiler.elaborate.name_mistakes import ImpureFunction
from netc.compiler.elaborate.shape_mistakes import BroadcastMismatch, DrawShape
from netc.compiler.elaborate.values import Operand, Tensor, is_number, show_shape
from netc.compiler.ir.graph import make
from netc.compiler.ops.source import Random
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Use, Value
    from netc.compiler.ir.graph import Node

_SQRT2 = 1.4142135623730951


def uniform(use: Use) -> Value:
    """`uniform(lo, hi, shape)`: lo + (hi - lo) u."""
    lo, hi = (Operand(use.arguments[n].value, use.arguments[n].span) for n in ("lo", "hi"))
    width = Operand(combine("sub", (hi, lo), use.scope, use.span, "uniform"), use.span)
    unit = _unit(use)
    return Tensor(
        elementwise(
            "add",
            elementwise("mul", unit, _like(width, unit, use)),
            _like(lo, unit, use),
        )
    )


def normal(use: Use) -> Value:
    """`normal(mean, std, shape)`: mean + std sqrt(2) erfinv(2 u - 1)."""
    std = use.arguments["std"]
    if is_number(std.value) and std.value < 0:
        known.wrong(std, "`std` of `normal`", "a number of at least 0")
    unit = _unit(use)
    centred = with_number("sub", with_number("mul", unit, 2), 1)
    standard = with_number("mul", elementwise("erfinv", centred), _SQRT2)
    scaled = elementwise("mul", standard, _like(std, unit, use))
    return Tensor(elementwise("add", scaled, _like(use.arguments["mean"], unit, use)))


def bernoulli(use: Use) -> Value:
    """`bernoulli(p, shape)`: 1 with probability p, else 0."""
    p = use.arguments["p"]
    if is_number(p.value) and not 0 <= p.value <= 1:
        known.wrong(p, "`p` of `bernoulli`", "a probability from 0 to 1")
    unit = _unit(use)
    return Tensor(elementwise("lt", unit, _like(p, unit, use)))


def _like(operand: Operand, unit: Node, use: Use) -> Node:
    node = fitted(operand, unit.type.shape, use.scope)
    if node is None:
        raise Failure(
            BroadcastMismatch(
                span=operand.span,
                operation=use.name,
                left=show_shape(known.shape_of(operand) or ()),
                right=show_shape(unit.type.shape),
            )
        )
    return node


def _unit(use: Use) -> Node:
    """The uniform numbers in (0, 1) behind a draw."""
    scope = use.scope
    session = scope.session
    given, filling = use.get("shape"), scope.filling
    if scope.kind in ("fn", "optimizer", "train", "const"):
        raise Failure(ImpureFunction(span=use.span, name=use.name, owner=scope.owner or "name"))
    if given is not None:
        shape = known.shape(given, "the shape")
    elif filling is not None:
        shape = filling.shape
    else:
        raise Failure(DrawShape(span=use.span, name=use.name))
    path = scope.path.name if filling is None else filling.name
    session.draws[path] += 1
    count = session.draws[path]
    name = path if count == 1 else f"{path}#{count}"
    shared = use.get("shared")
    once = filling is not None or (shared is not None and known.boolean(shared, "`shared`"))
    return make(Random(name, shape, not once, session.precision))
