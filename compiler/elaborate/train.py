"""The train block: settings, optimizers by group, frozen parameters.

Invariant: settings are compile-time values with the language's defaults; optimizer arguments are
graph over run-time scalars.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NoReturn

from netc.compiler.elaborate.arguments import Given
from netc.compiler.elaborate.blocks import condition
from netc.compiler.elaborate.model import RunScalar
from netc.compiler.elaborate.names import describe, find, hint
from netc.compiler.elaborate.net_mistakes import (
    BadSetting,
    GroupedSetting,
    GroupEmpty,
    NoOptimizer,
    NotAnOptimizer,
    NothingToTrain,
    SetTwice,
    UnknownSetting,
)
from netc.compiler.elaborate.optimizer import Rule, apply_rule, bind_rule
from netc.compiler.elaborate.scope import Path, Poisoned, Scope
from netc.compiler.elaborate.values import Closure, is_known, is_number, show
from netc.compiler.program import Settings
from netc.grammar import tree
from netc.grammar.diagnostics import Failure, Related

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netc.compiler.elaborate.model import Stored, Update
    from netc.compiler.elaborate.scope import Module, Session
    from netc.compiler.elaborate.values import Value
    from netc.grammar.source import Span


_LARGEST: Final = 2**63 - 1


def _whole(least: int) -> Callable[[Value], int | None]:
    def read(value: Value) -> int | None:
        if not is_number(value) or not least <= value <= _LARGEST or value != int(value):
            return None
        return int(value)

    return read


def _positive(value: Value) -> float | None:
    return float(value) if is_number(value) and value > 0 else None


def _not_negative(value: Value) -> float | None:
    return float(value) if is_number(value) and value >= 0 else None


def _fraction(value: Value) -> float | None:
    return float(value) if is_number(value) and 0 <= value < 1 else None


def _truth(value: Value) -> bool | None:
    return value if isinstance(value, bool) else None


def _shuffle(value: Value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value == "with_replacement" and isinstance(value, str) else None


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


SETTINGS: Final[dict[str, tuple[str, Callable[[Value], Any]]]] = {
    "batch": ("a whole number of at least 1", _whole(1)),
    "epochs": ("a whole number of at least 1", _whole(1)),
    "max_steps": ("a whole number of at least 1", _whole(1)),
    "shuffle": ('true, false or "with_replacement"', _shuffle),
    "seed": ("a whole number from 0 to 2^63 - 1", _whole(0)),
    "clip_norm": ("a positive number", _positive),
    "clip_value": ("a positive number", _positive),
    "validation": ("a fraction from 0 to below 1", _fraction),
    "monitor": ('the name of a metric, or "loss"', _text),
    "patience": ("a whole number of at least 1", _whole(1)),
    "min_delta": ("a number of at least 0", _not_negative),
    "restore_best": ("true or false", _truth),
    "stop_change": ("a number of at least 0", _not_negative),
}
"""For each setting what it takes, and a reader that gives None for anything else."""


@dataclass(slots=True)
class Training:
    """What a train block says, once elaborated."""

    settings: Settings = field(default_factory=Settings)
    rules: list[Rule] = field(default_factory=list)
    frozen: list[tree.String] = field(default_factory=list)
    scalars: list[RunScalar] = field(default_factory=list)
    groups: dict[str, Span] = field(default_factory=dict)
    """Where each pattern of an optimizer stands."""


def elaborate_train(
    train: tree.Train, module: Module, session: Session, metrics: Iterable[str]
) -> Training:
    """Settings and optimizer rules; mistakes go to `session.reports`."""
    found = Training()
    scope = Scope(session, module, "train", Path("train"), owner="train")
    seen: dict[tuple[str, str | None], tree.Setting] = {}
    for entry in train.entries:
        try:
            if isinstance(entry, tree.Freeze):
                found.frozen.append(entry.group)
            else:
                _once(entry, seen)
                _setting(entry, found, scope)
        except Failure as failure:
            session.reports.append(failure.diagnostic)
        except Poisoned:
            pass
    _check_monitor(found, seen, session, metrics)
    for name in ("clip_norm", "clip_value"):
        value = getattr(found.settings, name)
        if value is not None:
            found.scalars.append(RunScalar(name, value))
    return found


def _once(entry: tree.Setting, seen: dict[tuple[str, str | None], tree.Setting]) -> None:
    key = (entry.name.name, None if entry.group is None else entry.group.value)
    if key in seen:
        related = (Related(seen[key].name.span, "the first one"),)
        raise Failure(SetTwice(span=entry.name.span, related=related, name=entry.name.name))
    seen[key] = entry


def _setting(entry: tree.Setting, found: Training, scope: Scope) -> None:
    name = entry.name.name
    if name == "optimizer":
        pattern = None
        if entry.group is not None:
            pattern = entry.group.value
            found.groups[pattern] = entry.group.span
        taken = sum(scalar.name.startswith("train.") for scalar in found.scalars)
        rule = _rule(entry.value, pattern, scope, taken)
        found.rules.append(rule)
        found.scalars.extend(rule.scalars)
        return
    if name not in SETTINGS:
        advice = hint(name, [*SETTINGS, "optimizer", "freeze"])
        raise Failure(UnknownSetting(span=entry.name.span, name=name, hint=advice))
    if entry.group is not None:
        raise Failure(GroupedSetting(span=entry.group.span, name=name))
    expected, read = SETTINGS[name]
    value = scope.evaluate(entry.value)
    result = read(value)
    if result is None:
        shown = show(value) if is_known(value) else "a value known only at run time"
        raise Failure(BadSetting(span=entry.value.span, name=name, expected=expected, found=shown))
    found.settings = replace(found.settings, **{name: result})


def _check_monitor(
    found: Training,
    seen: dict[tuple[str, str | None], tree.Setting],
    session: Session,
    metrics: Iterable[str],
) -> None:
    monitor = found.settings.monitor
    if monitor is None:
        return
    names = ["loss", "objective", *metrics]
    name = monitor.removeprefix("-").removeprefix("validation.").removeprefix("training.")
    if name not in names:
        span = seen["monitor", None].value.span
        expected = " or ".join(f'"{name}"' for name in names)
        advice = hint(name, names)
        report = BadSetting(
            span=span, name="monitor", expected=expected, found=f'"{monitor}"', hint=advice
        )
        session.reports.append(report)


def _rule(expression: tree.Expr, pattern: str | None, scope: Scope, taken: int) -> Rule:
    """`adam(lr = 1e-3)`, a bare `adam`, or a compile-time choice of such."""
    match expression:
        case tree.Call():
            callee, arguments = expression.callee, expression.arguments
        case tree.Name():
            callee, arguments = tree.Ident(expression.span, expression.name), ()
        case tree.If():
            chosen = condition(expression.condition, scope)
            inner = expression.then if chosen else expression.otherwise
            return _rule(inner, pattern, scope, taken)
        case _:
            _not_optimizer(expression, f"`{expression.span.text}`", scope, "")
    closure = find(callee.name, callee.span, scope)
    if not isinstance(closure, Closure) or closure.definition.kind != "optimizer":
        found = f"{describe(closure)} `{callee.name}`"
        _not_optimizer(expression, found, scope, callee.name)
    if closure.definition in scope.session.broken:
        raise Poisoned
    given = Given(callee.name, expression.span, None, arguments)
    return bind_rule(pattern, closure, given, scope, taken)


def _not_optimizer(expression: tree.Expr, found: str, scope: Scope, name: str) -> NoReturn:
    advice = hint(name, scope.module.names()) if name else ""
    raise Failure(NotAnOptimizer(span=expression.span, found=found, hint=advice))


def freeze(parameters: Iterable[Stored], found: Training, session: Session) -> tuple[Stored, ...]:
    """The parameters, those that a `freeze` matches marked as frozen."""
    stored = tuple(parameters)
    for pattern in found.frozen:
        if not any(fnmatchcase(p.name, pattern.value) for p in stored):
            session.reports.append(_empty(pattern.value, pattern.span, stored))
        stored = tuple(
            replace(p, frozen=p.frozen or fnmatchcase(p.name, pattern.value)) for p in stored
        )
    return stored


def _empty(pattern: str, span: Span, stored: Iterable[Stored]) -> GroupEmpty:
    names = ", ".join(p.name for p in stored) or "none"
    return GroupEmpty(span=span, pattern=pattern, known=names)


def updates_of(
    parameters: Iterable[Stored], found: Training, session: Session
) -> tuple[Update, ...]:
    """One update for each parameter that is not frozen; groups win over the default."""
    stored = [p for p in parameters if not p.frozen]
    if not found.rules:
        return ()
    for rule in found.rules:
        if rule.pattern is not None and not any(fnmatchcase(p.name, rule.pattern) for p in stored):
            session.reports.append(_empty(rule.pattern, found.groups[rule.pattern], stored))
    if not stored:
        session.reports.append(NothingToTrain(span=found.rules[0].given.span))
    result: list[Update] = []
    for parameter in stored:
        chosen = _chosen(parameter.name, found.rules)
        try:
            if chosen is None:
                span = found.rules[-1].given.span
                raise Failure(NoOptimizer(span=span, name=parameter.name))
            result.append(apply_rule(chosen, parameter))
        except Failure as failure:
            session.reports.append(failure.diagnostic)
            break
        except Poisoned:
            break
    return tuple(result)


def _chosen(name: str, rules: Iterable[Rule]) -> Rule | None:
    """The last group that matches, else the default."""
    chosen: Rule | None = None
    for rule in sorted(rules, key=lambda rule: rule.pattern is not None):
        if rule.pattern is None or fnmatchcase(name, rule.pattern):
            chosen = rule
    return chosen
