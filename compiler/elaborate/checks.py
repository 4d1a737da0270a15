"""What can be checked without evaluating anything: items, names, recursion, statements, returns.

Invariant: every item of a file is checked, used or not; each check reports and goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate.custom import clause_mistakes
from netc.compiler.elaborate.name_mistakes import (
    AfterReturn,
    DefinedTwice,
    Misplaced,
    MissingReturn,
    NumberedLayer,
    PrimitiveRedefined,
    Recursion,
    UnknownCallable,
)
from netc.compiler.elaborate.names import every_callable, hint, unresolved
from netc.compiler.elaborate.net_mistakes import (
    NoUpdate,
    ReservedArgument,
    SeveralNets,
    SeveralTrains,
)
from netc.compiler.elaborate.primitives import PRIMITIVES
from netc.compiler.elaborate.walk import callees, calls, nested, own_callables
from netc.grammar import tree
from netc.grammar.diagnostics import Related
from netc.grammar.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netc.compiler.elaborate.scope import Module
    from netc.grammar.diagnostics import Diagnostic

_SHARED: Final = (tree.Binding, tree.Const, tree.IfBlock, tree.Assert)
_STORES: Final = (tree.Param, tree.State, tree.Assign, tree.Instance)
_PORTS: Final = (tree.Port, tree.Output, tree.Loss, tree.Penalty, tree.Metric)
_NAMED: Final = (tree.Binding, tree.Const, tree.Param, tree.State, tree.Port, tree.Instance)
ALLOWED: Final[dict[str, tuple[type, ...]]] = {
    "net": (*_SHARED, *_STORES, *_PORTS),
    "layer": (*_SHARED, *_STORES, tree.Return),
    "fn": (*_SHARED, tree.Return),
    "init": (*_SHARED, tree.Return),
    "optimizer": (*_SHARED, tree.State, tree.Assign),
}
GIVEN: Final = frozenset(("w", "g", "step", "epoch", "steps", "epochs", "batch_size", "objective"))
"""Names with a meaning inside an optimizer."""

_WORDS: Final[dict[type, str]] = {
    tree.Param: "`param`",
    tree.State: "`state`",
    tree.Assign: "`<-`",
    tree.Instance: "a layer instance",
    tree.Port: "an input or target",
    tree.Output: "`output`",
    tree.Loss: "`loss`",
    tree.Penalty: "`penalty`",
    tree.Metric: "`metric`",
    tree.Return: "`return`",
}


def check_file(file: tree.File) -> Iterator[Diagnostic]:
    """Every mistake of a file that needs no evaluation."""
    yield from _items(file)
    definitions = {d.name.name: d for d in file.items if isinstance(d, tree.Definition)}
    for item in file.items:
        match item:
            case tree.Definition():
                yield from _definition(item)
            case tree.Net():
                yield from _statements(item.body, "net")
                instances = [s for s in nested(item.body) if isinstance(s, tree.Instance)]
                yield from _recursion({instance.name.name: instance for instance in instances})
            case _:
                pass
    yield from _recursion(definitions)


def unknown_calls(module: Module, file: tree.File) -> Iterator[Diagnostic]:
    """Calls in definitions and instances, used or not, of what exists nowhere."""
    for item in file.items:
        if isinstance(item, tree.Definition):
            own, called = own_callables(item), calls(item)
        elif isinstance(item, tree.Net):
            instances = [part for part in nested(item.body) if isinstance(part, tree.Instance)]
            own = {s.name.name for s in nested(item.body) if isinstance(s, _NAMED)}
            called = (ident for instance in instances for ident in calls(instance))
        else:
            continue
        for ident in called:
            if ident.name not in own and unresolved(ident.name, module):
                advice = hint(ident.name, [*own, *every_callable(module)])
                yield UnknownCallable(span=ident.span, name=ident.name, hint=advice)


def _items(file: tree.File) -> Iterator[Diagnostic]:
    seen: dict[str, tree.Ident] = {}
    nets = [item for item in file.items if isinstance(item, tree.Net)]
    trains = [item for item in file.items if isinstance(item, tree.Train)]
    for net in nets[1:]:
        first = Related(nets[0].name.span, "the first one")
        yield SeveralNets(span=net.name.span, related=(first,))
    for train in trains[1:]:
        first = Related(_keyword(trains[0]), "the first one")
        yield SeveralTrains(span=_keyword(train), related=(first,))
    for item in file.items:
        if not isinstance(item, tree.Definition | tree.Const):
            continue
        name = item.name
        if name.name in seen:
            earlier = Related(seen[name.name].span, "defined here first")
            yield DefinedTwice(span=name.span, related=(earlier,), name=name.name)
        seen.setdefault(name.name, name)


def _keyword(train: tree.Train) -> Span:
    """The word `train` alone: the block is long."""
    return Span(train.span.source, train.span.start, train.span.start + len("train"))


def _definition(item: tree.Definition) -> Iterator[Diagnostic]:
    name = item.name.name
    if name in PRIMITIVES:
        yield PrimitiveRedefined(span=item.name.span, name=name)
    stem, _, digits = name.rpartition("_")
    if item.kind == "layer" and stem and digits.isdecimal():
        yield NumberedLayer(span=item.name.span, suffix=f"_{digits}")
    seen: dict[str, tree.Ident] = {}
    for parameter in item.parameters:
        ident = parameter.name
        if ident.name in seen:
            earlier = Related(seen[ident.name].span, "the first one")
            yield DefinedTwice(span=ident.span, related=(earlier,), name=ident.name)
        seen[ident.name] = ident
        if item.kind == "optimizer" and ident.name in GIVEN:
            yield ReservedArgument(span=ident.span, name=ident.name)
    yield from _statements(item.body, item.kind)
    yield from clause_mistakes(item)
    if item.kind == "optimizer":
        if not any(isinstance(s, tree.Assign) and s.name.name == "w" for s in nested(item.body)):
            yield NoUpdate(span=item.name.span, name=name)
    else:
        yield from _returns(item)


def _statements(body: Sequence[tree.Statement], kind: str) -> Iterator[Diagnostic]:
    for statement in nested(body):
        if isinstance(statement, ALLOWED[kind]):
            continue
        advice = ""
        if kind == "fn" and isinstance(statement, tree.Param | tree.State | tree.Instance):
            advice = "an fn owns no parameters: make it a layer"
        place = "an optimizer" if kind == "optimizer" else f"a {kind}".replace("a init", "an init")
        place = place.replace("a fn", "an fn")
        word = _WORDS[type(statement)]
        yield Misplaced(span=statement.span, statement=word, place=place, hint=advice)


def _returns(item: tree.Definition) -> Iterator[Diagnostic]:
    """Every path ends in exactly one `return`, its last statement."""
    reports: list[Diagnostic] = []

    def ends(body: Sequence[tree.Statement]) -> bool:
        ended = False
        for statement in body:
            if ended:
                reports.append(AfterReturn(span=statement.span))
                break
            match statement:
                case tree.Return():
                    ended = True
                case tree.IfBlock():
                    sides = [ends(statement.then), ends(statement.otherwise)]
                    ended = all(sides)
                case _:
                    pass
        return ended

    if not ends(item.body):
        reports.append(MissingReturn(span=item.name.span, name=item.name.name))
    yield from reports


def _recursion(
    definitions: Mapping[str, tree.Definition | tree.Instance],
) -> Iterator[Diagnostic]:
    """Each circle of definitions once, at the first name of the circle in the text."""
    edges = {name: callees(item) & definitions.keys() for name, item in definitions.items()}
    done: set[str] = set()
    for name, item in definitions.items():
        circle = _circle(name, edges)
        if circle is not None and not done & set(circle):
            done |= set(circle)
            through = " → ".join(f"`{n}`" for n in circle)
            yield Recursion(span=item.name.span, name=name, cycle=through)


def _circle(start: str, edges: dict[str, set[str]]) -> list[str] | None:
    """A shortest way from `start` back to itself."""
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:
        for following in sorted(edges[path[-1]]):
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return None
