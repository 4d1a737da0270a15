"""Primitives that make initial values and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate.initial_mistakes import InitialOnly, TooFlat
from netc.compiler.elaborate.movements import operand
from netc.compiler.elaborate.values import Tensor, show_shape
from netc.compiler.ir.graph import make
from netc.compiler.ops.orthonormal import Orthonormalise
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Use, Value


def over_data(use: Use) -> Value:
    """`over_data` as a part of another expression: as a whole initial value it is read earlier."""
    expected = "it is the whole initial value of a `param` or `state`"
    example = "param b: [1] = over_data(batch_mean(y))"
    raise Failure(InitialOnly(span=use.span, name=use.name, expected=expected, example=example))


def orthonormalise(use: Use) -> Value:
    """Rows or columns made orthonormal, whichever are fewer."""
    if use.scope.filling is None:
        expected = "it stands in an initial value or in an `init`"
        example = "param W: [n, n] = orthonormalise(normal(0, 1))"
        raise Failure(InitialOnly(span=use.span, name=use.name, expected=expected, example=example))
    x = operand(use)
    if x.type.rank < 2:
        raise Failure(TooFlat(span=use.span, shape=show_shape(x.type.shape)))
    return Tensor(make(Orthonormalise(), x))
