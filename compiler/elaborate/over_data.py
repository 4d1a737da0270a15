"""`over_data(e, before)`: an initial value computed over the whole training data.

Invariant: what comes out is a graph over inputs, targets and constants alone; earlier values over
the data are replaced by their own graphs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arguments import Given, assign
from netc.compiler.elaborate.arithmetic import fitted
from netc.compiler.elaborate.initial_mistakes import OverDataBatched, OverDataDepends
from netc.compiler.elaborate.name_mistakes import Missing
from netc.compiler.elaborate.names import declaration, lookup
from netc.compiler.elaborate.shape_mistakes import InitialShape
from netc.compiler.elaborate.values import Operand, Primitive, show_shape
from netc.compiler.ir.graph import substitute, toposort
from netc.compiler.ops.source import Random, Source
from netc.grammar import tree
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.ir.graph import Node

_NAMES: Final = ("e", "before")


def over_data_call(value: tree.Expr, scope: Scope) -> tree.Call | None:
    """The call of `over_data` that an initial value consists of, if it does."""
    while isinstance(value, tree.If):
        chosen = Operand(scope.evaluate(value.condition), value.condition.span)
        holds = known.boolean(chosen, "the condition of `if`")
        value = value.then if holds else value.otherwise
    if not isinstance(value, tree.Call) or value.callee.name != "over_data":
        return None
    return value if isinstance(lookup("over_data", scope), Primitive) else None


def parts(call: tree.Call) -> tuple[tree.Expr, tree.Expr]:
    """The value over the data, and the value before there is any: 0 when left out."""
    given = Given(call.callee.name, call.span, None, call.arguments)
    found, _ = assign(given, _NAMES, _NAMES)
    before = found.get("before", tree.Number(call.span, 0))
    value = found.get("e")
    if value is None:
        raise Failure(Missing(span=call.span, callee=given.callee, name="e"))
    assert not isinstance(value, Operand)
    assert not isinstance(before, Operand)
    return value, before


def over_data(value: tree.Expr, name: str, shape: tuple[int, ...], scope: Scope) -> Node:
    """The graph of a value over the data, in the shape of what starts with it."""
    operand = Operand(scope.evaluate(value), value.span, declaration(value, scope))
    node = fitted(operand, shape, scope)
    if node is None:
        found = show_shape(known.shape_of(operand) or ())
        raise Failure(
            InitialShape(span=value.span, name=name, found=found, expected=show_shape(shape))
        )
    if node.type.batched:
        raise Failure(OverDataBatched(span=value.span, name=name))
    earlier = _earlier(scope)
    replaced: dict[Node, Node] = {}
    for found_node in toposort([node]):
        op = found_node.op
        if isinstance(op, Source) and op.space in ("parameter", "state") and op.name in earlier:
            replaced[found_node] = earlier[op.name]
        elif isinstance(op, Random):
            raise _depends(value, name, "a random draw")
        elif isinstance(op, Source) and not _is_data(op):
            noun = "number" if op.space == "scalar" else op.space
            raise _depends(value, name, f"the {noun} `{op.name}`")
    return substitute([node], replaced)[0]


def _earlier(scope: Scope) -> dict[str, Node]:
    """The values over the data so far, by the name of what starts with them."""
    session = scope.session
    held = (*session.parameters.values(), *session.states.values())
    return {s.name: s.over_data for s in held if s.over_data is not None}


def _is_data(op: Source) -> bool:
    return op.space == "input" or (op.space == "scalar" and op.name == "batch_size")


def _depends(value: tree.Expr, name: str, what: str) -> Failure:
    return Failure(OverDataDepends(span=value.span, name=name, what=what))
