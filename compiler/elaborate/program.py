"""Elaboration as a whole: a file's tree becomes a checked `Model`, or a list of diagnostics.

Invariant: the net is elaborated twice, in training and in inference mode, with equal names; all
independent mistakes are reported at once, in text order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate.calls import apply
from netc.compiler.elaborate.checks import check_file, unknown_calls
from netc.compiler.elaborate.expressions import evaluate
from netc.compiler.elaborate.imports import linked
from netc.compiler.elaborate.model import Model
from netc.compiler.elaborate.names import constant_value, hint
from netc.compiler.elaborate.net import elaborate_net
from netc.compiler.elaborate.net_mistakes import AssignedInInference, NoNet, UnknownConstant
from netc.compiler.elaborate.scope import Path, Poisoned, Scope, Session
from netc.compiler.elaborate.shape_mistakes import ShapeConflict
from netc.compiler.elaborate.train import Training, elaborate_train, freeze, updates_of
from netc.compiler.elaborate.values import show_shape
from netc.compiler.elaborate.walk import nested
from netc.grammar import tree
from netc.grammar.diagnostics import CompileError, Failure
from netc.grammar.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netc.compiler.elaborate.imports import Linked
    from netc.compiler.elaborate.model import Stored, Update
    from netc.compiler.elaborate.modules import FileModule
    from netc.compiler.elaborate.net import Collected
    from netc.compiler.ir.types import Precision
    from netc.grammar.diagnostics import Diagnostic
    from netc.grammar.folder import Library
    from netc.grammar.source import Source


def elaborate(
    file: tree.File,
    *,
    precision: Precision = "f32",
    defines: Mapping[str, int | float | bool | str] | None = None,
    library: Library | None = None,
) -> Model:
    """The checked model of a file with one net; `defines` replace the values of its constants.

    Imports are read from `library`; without one the file may have none.

    Raises:
        CompileError: the text breaks a rule of the language; it holds every independent mistake.
    """
    program, reports = linked(file, library, defines or {})
    texts, module = program.texts(), program.main.module
    net = _static(program, reports)
    broken = frozenset(_broken(program, net, reports))
    training, inference = (
        Session(frozenset(texts), precision, mode, evaluate, apply, broken=broken)
        for mode in (True, False)
    )
    inference.constants = training.constants
    for unit in program.units:
        _check_constants(unit.module, training)
    modes = elaborate_net(net, module, training), elaborate_net(net, module, inference)
    _merge_parameters(training, inference)
    training.reports += _never_assigned(training, inference)
    rules, parameters, updates = _trained(file, module, modes[0])
    reports += [*training.reports, *inference.reports]
    if reports:
        raise CompileError(tuple(_ordered(reports, texts)))
    return Model(
        name=net.name.name,
        source=file.source,
        imports=program.imported,
        place="" if library is None else library.main,
        precision=precision,
        inputs=tuple(port for role, port in modes[0].ports if role == "input"),
        targets=tuple(port for role, port in modes[0].ports if role == "target"),
        parameters=parameters,
        states=tuple({**inference.states, **training.states}.values()),
        training=modes[0].values(),
        inference=modes[1].values(),
        updates=updates,
        scalars=tuple(rules.scalars),
        settings=rules.settings,
        layers=tuple(inference.rows.values()),
        origins={**inference.origins, **training.origins},
        doc=net.doc,
    )


def _static(program: Linked, reports: list[Diagnostic]) -> tree.Net:
    """The file's net; reports what can be found before evaluating anything."""
    file, module = program.main.tree, program.main.module
    for unit in program.units:
        reports += check_file(unit.tree)
    net = next((item for item in file.items if isinstance(item, tree.Net)), None)
    if net is None:
        start = Span(file.source, 0, min(1, len(file.source.text)))
        reports.append(NoNet(span=start))
        raise CompileError(tuple(_ordered(reports, program.texts())))
    reports += _unknown_defines(net, module)
    for unit in program.units:
        reports += unknown_calls(unit.module, unit.tree)
    return net


def _merge_parameters(training: Session, inference: Session) -> None:
    """One list of parameters: a name has one shape in both modes."""
    for name, stored in inference.parameters.items():
        other = training.parameters.setdefault(name, stored)
        if other.shape != stored.shape:
            old, new = show_shape(other.shape), show_shape(stored.shape)
            conflict = ShapeConflict(span=stored.span, name=name, old=old, new=new)
            training.reports.append(conflict)


def _never_assigned(training: Session, inference: Session) -> Iterator[Diagnostic]:
    """States with a next value in inference, where it does nothing, and none in training."""
    for name, span in inference.assigned.items():
        if name not in training.assigned and not training.reports:
            yield AssignedInInference(span=span, name=name)


def _trained(
    file: tree.File, module: FileModule, net: Collected
) -> tuple[Training, tuple[Stored, ...], tuple[Update, ...]]:
    """The train block, the parameters with those frozen marked, and their updates."""
    session = net.scope.session
    train = next((item for item in file.items if isinstance(item, tree.Train)), None)
    stored = tuple(session.parameters.values())
    if train is None:
        return Training(), stored, ()
    rules = elaborate_train(train, module, session, [metric.name for metric in net.metrics])
    if session.reports:
        return rules, stored, ()
    stored = freeze(stored, rules, session)
    return rules, stored, updates_of(stored, rules, session)


def _unknown_defines(net: tree.Net, module: FileModule) -> Iterator[Diagnostic]:
    for name in module.overrides:
        if name not in module.values:
            advice = hint(name, module.values)
            yield UnknownConstant(span=net.name.span, name=name, hint=advice)


def _broken(
    program: Linked, net: tree.Net, reports: Iterable[Diagnostic]
) -> Iterator[tree.Definition | tree.Instance]:
    """Definitions and instances with a mistake: what uses them is not reported again."""
    places = [report.span for report in reports]
    items = [item for unit in program.units for item in unit.tree.items]
    for item in (*items, *nested(net.body)):
        if isinstance(item, tree.Definition | tree.Instance) and any(
            place in item.span for place in places
        ):
            yield item


def _check_constants(module: FileModule, session: Session) -> None:
    """Evaluate every constant, used or not; a broken one poisons what needs it."""
    for name, constant in module.values.items():
        scope = Scope(session, module, "const", Path(name), owner=name)
        try:
            constant_value(constant, module, scope)
        except Failure as failure:
            session.reports.append(failure.diagnostic)
        except Poisoned:
            pass


def _ordered(reports: Iterable[Diagnostic], texts: tuple[Source, ...]) -> list[Diagnostic]:
    """Each mistake once, file by file in text order: both modes find the same ones."""
    unique = {(report.slug, report.span): report for report in reversed(list(reports))}
    place = {source: i for i, source in enumerate(texts)}

    def order(report: Diagnostic) -> tuple[int, int, int]:
        span = report.span
        return place.get(span.source, len(place)), span.start, span.end

    return sorted(unique.values(), key=order)
