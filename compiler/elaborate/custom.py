"""`gradient` clauses: what an `fn` computes, with the cotangents of its arguments as its text says.

Invariant: the clause is read once, for a placeholder of the cotangent, with the arguments as they
were given and the names that the body has bound.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import fitted, tensor
from netc.compiler.elaborate.derivative_mistakes import (
    CotangentShape,
    GradientOfKind,
    TooManyCotangents,
)
from netc.compiler.elaborate.scope import Bound
from netc.compiler.elaborate.values import Group, Operand, Tensor, show_shape
from netc.compiler.ir.graph import make
from netc.compiler.ops.custom import Custom, placeholder
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Value
    from netc.compiler.ir.graph import Node
    from netc.grammar.diagnostics import Diagnostic
    from netc.grammar.tree import Definition, Expr, Parameter


def clause_mistakes(definition: Definition) -> Iterator[Diagnostic]:
    """A clause of anything but an `fn`, or one with more cotangents than there are arguments."""
    rule, name, kind = definition.gradient, definition.name.name, definition.kind
    if rule is None:
        return
    if kind != "fn":
        article = "an" if kind in ("init", "optimizer") else "a"
        yield GradientOfKind(span=rule.span, kind=f"{article} {kind}", word=kind)
        return
    most = len(definition.parameters)
    if len(rule.values) > most:
        span, found = rule.values[most].span, str(len(rule.values))
        expected = f"{most} argument{'' if most == 1 else 's'}"
        yield TooManyCotangents(span=span, name=name, found=found, expected=expected)


def with_rule(
    definition: Definition, result: Value, arguments: Mapping[str, Bound], scope: Scope
) -> Value:
    """The result of an `fn` with its own cotangents; `scope` is that of the body, after it ran.

    What is known at compile time has no derivative, and needs none.
    """
    rule = definition.gradient
    if rule is None or not isinstance(result, Tensor):
        return result
    session, name = scope.session, definition.name.name
    session.rules[name] += 1
    cotangent = placeholder(f"{name} {session.rules[name]}", result.node.type)
    given = Bound(Tensor(cotangent), rule.cotangent.span)
    values = {**scope.values, **arguments, rule.cotangent.name: given}
    inner = replace(scope, values=values)
    found: list[tuple[Node, Node]] = []
    for parameter, text in zip(definition.parameters, rule.values, strict=False):
        bound = arguments.get(parameter.name.name)
        if bound is not None:
            found += _cotangents(parameter, bound, text, inner)
    wrt, pulled = (tuple(side) for side in zip(*found, strict=True)) if found else ((), ())
    node = make(Custom(), result.node, cotangent, *wrt, *pulled)
    return replace(result, node=node)


def _cotangents(
    parameter: Parameter, bound: Bound, text: Expr, scope: Scope
) -> list[tuple[Node, Node]]:
    """An argument with its cotangent; a group of parameters has one for each, a number has none."""
    name = parameter.name.name
    match bound.value:
        case Tensor(node=node):
            operand = Operand(scope.evaluate(text), text.span)
            return [(node, _fitted(operand, node, name, scope))]
        case Group(parts=parts):
            operand = Operand(scope.evaluate(text), text.span)
            match operand.value:
                case Group(parts=pulled) if len(pulled) == len(parts):
                    each = [Operand(Tensor(part), text.span) for part in pulled]
                case _:
                    each = [operand] * len(parts)
            pairs = zip(each, parts, strict=True)
            return [(part, _fitted(one, part, name, scope)) for one, part in pairs]
        case _:
            return []


def _fitted(operand: Operand, like: Node, name: str, scope: Scope) -> Node:
    """A cotangent in the shape of its argument."""
    tensor(operand, scope, f"the cotangent of `{name}`")
    node = fitted(operand, like.type.shape, scope)
    if node is not None:
        return node
    raise Failure(
        CotangentShape(
            span=operand.span,
            related=known.declared(operand),
            argument=name,
            found=show_shape(known.shape_of(operand) or ()),
            expected=show_shape(like.type.shape),
            hint=f"it broadcasts in `{scope.owner}`: sum the axes that `{name}` lacks",
        )
    )
