"""Statements that fn, layer, init and net share, executed in text order.

Invariant: a block of compile-time `if` opens no scope; the first `return` reached ends the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.build import broadcast
from netc.compiler.elaborate.initial import declare_parameter, declare_state
from netc.compiler.elaborate.model import Named
from netc.compiler.elaborate.names import hint
from netc.compiler.elaborate.net_mistakes import (
    AssertFailed,
    AssignedTwice,
    NextBatched,
    NextShape,
    NotAState,
)
from netc.compiler.elaborate.scope import Bound
from netc.compiler.elaborate.values import Chain, Instance, Operand, Tensor, show, show_shape
from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import StopGradient
from netc.grammar import tree
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Value
    from netc.compiler.ir.graph import Node


def run(statements: Sequence[tree.Statement], scope: Scope) -> Value | None:
    """Execute statements; the value of the `return` that was reached, or None."""
    for statement in statements:
        match statement:
            case tree.Return():
                return scope.evaluate(statement.value)
            case tree.IfBlock():
                result = run(branch(statement, scope), scope)
                if result is not None:
                    return result
            case _:
                execute(statement, scope)
    return None


def branch(statement: tree.IfBlock, scope: Scope) -> Sequence[tree.Statement]:
    """The statements that a compile-time `if` selects."""
    return statement.then if condition(statement.condition, scope) else statement.otherwise


def condition(expression: tree.Expr, scope: Scope) -> bool:
    """A compile-time condition; for data there is `where`."""
    operand = Operand(scope.without_dials().evaluate(expression), expression.span)
    return known.boolean(operand, "the condition of `if`")


def execute(statement: tree.Statement, scope: Scope) -> None:
    """One statement that binds a name, changes a state or checks."""
    match statement:
        case tree.Binding():
            bind(statement.name, scope.evaluate(statement.value), scope)
        case tree.Const():
            operand = Operand(scope.evaluate(statement.value), statement.value.span)
            value = known.known(operand, f"the constant `{statement.name.name}`")
            bind(statement.name, value, scope)
        case tree.Param():
            bind(statement.name, declare_parameter(statement, scope), scope)
        case tree.State():
            bind(statement.name, declare_state(statement, scope), scope)
        case tree.Assign():
            assign(statement, scope)
        case tree.Instance():
            instantiate(statement, scope)
        case tree.Assert():
            check(statement, scope)
        case _:
            raise AssertionError(f"{type(statement).__name__} was checked before")


def bind(name: tree.Ident, value: Value, scope: Scope) -> None:
    scope.values[name.name] = Bound(value, name.span)
    if isinstance(value, Tensor):
        scope.session.note(value.node, scope.place(name.span))


def assign(statement: tree.Assign, scope: Scope) -> None:
    """`s <- e`: the next value of a state, and its meaning from here on; nothing in inference."""
    session, name = scope.session, statement.name.name
    if name not in scope.stored:
        advice = hint(name, scope.stored)
        raise Failure(NotAState(span=statement.name.span, name=name, hint=advice))
    full = scope.stored[name]
    session.assigned.setdefault(full, scope.place(statement.span))
    if not session.training:
        return
    if name in scope.assigned:
        raise Failure(AssignedTwice(span=statement.span, name=name))
    scope.assigned.add(name)
    operand = Operand(scope.evaluate(statement.value), statement.value.span)
    node = next_value(operand, session.states[full].shape, name, scope)
    session.next_states[full] = Named(full, node, scope.place(statement.span))
    session.nodes[full] = make(StopGradient(), node)
    bind(statement.name, Tensor(session.nodes[full]), scope)


def next_value(operand: Operand, shape: tuple[int, ...], name: str, scope: Scope) -> Node:
    """An unbatched value of the shape of what it replaces; a scalar fills it."""
    node = tensor(operand, scope, "the next value").node
    if node.type.batched:
        raise Failure(NextBatched(span=operand.span, name=name))
    if node.type.rank == 0:
        return broadcast(node, shape)
    if node.type.shape != shape:
        found = show_shape(node.type.shape)
        raise Failure(
            NextShape(span=operand.span, name=name, found=found, expected=show_shape(shape))
        )
    return node


def instantiate(statement: tree.Instance, scope: Scope) -> None:
    """`layer enc = …`: a callable of the block with one set of parameters."""
    name = scope.path.member(statement.name.name)
    broken = statement in scope.session.broken
    scope.callables[statement.name.name] = Instance(name, Chain(statement.chain, scope), broken)


def check(statement: tree.Assert, scope: Scope) -> None:
    """`assert e`: known at compile time and true; of `a and b` each on its own."""
    expression = statement.value
    parts = [expression]
    if isinstance(expression, tree.Operation) and expression.rest[0][0].symbol == "and":
        parts = [expression.first, *(part for _, part in expression.rest)]
    for part in parts:
        actual = "it is false"
        if isinstance(part, tree.Compare):
            actual = f"{_compared(part, scope)} is false"
        if not condition(part, scope):
            raise Failure(AssertFailed(span=part.span, actual=actual))


def _compared(expression: tree.Compare, scope: Scope) -> str:
    """Both values of a comparison, with as many digits as it takes to tell them apart."""
    texts = (expression.left, expression.right)
    sides = [Operand(scope.evaluate(text), text.span) for text in texts]
    left, right = (known.known(side, "both sides of an `assert`") for side in sides)
    shown = [show(left), show(right)]
    if shown[0] == shown[1]:
        shown = [repr(left), repr(right)]
    return f"{shown[0]} {expression.operator} {shown[1]}"
