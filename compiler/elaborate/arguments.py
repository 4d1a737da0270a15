"""Binding the arguments of a call to the parameters of a header, by position and by name.

Invariant: values are evaluated in the caller's scope, defaults in the callee's; chains and
initialisers are kept as text with the scope they stand in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from netc.compiler.elaborate import known
from netc.compiler.elaborate.name_mistakes import (
    Missing,
    TooMany,
    TwiceGiven,
    UnknownArgument,
    WrongKind,
)
from netc.compiler.elaborate.names import declaration, describe, find, hint
from netc.compiler.elaborate.patterns import match_pattern
from netc.compiler.elaborate.scope import Bound
from netc.compiler.elaborate.values import (
    Chain,
    Closure,
    Deferred,
    Operand,
    Primitive,
    Use,
    show,
)
from netc.grammar import tree
from netc.grammar.diagnostics import Failure, Related
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Callable_, Value
    from netc.grammar.source import Span


@record
class Given:
    """The arguments of a call as written, after the tensor that a pipe or chain sends first."""

    callee: str
    span: Span
    first: Operand | None
    arguments: tuple[tree.Argument, ...]


Argued = tree.Expr | Operand
Adapt: TypeAlias = "Callable[[str, Value], Value]"


def assign(
    given: Given, names: Sequence[str], places: Sequence[str], rest: bool = False
) -> tuple[dict[str, Argued], list[Argued]]:
    """Arguments by parameter name, and the positional ones left over when `rest` allows them.

    `places` are the names that positions stand for.
    """
    found: dict[str, Argued] = {}
    extra: list[Argued] = []
    positional: list[Argued] = [] if given.first is None else [given.first]
    positional += [argument.value for argument in given.arguments if argument.name is None]
    for index, argument in enumerate(positional):
        if index < len(places):
            found[places[index]] = argument
        elif rest:
            extra.append(argument)
        else:
            raise Failure(_too_many(given, argument, names))
    for named in given.arguments:
        if named.name is None:
            continue
        name = named.name.name
        if name not in names:
            raise Failure(_unknown(given, named.name, names))
        if name in found:
            raise Failure(TwiceGiven(span=named.span, callee=given.callee, name=name))
        found[name] = named.value
    return found, extra


def _too_many(given: Given, argument: Argued, names: Sequence[str]) -> TooMany:
    count = "no argument" if not names else f"{len(names)}: {', '.join(names)}"
    span = given.span if isinstance(argument, Operand) else argument.span
    return TooMany(span=span, callee=given.callee, expected=count)


def _unknown(given: Given, name: tree.Ident, names: Sequence[str]) -> UnknownArgument:
    known_names = f"it has {', '.join(f'`{n}`' for n in names)}" if names else "it has none"
    return UnknownArgument(
        span=name.span,
        callee=given.callee,
        name=name.name,
        known=known_names,
        hint=hint(name.name, names),
    )


def evaluated(argument: Argued, scope: Scope) -> Operand:
    """An argument as a value with its place."""
    if isinstance(argument, Operand):
        return argument
    return Operand(scope.evaluate(argument), argument.span, declaration(argument, scope))


def use_of(primitive: Primitive, given: Given, scope: Scope) -> Use:
    """The call of a primitive with its arguments evaluated."""
    places = [n for n in primitive.parameters if not (primitive.rest and n in primitive.defaults)]
    found, extra = assign(given, primitive.parameters, places, primitive.rest)
    arguments: dict[str, Operand] = {}
    chains: dict[str, Callable_] = {}
    for name in primitive.parameters:
        if name not in found:
            if name not in primitive.defaults:
                raise Failure(Missing(span=given.span, callee=given.callee, name=name))
        elif name in primitive.chains:
            chains[name] = chain(found[name], name, scope)
        else:
            arguments[name] = evaluated(found[name], scope)
    rest = tuple(evaluated(argument, scope) for argument in extra)
    return Use(primitive.name, scope, given.span, arguments, chains, rest)


def bind_header(
    closure: Closure, given: Given, caller: Scope, inner: Scope, adapt: Adapt | None = None
) -> None:
    """Bind a definition's parameters in its own scope `inner`, in header order.

    `adapt` may replace the value of an argument, given its name.
    """
    parameters = closure.definition.parameters
    names = [parameter.name.name for parameter in parameters]
    found, _ = assign(given, names, names)
    for parameter in parameters:
        name = parameter.name.name
        scope = caller
        argument = found.get(name)
        if argument is None:
            if parameter.default is None:
                raise Failure(_missing(given, parameter, caller))
            argument, scope = parameter.default, inner
        _bind(parameter, argument, scope, inner, given)
        if adapt is not None and name in inner.values:
            bound = inner.values[name]
            assert bound.value is not None
            inner.values[name] = Bound(adapt(name, bound.value), bound.span, bound.argument)


def _missing(given: Given, parameter: tree.Parameter, caller: Scope) -> Missing:
    related: tuple[Related, ...] = ()
    if caller.session.is_user(parameter.span):
        related = (Related(parameter.span, "declared here"),)
    return Missing(span=given.span, related=related, callee=given.callee, name=parameter.name.name)


def _bind(
    parameter: tree.Parameter, argument: Argued, scope: Scope, inner: Scope, given: Given
) -> None:
    name = parameter.name.name
    match parameter.kind:
        case "layer" | "fn":
            inner.callables[name] = chain(argument, name, scope)
        case "init":
            inner.callables[name] = initialiser(argument, name, scope)
        case None:
            operand = evaluated(argument, scope)
            if parameter.shape is not None:
                operand = match_pattern(parameter, operand, inner, given.callee)
            own = scope is inner
            span = parameter.name.span
            if operand.declared is not None and not scope.session.is_user(span) and not own:
                span = operand.declared
            inner.values[name] = Bound(operand.value, span, None if own else operand.span)


def chain(argument: Argued, name: str, scope: Scope) -> Callable_:
    """An argument of the kind layer or fn: a name, or stages that wait for their tensor."""
    match argument:
        case tree.Name() if argument.name not in scope.values:
            found = find(argument.name, argument.span, scope)
            if isinstance(found, Deferred) or (
                isinstance(found, Closure) and found.definition.kind in ("init", "optimizer")
            ):
                raise Failure(_not_chain(argument.span, name, describe(found)))
            return found
        case tree.Call() | tree.Pipe() | tree.Lambda() | tree.If():
            return Chain(argument, scope)
        case Operand():
            raise Failure(_not_chain(argument.span, name, show(argument.value)))
        case _:
            operand = evaluated(argument, scope)
            raise Failure(_not_chain(argument.span, name, show(operand.value)))


def _not_chain(span: Span, name: str, found: str) -> WrongKind:
    return WrongKind(
        span=span,
        what=f"`{name}`",
        expected="a function, a layer or a chain",
        found=found,
        hint="write for example `relu` or `dense(64) |> relu`",
    )


def initialiser(argument: Argued, name: str, scope: Scope) -> Deferred:
    """An argument of the kind init: evaluated where the parameter is made."""
    if isinstance(argument, Operand):
        known.wrong(argument, f"`{name}`", "an initialiser")
    if isinstance(argument, tree.Name) and argument.name not in scope.values:
        found = find(argument.name, argument.span, scope)
        if isinstance(found, Deferred):
            return found
        if not isinstance(found, Closure) or found.definition.kind != "init":
            raise Failure(
                WrongKind(
                    span=argument.span,
                    what=f"`{name}`",
                    expected="an initialiser",
                    found=f"{describe(found)} `{argument.name}`",
                    hint="write for example `he_normal` or `normal(0, 0.1)`",
                )
            )
    return Deferred(argument, scope)
