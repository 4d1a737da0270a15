"""Optimizers applied to parameters: one `Update` for each, from the text of one definition.

Invariant: every numeric argument is a run-time scalar: its slot overrides the text's expression
unless it is NaN. States start from the text's own numbers.
"""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING

from netc.compiler.elaborate.arguments import Given, bind_header
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.blocks import branch, execute, next_value
from netc.compiler.elaborate.build import elementwise, literal
from netc.compiler.elaborate.calls import placed
from netc.compiler.elaborate.initial import initial_node, sizes
from netc.compiler.elaborate.model import Named, RunScalar, Stored, Update
from netc.compiler.elaborate.names import hint
from netc.compiler.elaborate.net_mistakes import AssignedTwice, NotAState
from netc.compiler.elaborate.scope import Bound, Path, Scope
from netc.compiler.elaborate.values import Operand, Tensor, is_number
from netc.compiler.ir.graph import substitute
from netc.compiler.ops.source import constant, source
from netc.grammar import tree
from netc.grammar.diagnostics import Failure
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.values import Closure, Value
    from netc.compiler.ir.graph import Node


@record
class Rule:
    """An optimizer of the train block with its arguments bound; `pattern` None is the default."""

    pattern: str | None
    closure: Closure
    given: Given
    scope: Scope
    scalars: tuple[RunScalar, ...]


def bind_rule(
    pattern: str | None, closure: Closure, given: Given, train: Scope, first: int
) -> Rule:
    """Evaluate an optimizer's arguments once; `first` numbers are taken by earlier rules."""
    precision = train.session.precision
    numbers: list[RunScalar] = []
    slots: list[RunScalar] = []

    def number(value: float) -> Value:
        numbers.append(RunScalar(f"train.{first + len(numbers) + 1}", float(value)))
        return Tensor(source("scalar", numbers[-1].name, (), False, precision))

    def adapt(name: str, value: Value) -> Value:
        """The slot where it is set, else the text's expression."""
        if isinstance(value, Tensor) and value.node.type.shape == ():
            text = value.node
        elif is_number(value):
            text = literal(value, precision)
        else:
            return value
        slot_name = name if pattern is None else f"{pattern}.{name}"
        slots.append(RunScalar(slot_name, nan))
        slot = source("scalar", slot_name, (), False, precision)
        return Tensor(elementwise("where", elementwise("isnan", slot), text, slot))

    inner = Scope(
        train.session,
        closure.module,
        "optimizer",
        Path(""),
        owner=closure.definition.name.name,
        site=given.span,
    )
    caller = replace(train, dials=number)
    bind_header(closure, given, caller, inner, adapt)
    return Rule(pattern, closure, given, inner, (*numbers, *slots))


def apply_rule(rule: Rule, parameter: Stored) -> Update:
    """The update of one parameter; raises `Failure` at the user's text."""
    body = _Body(rule, parameter)
    try:
        body.run(rule.closure.definition.body)
    except Failure as failure:
        definition, outside = rule.closure.definition, replace(rule.scope, kind="train", site=None)
        diagnostic = placed(failure.diagnostic, definition, rule.given, outside, body.scope)
        raise Failure(diagnostic) from None
    return body.update()


class _Body:
    """The statements of an optimizer, executed for one parameter."""

    def __init__(self, rule: Rule, parameter: Stored) -> None:
        session = rule.scope.session
        self.rule, self.parameter = rule, parameter
        self.states: dict[str, Stored] = {}
        self.next: dict[str, Named] = {}
        shape, precision = parameter.shape, session.precision
        span = rule.closure.definition.name.span
        given = {
            "w": source("parameter", parameter.name, shape, False, precision),
            "g": source("gradient", parameter.name, shape, False, precision),
            "objective": source("scalar", "objective", (), False, precision),
        }
        values = {name: Bound(Tensor(node), span) for name, node in given.items()}
        self.scope = replace(rule.scope, values={**rule.scope.values, **values})

    def run(self, statements: Sequence[tree.Statement]) -> None:
        for statement in statements:
            match statement:
                case tree.IfBlock():
                    self.run(branch(statement, self.scope))
                case tree.State():
                    self._state(statement)
                case tree.Assign():
                    self._assign(statement)
                case _:
                    execute(statement, self.scope)

    def _state(self, statement: tree.State) -> None:
        name = f"{self.parameter.name}.{statement.name.name}"
        shape = self.parameter.shape
        if statement.shape is not None:
            shape = sizes(statement.shape, self.scope)
        operand = Operand(self.scope.evaluate(statement.value), statement.value.span)
        start = tensor(operand, self.scope, "an initial value").node
        at_start = Operand(Tensor(_with_defaults(start, self.rule.scalars)), operand.span)
        initial = initial_node(at_start, name, shape, self.scope)
        span = self.scope.place(statement.span)
        self.states[statement.name.name] = Stored(name, shape, initial, span)
        precision = self.scope.session.precision
        self._bind(statement.name, source("optimizer", name, shape, False, precision))

    def _assign(self, statement: tree.Assign) -> None:
        name, scope = statement.name.name, self.scope
        stored = self.parameter if name == "w" else self.states.get(name)
        if stored is None:
            advice = hint(name, ["w", *self.states])
            raise Failure(NotAState(span=statement.name.span, name=name, hint=advice))
        if name in self.next:
            raise Failure(AssignedTwice(span=statement.span, name=name))
        operand = Operand(scope.evaluate(statement.value), statement.value.span)
        node = next_value(operand, stored.shape, name, scope)
        self.next[name] = Named(stored.name, node, scope.place(statement.span))
        self._bind(statement.name, node)

    def _bind(self, name: tree.Ident, node: Node) -> None:
        self.scope.values[name.name] = Bound(Tensor(node), name.span)
        self.scope.session.note(node, self.scope.place(name.span))

    def update(self) -> Update:
        new = self.next.pop("w", None)
        source_node = self.scope.values["w"].value
        assert isinstance(source_node, Tensor)
        return Update(
            self.parameter.name,
            self.rule.closure.definition.name.name,
            source_node.node if new is None else new.node,
            tuple(self.states.values()),
            tuple(self.next.values()),
        )


def _with_defaults(node: Node, scalars: Sequence[RunScalar]) -> Node:
    """A graph with run-time scalars replaced by the numbers of the text."""
    precision = node.type.precision
    numbers = {
        source("scalar", scalar.name, (), False, precision): constant(scalar.default, (), precision)
        for scalar in scalars
    }
    return substitute([node], numbers)[0]
