"""Evaluation of expressions: one `match` over the syntax tree.

Invariant: long runs (pipes, sums, products) are loops; Python recursion follows only the nesting
that the user wrote. Every node made for a user's text gets that text as its origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import OPERATORS, combine, power
from netc.compiler.elaborate.blocks import condition
from netc.compiler.elaborate.calls import call, pipe
from netc.compiler.elaborate.indexing import index, listing
from netc.compiler.elaborate.name_mistakes import NotAValue
from netc.compiler.elaborate.names import declaration, group, member, value
from netc.compiler.elaborate.products import flipped, matmul
from netc.compiler.elaborate.shape_mistakes import OpRefused
from netc.compiler.elaborate.values import Operand, Tensor
from netc.compiler.ir.types import TypeRuleError
from netc.grammar import tree
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Value


def evaluate(expression: tree.Expr, scope: Scope) -> Value:
    """The value of an expression; raises `Failure` with a place in the text."""
    try:
        result = _evaluate(expression, scope)
    except TypeRuleError as refused:
        text = expression.span.text
        raise Failure(
            OpRefused(span=expression.span, operation=text, reason=str(refused))
        ) from None
    if isinstance(result, Tensor) and scope.session.is_user(expression.span):
        scope.session.note(result.node, expression.span)
    return result


def _evaluate(expression: tree.Expr, scope: Scope) -> Value:
    match expression:
        case tree.Number():
            return expression.value if scope.dials is None else scope.dials(expression.value)
        case tree.String() | tree.Boolean():
            return expression.value
        case tree.Training():
            return scope.session.training
        case tree.Name():
            return value(expression, scope)
        case tree.Member():
            return member(expression, scope)
        case tree.Call():
            return _call(expression, scope)
        case tree.Pipe():
            return pipe(expression.stages[1:], operand(expression.stages[0], scope), scope)
        case tree.If():
            chosen = condition(expression.condition, scope)
            return scope.evaluate(expression.then if chosen else expression.otherwise)
        case tree.Index():
            items = expression.items
            return index(operand(expression.operand, scope), items, scope.without_dials())
        case tree.ListOf():
            return listing([operand(item, scope) for item in expression.items], scope)
        case tree.Lambda():
            found = "a function"
            raise Failure(NotAValue(span=expression.span, name="->", found=found))
        case _:
            return _operation(expression, scope)


def operand(expression: tree.Expr, scope: Scope) -> Operand:
    """A value with its place, and the place where its name was bound."""
    return Operand(scope.evaluate(expression), expression.span, declaration(expression, scope))


def _call(expression: tree.Call, scope: Scope) -> Value:
    """A call; `params("enc.*")` names a group."""
    if expression.callee.name != "params":
        return call(expression, scope)
    arguments = expression.arguments
    if len(arguments) != 1 or arguments[0].name is not None:
        raise Failure(NotAValue(span=expression.span, name="params", found="a group"))
    pattern = known.string(operand(arguments[0].value, scope), "the pattern of `params`")
    return group(pattern, expression.span, scope)


Operations = tree.Negate | tree.Not | tree.Operation | tree.Compare | tree.Power | tree.Transpose


def _operation(expression: Operations, scope: Scope) -> Value:
    span = expression.span
    match expression:
        case tree.Negate():
            return combine("neg", (operand(expression.operand, scope),), scope, span, "-")
        case tree.Not():
            return combine("not", (operand(expression.operand, scope),), scope, span, "not")
        case tree.Compare():
            sides = (operand(expression.left, scope), operand(expression.right, scope))
            text = expression.operator
            return combine(OPERATORS[text], sides, scope, span, text)
        case tree.Power():
            base = operand(expression.base, scope)
            still = scope.without_dials() if _is_whole(expression.exponent) else scope
            return power(base, operand(expression.exponent, still), scope, span)
        case tree.Transpose():
            return flipped(operand(expression.operand, scope), scope)
        case tree.Operation():
            return _run(expression, scope)
        case _:
            assert_never(expression)


def _is_whole(exponent: tree.Expr) -> bool:
    """Whether an exponent is a whole number as written: part of the formula, never a dial."""
    while isinstance(exponent, tree.Negate):
        exponent = exponent.operand
    return isinstance(exponent, tree.Number) and isinstance(exponent.value, int)


def _run(expression: tree.Operation, scope: Scope) -> Value:
    """`a + b - c`, from left to right."""
    left = operand(expression.first, scope)
    for operator, text in expression.rest:
        right = operand(text, scope)
        span = left.span.to(right.span)
        symbol = operator.symbol
        if symbol == "@":
            result: Value = matmul(left, right, scope, span)
        else:
            name = OPERATORS.get(symbol, symbol)
            result = combine(name, (left, right), scope, span, symbol)
        if isinstance(result, Tensor) and scope.session.is_user(span):
            scope.session.note(result.node, span)
        left = Operand(result, span)
    return left.value
