"""The net block: ports, bindings, outputs, losses, penalties, metrics, in one mode.

Invariant: each statement is reported on its own; what a failed statement would have bound is
poisoned, so that nothing that depends on it is reported again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.blocks import branch, execute
from netc.compiler.elaborate.build import elementwise
from netc.compiler.elaborate.calls import products
from netc.compiler.elaborate.derivative_mistakes import CircularObjective, NoObjective
from netc.compiler.elaborate.derivatives import check_trains
from netc.compiler.elaborate.initial import sizes
from netc.compiler.elaborate.model import Named, Port, Values
from netc.compiler.elaborate.name_mistakes import BoundTwice, TooDeep
from netc.compiler.elaborate.net_mistakes import (
    GroupEarly,
    LossShape,
    MetricShape,
    PenaltyBatched,
    PenaltyShape,
    ReservedMetric,
)
from netc.compiler.elaborate.objective import WORD, first_use, objective
from netc.compiler.elaborate.scope import Bound, Path, Poisoned, Scope
from netc.compiler.elaborate.values import Instance, Operand, Tensor, show_shape
from netc.compiler.elaborate.walk import nested
from netc.compiler.ir.graph import toposort
from netc.compiler.ops.reduce import lift
from netc.compiler.ops.source import source
from netc.grammar import tree
from netc.grammar.diagnostics import Failure, Related

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.scope import Module, Session
    from netc.compiler.ir.graph import Node


@dataclass(slots=True)
class Collected:
    """What the statements of a net have said so far."""

    scope: Scope
    ports: list[tuple[str, Port]] = field(default_factory=list)
    outputs: list[Named] = field(default_factory=list)
    metrics: list[Named] = field(default_factory=list)
    losses: list[Node] = field(default_factory=list)
    penalties: list[Node] = field(default_factory=list)
    late: list[tree.Statement] = field(default_factory=list)
    last: list[tree.Statement] = field(default_factory=list)
    awaited: set[str] = field(default_factory=set)
    settled: bool = False

    def values(self) -> Values:
        """The result of this mode, in text order."""
        states = tuple(self.scope.session.next_states.values())
        outputs, metrics = (
            tuple(sorted(named, key=lambda one: one.span.start))
            for named in (self.outputs, self.metrics)
        )
        loss, penalty = _total(self.losses), _total(self.penalties)
        indices = tuple(self.scope.session.indices.values())
        return Values(outputs, loss, penalty, metrics, states, self._seen(), indices)

    def _seen(self) -> tuple[Named, ...]:
        """The batched values on the way by names that are unique; those of bindings come first."""
        ports = {port.name for _, port in self.ports}
        named = [
            Named(name, bound.value.node, bound.span)
            for name, bound in self.scope.values.items()
            if isinstance(bound.value, Tensor) and name not in ports
        ]
        uses: Counter[str] = Counter()
        found = []
        for one in (*named, *self.scope.session.returned):
            if one.node.type.batched:
                uses[one.name] += 1
                count = uses[one.name]
                found.append(one if count == 1 else replace(one, name=f"{one.name} ({count})"))
        return tuple(found)


def _total(terms: Sequence[Node]) -> Node | None:
    if not terms:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = elementwise("add", total, term)
    return total


def elaborate_net(net: tree.Net, module: Module, session: Session) -> Collected:
    """All statements of a net in one mode; mistakes go to `session.reports`.

    Penalties and assertions come late, so that groups hold all parameters. Nothing is asserted of
    a net with mistakes. What depends on `objective` comes last.
    """
    session.declared = {name.name: name.span for s in nested(net.body) for name in bound_by(s)}
    found = Collected(Scope(session, module, "net", Path(""), owner=net.name.name))
    found.awaited |= {WORD} - session.declared.keys()
    _run(net.body, found)
    session.totals = _totals(found)
    sound = not session.reports
    for statement in found.late:
        if sound or isinstance(statement, tree.Penalty):
            _guarded(statement, found)
    _run_last(net, found)
    if sound:
        _check_groups(session)
    return found


def _run(statements: Sequence[tree.Statement], found: Collected) -> None:
    for statement in statements:
        use = first_use(statement, found.awaited)
        match statement:
            case tree.IfBlock():
                use = first_use(statement.condition, found.awaited)
            case tree.Loss() | tree.Penalty() if use is not None or found.settled:
                span, word = use or statement.span, type(statement).__name__.lower()
                found.scope.session.reports.append(CircularObjective(span=span, statement=word))
                continue
            case tree.Instance() if use is not None:
                found.awaited.add(statement.name.name)
                use = None
            case _:
                pass
        if use is not None and not found.settled:
            found.last.append(statement)
            given = statement.name.name if isinstance(statement, tree.Assign) else ""
            found.awaited |= {name.name for name in bound_by(statement)} | {given}
        elif isinstance(statement, tree.Penalty | tree.Assert) and not found.settled:
            found.late.append(statement)
        else:
            _guarded(statement, found)


def _run_last(net: tree.Net, found: Collected) -> None:
    """The statements that wait for the objective, once it is known."""
    if not found.last:
        return
    node = objective(_total(found.losses), _total(found.penalties))
    found.settled = True
    if node is not None:
        found.scope.values[WORD] = Bound(Tensor(node), net.name.span)
        _run(found.last, found)
    elif not found.scope.session.reports:
        span = first_use(found.last[0], (WORD,)) or found.last[0].span
        found.scope.session.reports.append(NoObjective(span=span))


def _guarded(statement: tree.Statement, found: Collected) -> None:
    """Execute a statement; a mistake is reported and poisons what it would have bound."""
    session = found.scope.session
    try:
        _execute(statement, found)
    except Failure as failure:
        session.reports.append(failure.diagnostic)
    except Poisoned:
        pass
    except RecursionError:
        session.reports.append(TooDeep(span=statement.span))
    else:
        return
    for inner in nested((statement,)):
        for name in bound_by(inner):
            found.scope.values.setdefault(name.name, Bound(None, name.span))


def _execute(statement: tree.Statement, found: Collected) -> None:
    scope, session = found.scope, found.scope.session
    taken = bound_by(statement)
    for name in (statement.name,) if isinstance(statement, tree.Instance) else taken:
        _check_free(name, scope)
    match statement:
        case tree.IfBlock():
            _run(branch(statement, scope), found)
        case tree.Port():
            _port(statement, found)
        case tree.Output():
            _output(statement, found)
        case tree.Loss():
            found.losses.append(_loss(statement, scope.at(session.path("loss"))))
        case tree.Penalty():
            found.penalties.append(_penalty(statement, scope.at(session.path("penalty"))))
        case tree.Metric():
            _metric(statement, found)
        case tree.Return():
            raise Poisoned
        case tree.Binding() | tree.Const() | tree.Assign():
            execute(statement, scope.at(session.path(statement.name.name)))
        case _:
            execute(statement, scope)


def _check_free(name: tree.Ident, scope: Scope) -> None:
    """Values and instances share the names of a net: both name the parameters below them."""
    bound, layer = scope.values.get(name.name), scope.callables.get(name.name)
    first = None if bound is None else bound.span
    if isinstance(layer, Instance):
        first = layer.chain.expression.span
    if first is not None:
        related = (Related(first, "bound here first"),)
        raise Failure(BoundTwice(span=name.span, related=related, name=name.name))


def _port(statement: tree.Port, found: Collected) -> None:
    """An input or target: one value for each sample."""
    scope, name, declared = found.scope, statement.name.name, statement.type
    shape = sizes(declared.shape, scope)
    classes: int | None = None
    if declared.classes is not None:
        count = Operand(scope.evaluate(declared.classes), declared.classes.span)
        classes = known.size(count, "the number of classes")
    node = source("input", name, shape, True, scope.session.precision)
    port = Port(name, shape, declared.kind, classes, declared.missing, statement.name.span)
    found.ports.append((statement.role, port))
    scope.values[name] = Bound(Tensor(node, classes, declared.missing), statement.name.span)
    scope.session.note(node, statement.span)


def _node(expression: tree.Expr, scope: Scope, what: str) -> Node:
    operand = Operand(scope.evaluate(expression), expression.span)
    return tensor(operand, scope, what).node


def _output(statement: tree.Output, found: Collected) -> None:
    name, scope = statement.name, found.scope.at(found.scope.session.path(statement.name.name))
    for other in found.outputs:
        if other.name == name.name:
            related = (Related(other.span, "the first one"),)
            raise Failure(BoundTwice(span=name.span, related=related, name=name.name))
    value = statement.value or tree.Name(name.span, name.name)
    result = scope.evaluate(value)
    node = tensor(Operand(result, value.span), scope, "an output").node
    found.outputs.append(Named(name.name, lift(node), name.span))
    if statement.value is not None:
        scope.values[name.name] = Bound(result, name.span)


def _loss(statement: tree.Loss, scope: Scope) -> Node:
    node = _node(statement.value, scope, "a loss")
    span = statement.value.span
    if node.type.shape:
        raise Failure(LossShape(span=span, found=show_shape(node.type.shape)))
    check_trains(node, statement.value, scope, "the loss")
    return lift(node)


def _penalty(statement: tree.Penalty, scope: Scope) -> Node:
    node = _node(statement.value, scope, "a penalty")
    span = statement.value.span
    if node.type.shape:
        raise Failure(PenaltyShape(span=span, found=show_shape(node.type.shape)))
    if node.type.batched:
        raise Failure(PenaltyBatched(span=span))
    check_trains(node, statement.value, scope, "the penalty")
    return node


def _metric(statement: tree.Metric, found: Collected) -> None:
    name, scope = statement.name, found.scope.at(found.scope.session.path(statement.name.name))
    if name.name in ("loss", "objective"):
        raise Failure(ReservedMetric(span=name.span, name=name.name))
    for other in found.metrics:
        if other.name == name.name:
            related = (Related(other.span, "the first one"),)
            raise Failure(BoundTwice(span=name.span, related=related, name=name.name))
    node = _node(statement.value, scope, "a metric")
    if node.type.shape:
        found_shape = show_shape(node.type.shape)
        raise Failure(MetricShape(span=statement.value.span, found=found_shape))
    found.metrics.append(Named(name.name, lift(node), name.span))


def _totals(found: Collected) -> dict[str, int]:
    """Multiply-adds of one sample's products, and bytes of all parameters and states."""
    session = found.scope.session
    roots = [*(output.node for output in found.outputs), *found.losses]
    stored = (*session.parameters.values(), *session.states.values())
    elements = sum(prod(value.shape) for value in stored)
    return {
        "macs": sum(products(node) for node in toposort(roots)),
        "memory": elements * (4 if session.precision == "f32" else 8),
    }


def _check_groups(session: Session) -> None:
    """A group in a binding must hold what the whole net would put into it."""
    for use in session.groups:
        count = sum(
            fnmatchcase(name, use.pattern) and len(stored.shape) >= use.least_rank
            for name, stored in session.parameters.items()
        )
        if count != use.count:
            session.reports.append(
                GroupEarly(span=use.span, before=str(use.count), after=str(count))
            )


def bound_by(statement: tree.Statement) -> tuple[tree.Ident, ...]:
    """The value names that a statement binds."""
    match statement:
        case tree.Binding() | tree.Const() | tree.Param() | tree.State() | tree.Port():
            return (statement.name,)
        case tree.Output(value=value) if value is not None:
            return (statement.name,)
        case _:
            return ()
