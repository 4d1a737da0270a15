"""Parameters and states: their names, shapes, and the values they start with.

Invariant: an initial value is an unbatched graph of constants and random draws in the shape of what
it initialises; the same name in both modes is the same parameter.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import fitted
from netc.compiler.elaborate.model import Stored
from netc.compiler.elaborate.name_mistakes import DefinedTwice, WrongKind
from netc.compiler.elaborate.names import lookup, parameter
from netc.compiler.elaborate.over_data import over_data, over_data_call, parts
from netc.compiler.elaborate.scope import Filling, Path
from netc.compiler.elaborate.shape_mistakes import InitialDepends, InitialShape, ShapeConflict
from netc.compiler.elaborate.values import (
    Closure,
    Deferred,
    Operand,
    Tensor,
    show_shape,
)
from netc.compiler.ir.graph import toposort
from netc.compiler.ops.source import Source, source
from netc.grammar import tree
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from netc.compiler.elaborate.scope import Scope
    from netc.compiler.elaborate.values import Value
    from netc.compiler.ir.graph import Node


def sizes(shape: tree.Shape | None, scope: Scope) -> tuple[int, ...]:
    """The sizes of a declared shape; a scalar when there is none."""
    if shape is None:
        return ()
    result = []
    for axis in shape.axes:
        if isinstance(axis, tree.Rest):
            raise Failure(
                WrongKind(span=axis.span, what="a size", expected="a number", found="`..`", hint="")
            )
        operand = Operand(scope.evaluate(axis), axis.span)
        result.append(known.size(operand, "a size"))
    return tuple(result)


def declare_parameter(statement: tree.Param, scope: Scope) -> Tensor:
    """`param W: shape = initial`: a new parameter, or that of an instance applied before."""
    session = scope.session
    name = _full_name(statement.name, scope)
    shape = sizes(statement.shape, scope)
    if not _exists(name, statement.name, shape, scope):
        session.parameters[name] = _stored(statement, name, shape, scope)
        scope.path.own += prod(shape)
    return Tensor(parameter(name, scope))


def declare_state(statement: tree.State, scope: Scope) -> Tensor:
    """`state s: shape = initial`: its value at the start of the step, or after an earlier `<-`."""
    session = scope.session
    name = _full_name(statement.name, scope)
    shape = sizes(statement.shape, scope)
    if not _exists(name, statement.name, shape, scope):
        session.states[name] = _stored(statement, name, shape, scope)
        session.nodes[name] = source("state", name, shape, False, session.precision)
    scope.stored[statement.name.name] = name
    return Tensor(session.nodes[name])


def _full_name(name: tree.Ident, scope: Scope) -> str:
    if scope.kind == "net":
        return name.name
    return scope.path.member(name.name)


def _exists(name: str, ident: tree.Ident, shape: tuple[int, ...], scope: Scope) -> bool:
    """Whether the parameter or state was made before by the same instance."""
    session = scope.session
    old = session.parameters.get(name) or session.states.get(name)
    if old is None:
        return False
    if not scope.path.shared or ident.name in scope.values:
        raise Failure(DefinedTwice(span=ident.span, name=name))
    if old.shape != shape:
        raise Failure(
            ShapeConflict(
                span=ident.span, name=name, old=show_shape(old.shape), new=show_shape(shape)
            )
        )
    return True


def _stored(
    statement: tree.Param | tree.State, name: str, shape: tuple[int, ...], scope: Scope
) -> Stored:
    """A new parameter or state with the values that it starts with."""
    value, ident, place = statement.value, statement.name, scope.place(statement.span)
    call = None if value is None else over_data_call(value, scope)
    if call is None:
        return Stored(name, shape, _initial(value, ident, name, shape, scope), place)
    whole, before = parts(call)
    initial = _initial(before, ident, name, shape, scope)
    return Stored(name, shape, initial, place, over_data=over_data(whole, name, shape, scope))


def _initial(
    value: tree.Expr | None, ident: tree.Ident, name: str, shape: tuple[int, ...], scope: Scope
) -> Node:
    """The initial value; without one, `glorot_uniform` for weights and 0 for the rest."""
    if value is None:
        word = "glorot_uniform" if len(shape) > 1 else "zeros"
        value = tree.Call(ident.span, tree.Ident(ident.span, word), ())
    filling = replace(scope, filling=Filling(name, shape), path=Path(name))
    operand = Operand(initial_value(value, filling), value.span)
    return initial_node(operand, name, shape, scope)


def initial_node(operand: Operand, name: str, shape: tuple[int, ...], scope: Scope) -> Node:
    """An initial value as a node of the right shape that depends on nothing of the run."""
    node = fitted(operand, shape, scope)
    if node is None:
        found = show_shape(known.shape_of(operand) or ())
        raise Failure(
            InitialShape(span=operand.span, name=name, found=found, expected=show_shape(shape))
        )
    for source_node in toposort([node]):
        if isinstance(source_node.op, Source):
            what = f"the {source_node.op.space} `{source_node.op.name}`"
            raise Failure(InitialDepends(span=operand.span, name=name, what=what))
    return node


def initial_value(expression: tree.Expr, scope: Scope) -> Value:
    """An expression where a parameter is made: a bare name may be an initialiser."""
    if isinstance(expression, tree.If):
        chosen = Operand(scope.evaluate(expression.condition), expression.condition.span)
        holds = known.boolean(chosen, "the condition of `if`")
        return initial_value(expression.then if holds else expression.otherwise, scope)
    if isinstance(expression, tree.Name) and expression.name not in scope.values:
        found = lookup(expression.name, scope)
        match found:
            case Deferred(expression=inner, scope=home):
                return initial_value(inner, replace(home, filling=scope.filling, path=scope.path))
            case Closure(definition=definition) if definition.kind == "init":
                call = tree.Call(expression.span, tree.Ident(expression.span, expression.name), ())
                return scope.evaluate(call)
            case _:
                pass
    return scope.evaluate(expression)
