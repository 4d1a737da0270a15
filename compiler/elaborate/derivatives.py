"""Derivatives in the language: `grad`, `jacobian`, `hessian`, `hvp`.

Invariant: a variable is a value with a name, so that what depends on it was made from its node. The
parameters of a group count as one vector.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netc.compiler.derive import derivatives as derive
from netc.compiler.derive.obstacles import obstacle
from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import OPERATORS, fitted, tensor
from netc.compiler.elaborate.derivative_mistakes import (
    DirectionBatched,
    DirectionShape,
    NoDerivative,
    NotScalar,
    NotVariable,
)
from netc.compiler.elaborate.reductions import concatenated
from netc.compiler.elaborate.values import Group, Operand, Tensor, show, show_shape
from netc.compiler.ops.elementwise import Where
from netc.compiler.ops.movement import reshape
from netc.compiler.ops.reduce import Reduce
from netc.compiler.ops.source import Source, SourceForm, source
from netc.grammar.diagnostics import Failure, Related
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.derive.obstacles import Obstacle
    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Use, Value
    from netc.compiler.ir.graph import Node
    from netc.grammar.tree import Expr

SYMBOLS: Final = {word: symbol for symbol, word in OPERATORS.items()}


@record
class Variables:
    """What a derivative is taken with respect to: one value, or a group as one vector."""

    nodes: tuple[Node, ...]
    shape: tuple[int, ...]
    grouped: bool


def grad(use: Use) -> Value:
    """`grad(e, v)`: of the shape of v."""
    e, wrt = _scalar(use), _variables(use)
    _check_path(e, wrt, use)
    found = derive.gradient(e, wrt.nodes)
    return Tensor(derive.flat(found, 0) if wrt.grouped else found[0])


def jacobian(use: Use) -> Value:
    """`jacobian(y, v)`: [y axes…, v axes…]."""
    y, wrt = tensor(use.arguments["y"], use.scope, "the value").node, _variables(use)
    _check_path(y, wrt, use)
    found = derive.jacobian(y, wrt.nodes)
    return Tensor(derive.flat(found, y.type.rank) if wrt.grouped else found[0])


def hessian(use: Use) -> Value:
    """`hessian(e, v)`: [v axes…, v axes…]."""
    e, wrt = _scalar(use), _variables(use)
    _check_path(e, wrt, use)
    return Tensor(reshape(derive.hessian(e, wrt.nodes), wrt.shape * 2))


def hvp(use: Use) -> Value:
    """`hvp(e, v, u)`: the Hessian times u, of the shape of v, without the Hessian."""
    e, wrt = _scalar(use), _variables(use)
    _check_path(e, wrt, use)
    operand = use.arguments["u"]
    direction = _direction(operand, wrt, use)
    if not wrt.grouped:
        return Tensor(derive.hessian_product(e, wrt.nodes, direction)[0])
    if len(wrt.nodes) == 1:
        direction = reshape(direction, wrt.nodes[0].type.shape)
    return Tensor(derive.flat(derive.hessian_product(e, wrt.nodes, direction), 0))


def _scalar(use: Use) -> Node:
    operand = use.arguments["e"]
    e = tensor(operand, use.scope, "the value").node
    if e.type.shape:
        found = show_shape(e.type.shape)
        related = known.declared(operand)
        raise Failure(NotScalar(span=operand.span, related=related, name=use.name, found=found))
    return e


def _variables(use: Use) -> Variables:
    operand = use.arguments["v"]
    match operand.value:
        case Group(parts=parts) as group if all(isinstance(p.op, Source) for p in parts):
            return Variables(parts, (group.size,), grouped=True)
        case Tensor(node=node) if _is_variable(node, operand):
            return Variables((node,), node.type.shape, grouped=False)
        case Tensor(node=node) if isinstance(node.op, SourceForm):
            hint = ""
        case Tensor():
            hint = "bind it to a name first, and use that name in what is differentiated"
        case Group():
            hint = "only the parameters themselves are variables"
        case value:
            raise Failure(NotVariable(span=operand.span, name=use.name, found=show(value)))
    found = f"`{operand.span.text}`"
    raise Failure(NotVariable(span=operand.span, name=use.name, found=found, hint=hint))


def _is_variable(node: Node, operand: Operand) -> bool:
    """Whether a value has a name of its own: it is bound to one, or it is a parameter."""
    if isinstance(node.op, Source):
        return node.op.space != "scalar"
    return operand.declared is not None and not isinstance(node.op, SourceForm)


def _direction(operand: Operand, wrt: Variables, use: Use) -> Node:
    if isinstance(operand.value, Group):
        operand = replace(operand, value=Tensor(concatenated(operand.value)))
    direction = fitted(operand, wrt.shape, use.scope)
    if direction is None:
        found, expected = show_shape(known.shape_of(operand) or ()), show_shape(wrt.shape)
        raise Failure(DirectionShape(span=operand.span, found=found, expected=expected))
    if direction.type.batched and not wrt.nodes[0].type.batched:
        raise Failure(DirectionBatched(span=operand.span))
    return direction


def _check_path(y: Node, wrt: Variables, use: Use) -> None:
    """A derivative that steps alone make zero is a mistake; in inference it may be meant."""
    found = obstacle(y, wrt.nodes) if use.scope.session.training else None
    if found is None:
        return
    operand = next(iter(use.arguments.values()))
    value, variable = (f"`{x.span.text}`" for x in (operand, use.arguments["v"]))
    raise no_derivative(found, operand, (value, variable), use.scope)


def check_trains(node: Node, text: Expr, scope: Scope, what: str) -> None:
    """A term of the objective that depends on parameters has a derivative by one of them."""
    session = scope.session
    shapes = {name: stored.shape for name, stored in session.parameters.items()}
    parameters = [
        source("parameter", name, shape, False, session.precision) for name, shape in shapes.items()
    ]
    found = obstacle(node, parameters) if session.training else None
    if found is not None:
        operand = Operand(Tensor(node), text.span)
        raise no_derivative(found, operand, (what, "any parameter"), scope)


def no_derivative(
    found: Obstacle, operand: Operand, names: tuple[str, str], scope: Scope
) -> Failure:
    """The report of a value that depends on a variable only through a step."""
    operation = _operation(found.node)
    place = scope.session.origins.get(found.node)
    here = place is None or (place.start <= operand.span.start and operand.span.end <= place.end)
    related = () if here or place is None else (Related(place, f"{operation} stands here"),)
    return Failure(
        NoDerivative(
            span=operand.span,
            related=related,
            value=names[0],
            variable=names[1],
            operation=operation,
            way=_way(found, operation, scope),
        )
    )


def _way(found: Obstacle, operation: str, scope: Scope) -> str:
    """The named values between the variable and the value, and the step among them."""
    named: dict[Node, str] = {}
    for name, bound in scope.values.items():
        if isinstance(bound.value, Tensor):
            named.setdefault(bound.value.node, f"`{name}`")
    steps: list[str] = []
    for node in found.way:
        if node is found.node:
            steps.append(operation)
        if node in named:
            steps.append(named[node])
        elif isinstance(node.op, Source):
            steps.append(f"`{node.op.name}`")
    return " → ".join(steps)


def _operation(node: Node) -> str:
    """An operation as a text calls it."""
    match node.op:
        case Reduce(kind=kind):
            return f"`{kind}`"
        case Where():
            return "the condition of `where`"
        case op:
            return f"`{SYMBOLS.get(op.word, op.word)}`"
