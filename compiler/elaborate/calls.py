"""Calls: primitives, definitions, chains and instances applied to their arguments.

Invariant: text runs in the scope of its definition; parameters are named by the caller's path. A
mistake inside the prelude is reported at the user's call, with the prelude as second place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.elaborate.arguments import Given, bind_header, use_of
from netc.compiler.elaborate.blocks import condition, run
from netc.compiler.elaborate.custom import with_rule
from netc.compiler.elaborate.initial import initial_value
from netc.compiler.elaborate.model import LayerRow, Named
from netc.compiler.elaborate.name_mistakes import (
    ImpureFunction,
    NotAStage,
    NotForCalls,
    TooMany,
)
from netc.compiler.elaborate.names import find
from netc.compiler.elaborate.scope import Bound, Path, Poisoned, Scope
from netc.compiler.elaborate.shape_mistakes import OpRefused, ShapeConflict
from netc.compiler.elaborate.values import (
    Chain,
    Closure,
    Deferred,
    Instance,
    Operand,
    Primitive,
    Tensor,
)
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ops.contract import Contract
from netc.grammar import tree
from netc.grammar.diagnostics import Diagnostic, Failure, Related

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Callable_, Value
    from netc.compiler.ir.graph import Node
    from netc.grammar.source import Span


def call(expression: tree.Call, scope: Scope, first: Operand | None = None) -> Value:
    """`f(a, b)`, or the stage `f(b)` applied to `first`."""
    callee = expression.callee
    given = Given(callee.name, expression.span, first, expression.arguments)
    return invoke(find(callee.name, callee.span, scope), given, scope)


def apply(found: Callable_, operand: Operand, scope: Scope, span: Span) -> Value:
    """A callable applied to one value."""
    name = found.definition.name.name if isinstance(found, Closure) else span.text
    return invoke(found, Given(name, span, operand, ()), scope)


def stage(expression: tree.Expr, operand: Operand, scope: Scope) -> Value:
    """One stage of a pipe or chain applied to a value."""
    match expression:
        case tree.Name():
            given = Given(expression.name, expression.span, operand, ())
            result = invoke(find(expression.name, expression.span, scope), given, scope)
        case tree.Call():
            result = call(expression, scope, operand)
        case tree.Pipe():
            result = pipe(expression.stages, operand, scope)
        case tree.If():
            chosen = condition(expression.condition, scope)
            result = stage(expression.then if chosen else expression.otherwise, operand, scope)
        case tree.Lambda():
            bound = Bound(operand.value, expression.parameter.span)
            result = scope.inside(expression.parameter.name, bound).evaluate(expression.body)
        case _:
            found = f"`{expression.span.text}`"
            raise Failure(NotAStage(span=expression.span, found=found))
    if isinstance(result, Tensor) and scope.session.is_user(expression.span):
        scope.session.note(result.node, expression.span)
    return result


def pipe(stages: tuple[tree.Expr, ...], operand: Operand, scope: Scope) -> Value:
    """Stages one after the other; each gets the value of the one before."""
    for expression in stages:
        here = Operand(operand.value, expression.span, operand.declared)
        operand = Operand(stage(expression, here, scope), expression.span)
    return operand.value


def invoke(found: Callable_, given: Given, scope: Scope) -> Value:
    """A callable with its arguments."""
    match found:
        case Primitive():
            return _primitive(found, given, scope)
        case Closure():
            return _closure(found, given, scope)
        case Chain():
            return _one(found, given, scope, scope.path)
        case Instance():
            return _instance(found, given, scope)
        case Deferred():
            home = replace(found.scope, filling=scope.filling, path=scope.path)
            return initial_value(found.expression, home)


def _primitive(found: Primitive, given: Given, scope: Scope) -> Value:
    try:
        result = found.build(use_of(found, given, scope))
    except TypeRuleError as refused:
        raise Failure(
            OpRefused(span=given.span, operation=found.name, reason=str(refused))
        ) from None
    if isinstance(result, Tensor):
        _passed(found.name, result.node, given, scope)
    return result


def _instance(found: Instance, given: Given, scope: Scope) -> Value:
    """A layer instance: its parameters have one path wherever it is applied."""
    if found.broken:
        raise Poisoned
    session = scope.session
    first = session.applied.setdefault(found.name, given.span)
    try:
        return _one(found.chain, given, scope, Path(found.name, shared=True))
    except Failure as failure:
        diagnostic = failure.diagnostic
        if diagnostic.span == given.span or not session.is_user(given.span):
            raise
        applied = [Related(given.span, f"`{given.callee}` is applied here")]
        if isinstance(diagnostic, ShapeConflict) and first != given.span:
            applied.append(Related(first, "it was applied here first"))
        raise Failure(replace(diagnostic, related=(*applied, *diagnostic.related))) from None


def _one(chain: Chain, given: Given, scope: Scope, path: Path) -> Value:
    """A chain takes exactly one value; its parameters are made under `path`."""
    arguments = [argument.value for argument in given.arguments]
    operands = [] if given.first is None else [given.first]
    operands += [Operand(scope.evaluate(argument), argument.span) for argument in arguments]
    if len(operands) != 1:
        raise Failure(TooMany(span=given.span, callee=given.callee, expected="one tensor"))
    home = replace(chain.scope, path=path, filling=scope.filling)
    return stage(chain.expression, operands[0], home)


def _closure(found: Closure, given: Given, scope: Scope) -> Value:
    definition = found.definition
    if definition in scope.session.broken:
        raise Poisoned
    _check_kind(definition, given, scope)
    path = scope.path.enter(definition.name.name) if definition.kind == "layer" else scope.path
    inner = Scope(
        scope.session,
        found.module,
        definition.kind,
        path,
        owner=definition.name.name,
        site=scope.place(given.span),
        filling=scope.filling if definition.kind == "init" else None,
    )
    try:
        bind_header(found, given, scope, inner)
        arguments = dict(inner.values)
        result = run(definition.body, inner)
        assert result is not None, "every path returns: checked before"
        result = with_rule(definition, result, arguments, inner)
    except Failure as failure:
        raise Failure(placed(failure.diagnostic, definition, given, scope, inner)) from None
    if isinstance(result, Tensor):
        if definition.kind == "layer":
            _record(definition.name.name, path, result.node, scope)
            scope.session.returned.append(Named(path.name, result.node, scope.place(given.span)))
        else:
            _passed(definition.name.name, result.node, given, scope)
    return result


def _passed(name: str, result: Node, given: Given, scope: Scope) -> None:
    """Keeps what a function returns that is a stage of a chain in the user's text."""
    if given.first is not None and scope.kind != "fn" and scope.session.is_user(given.span):
        scope.session.returned.append(Named(scope.path.member(name), result, given.span))


def _check_kind(definition: tree.Definition, given: Given, scope: Scope) -> None:
    match definition.kind:
        case "layer" if scope.kind == "fn":
            raise Failure(ImpureFunction(span=given.span, name=given.callee, owner=scope.owner))
        case "init" if scope.filling is None:
            found, expected = "an initialiser", "it belongs to a `param` or an `init=` argument"
        case "optimizer":
            found, expected = "an optimizer", "it belongs to `optimizer = …` in the train block"
        case _:
            return
    raise Failure(NotForCalls(span=given.span, name=given.callee, found=found, expected=expected))


def placed(
    diagnostic: Diagnostic, definition: tree.Definition, given: Given, scope: Scope, inner: Scope
) -> Diagnostic:
    """A mistake inside a definition, seen from its call.

    What the prelude finds wrong with a parameter alone is shown at the argument given for it.
    """
    session = scope.session
    if not session.is_user(given.span) or diagnostic.span == given.span:
        return diagnostic
    if not session.is_user(diagnostic.span):
        origin = Related(diagnostic.span, f"in `{definition.name.name}` of the prelude")
        users = tuple(r for r in diagnostic.related if session.is_user(r.span))
        bound = inner.values.get(diagnostic.span.text)
        span = given.span if bound is None or bound.argument is None else bound.argument
        return replace(diagnostic, span=span, related=(*users, origin))
    inside = diagnostic.span in definition.span and len(diagnostic.related) < 3
    texts = {diagnostic.span.source, *(r.span.source for r in diagnostic.related)}
    if inside or given.span.source not in texts:  # a mistake in a library leads back to the file
        applied = Related(given.span, f"`{given.callee}` is applied here")
        return replace(diagnostic, related=(*diagnostic.related, applied))
    return diagnostic


def _record(layer: str, path: Path, result: Node, scope: Scope) -> None:
    """A line of the summary: own parameters, and the products made for this layer alone."""
    session = scope.session
    macs = 0
    stack = [result]
    while stack:
        node = stack.pop()
        if node in session.counted:
            continue
        session.counted.add(node)
        stack.extend(node.args)
        macs += products(node)
    own = path.own
    before = session.rows.get(path.name)
    if before is not None:
        own, macs = before.parameters, before.macs + macs
    session.rows[path.name] = LayerRow(path.name, layer, result.type.shape, own, macs)


def products(node: Node) -> int:
    """Multiply-adds of one sample in a node."""
    if not isinstance(node.op, Contract):
        return 0
    return node.op.multiplications(*(a.type for a in node.args))
