"""What a name means: values, constants, run-time scalars, groups of parameters, and callables.

Lookup of values: block, initialiser's own names, constants of the file and of its imports, run-time
scalars, groups. Lookup of callables: block, file, imports, prelude, primitives.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import known
from netc.compiler.elaborate.name_mistakes import (
    ConstantCycle,
    NotAValue,
    NotCallable,
    UnknownCallable,
    UnknownName,
    UnknownParameter,
    UsedBeforeBound,
)
from netc.compiler.elaborate.net_mistakes import GroupEmpty, TotalEarly
from netc.compiler.elaborate.primitives import PRIMITIVES
from netc.compiler.elaborate.scope import GroupUse, Path, Poisoned, Scope, Trouble, visible
from netc.compiler.elaborate.shape_mistakes import NoFan
from netc.compiler.elaborate.values import (
    Chain,
    Closure,
    Deferred,
    Group,
    Instance,
    Operand,
    Primitive,
    Tensor,
    show_shape,
)
from netc.compiler.ops.source import source
from netc.grammar.diagnostics import Failure, Related
from netc.grammar.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netc.compiler.elaborate.scope import Module
    from netc.compiler.elaborate.values import Callable_, Known, Value
    from netc.compiler.ir.graph import Node
    from netc.grammar import tree
    from netc.grammar.source import Span

RUN_SCALARS: Final = ("step", "epoch", "steps", "epochs", "batch_size")
GROUPS: Final = ("params", "weights")
TOTALS: Final = ("macs", "memory")


def hint(name: str, candidates: Iterable[str]) -> str:
    """Advice from the names that exist; empty when none resembles `name`."""
    found = [f"`{candidate}`" for candidate in did_you_mean(name, candidates)]
    return f"did you mean {' or '.join(found)}?" if found else ""


def value(name: tree.Name, scope: Scope) -> Value:
    """The value of a name."""
    bound = scope.values.get(name.name)
    if bound is not None:
        if bound.value is None:
            raise Poisoned
        _check_order(name, bound.span)
        return bound.value
    if scope.filling is not None and name.name in ("shape", "fan_in", "fan_out"):
        return _of_filling(name, scope.filling.shape)
    constant = _constant(name.name, scope)
    if constant is not None:
        return constant
    if name.name in RUN_SCALARS:
        return Tensor(source("scalar", name.name, (), False, scope.session.precision))
    if name.name in TOTALS and scope.kind == "net":
        if scope.session.totals is None:
            raise Failure(TotalEarly(span=name.span, name=name.name))
        return scope.session.totals[name.name]
    if name.name in GROUPS:
        return group("*", name.span, scope, least_rank=2 if name.name == "weights" else 0)
    raise _no_value(name, scope)


def declaration(expression: tree.Expr, scope: Scope) -> Span | None:
    """Where the name that an expression consists of was bound."""
    bound = scope.values.get(getattr(expression, "name", ""))
    return None if bound is None else bound.span


def _check_order(name: tree.Name, bound: Span) -> None:
    if bound.source is name.span.source and bound.start > name.span.start:
        raise Failure(_early(name, bound))


def _early(name: tree.Name, bound: Span) -> UsedBeforeBound:
    related = (Related(bound, "bound here"),)
    return UsedBeforeBound(span=name.span, related=related, name=name.name)


def _no_value(name: tree.Name, scope: Scope) -> Failure:
    later = scope.session.declared.get(name.name) if scope.kind == "net" else None
    if later is not None:
        if later.start < name.span.start:
            raise Poisoned
        return Failure(_early(name, later))
    found = lookup(name.name, scope)
    if found is not None:
        what = describe(found)
        advice = "" if what == "an optimizer" else f"call it: `{name.name}(…)`"
        return Failure(NotAValue(span=name.span, name=name.name, found=what, hint=advice))
    constants = [constant for seen in visible(scope.module) for constant in seen.constants()]
    candidates = [*scope.values, *constants, *RUN_SCALARS, *GROUPS]
    return Failure(UnknownName(span=name.span, name=name.name, hint=hint(name.name, candidates)))


def _of_filling(name: tree.Name, shape: tuple[int, ...]) -> Value:
    if name.name == "shape":
        return shape
    if len(shape) < 2:
        raise Failure(NoFan(span=name.span, name=name.name, shape=show_shape(shape)))
    if len(shape) == 2:
        return shape[0] if name.name == "fan_in" else shape[1]
    window = prod(shape[2:])
    return window * (shape[1] if name.name == "fan_in" else shape[0])


def _constant(name: str, scope: Scope) -> Known | None:
    """The value of a constant of the text's module, evaluated at its first use."""
    for module in visible(scope.module):
        found = module.constant(name)
        if found is not None:
            return constant_value(found, module, scope)
    return None


def constant_value(constant: tree.Const, module: Module, scope: Scope) -> Known:
    """The value of a constant; raises `Failure` when it depends on itself."""
    session, name = scope.session, constant.name.name
    override = module.override(name)
    if override is not None:
        return override
    key = (module, name)
    if key not in session.constants:
        session.constants[key] = Trouble.UNFINISHED
        inner = Scope(session, module, "const", Path(name), owner=name, site=scope.site)
        try:
            operand = Operand(inner.evaluate(constant.value), constant.value.span)
            session.constants[key] = known.known(operand, f"the constant `{name}`")
        except (Failure, Poisoned):
            session.constants[key] = Trouble.FAILED
            raise
    match session.constants[key]:
        case Trouble.UNFINISHED:
            raise Failure(ConstantCycle(span=constant.name.span, name=name))
        case Trouble.FAILED:
            raise Poisoned
        case result:
            return result


def group(pattern: str, span: Span, scope: Scope, least_rank: int = 0) -> Group:
    """The parameters so far whose whole names match a shell pattern."""
    session = scope.session
    names = [
        name
        for name, stored in session.parameters.items()
        if fnmatchcase(name, pattern) and len(stored.shape) >= least_rank
    ]
    if not names and session.reports:
        raise Poisoned
    if not names:
        parts = ", ".join(session.parameters) or "none so far"
        raise Failure(GroupEmpty(span=span, pattern=pattern, known=parts))
    session.groups.append(GroupUse(pattern, least_rank, len(names), scope.place(span)))
    label = "weights" if least_rank else f'"{pattern}"'
    return Group(tuple(parameter(name, scope) for name in names), label)


def parameter(name: str, scope: Scope) -> Node:
    """The source of a parameter that exists."""
    shape = scope.session.parameters[name].shape
    return source("parameter", name, shape, False, scope.session.precision)


def member(path: tree.Member, scope: Scope) -> Value:
    """`enc.dense.W`: a parameter or state by its whole name."""
    name = ".".join(part.name for part in path.path)
    session = scope.session
    if name in session.parameters:
        return Tensor(parameter(name, scope))
    if name in session.states:
        return Tensor(session.nodes[name])
    if any(bound.value is None for bound in scope.values.values()):
        raise Poisoned
    advice = hint(name, [*session.parameters, *session.states])
    raise Failure(UnknownParameter(span=path.span, name=name, hint=advice))


def lookup(name: str, scope: Scope) -> Callable_ | None:
    """The callable of a name, or None."""
    local = scope.callables.get(name)
    if local is not None:
        return local
    for module in visible(scope.module):
        definition = module.definition(name)
        if definition is not None:
            return Closure(definition, module)
    return PRIMITIVES.get(name)


def find(name: str, span: Span, scope: Scope) -> Callable_:
    """The callable of a name; raises `Failure` when there is none."""
    found = lookup(name, scope)
    if found is not None:
        return found
    if name in scope.values:
        raise Failure(NotCallable(span=span, name=name))
    advice = hint(name, [*scope.callables, *every_callable(scope.module)])
    raise Failure(UnknownCallable(span=span, name=name, hint=advice))


def every_callable(module: Module) -> Iterator[str]:
    """The names of all definitions that a module sees, and of the primitives."""
    for seen in visible(module):
        yield from seen.names()
    yield from PRIMITIVES


def unresolved(name: str, module: Module) -> bool:
    """Whether no definition, primitive or group is called so."""
    return name not in (*every_callable(module), *GROUPS)


def describe(found: Callable_) -> str:
    """What a callable is, as reports say it."""
    match found:
        case Closure(definition=definition):
            words = {
                "fn": "a function",
                "layer": "a layer",
                "init": "an initialiser",
                "optimizer": "an optimizer",
            }
            return words[definition.kind]
        case Primitive():
            return "a function"
        case Instance() | Chain():
            return "a layer"
        case Deferred():
            return "an initialiser"
