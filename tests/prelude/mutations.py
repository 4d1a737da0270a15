"""`python -m tests.prelude.mutations [NAME …]`: would a wrong definition be noticed?

Every number and operator of every definition is changed, one at a time, and the checks of values
are run by the interpreter until one fails. What none notices is printed. A change may survive
because it changes nothing: `rate + kappa` of a state that is 0, a bound that no value meets.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.elaborate import modules
from netc.grammar.diagnostics import CompileError
from netc.grammar.parser import parse
from netc.grammar.source import Source
from tests.prelude.compiled import CLOCK
from tests.prelude.drawing import initialisers
from tests.prelude.harness import definitions, model, net
from tests.prelude.reference import TABLES
from tests.prelude.references.optimizers import OPTIMIZERS, trajectory
from tests.prelude.subjects import subjects
from tests.prelude.test_optimizers import START, slopes
from tests.prelude.test_optimizers import run as steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netc.grammar.tree import Definition
    from tests.prelude.checks import Subject

    Check = Callable[[], object]

OTHER: Final = {
    **{"+": "-", "-": "+", "*": "/", "/": "*", "^": "*", "@": "*"},
    **{"<": ">", ">": "<", "<=": ">", ">=": "<", "==": "!=", "!=": "=="},
    **{"min": "max", "max": "min", "true": "false", "false": "true"},
}
_TOKEN: Final = re.compile(
    r'(?P<skip>"[^"]*"|\[[^\]]*\]|->|<-|\|>|\.\.)'
    r"|(?P<number>(?<![\w.])\d[\d_]*(?:\.\d+)?(?:e-?\d+)?)"
    r"|(?P<word>\b(?:min|max|true|false)\b)|(?P<operator><=|>=|==|!=|[-+*/^@<>])"
)


@dataclass(frozen=True)
class Mutation:
    """One definition with one change, shown as `old → new` at its line."""

    name: str
    change: str
    line: int
    place: str
    text: str


def mutations(definition: Definition) -> Iterator[Mutation]:
    """Every change of one number or operator that is still a text of the language."""
    text = definition.span.text
    for token in _TOKEN.finditer(text):
        if token["skip"]:
            continue
        old = token[0]
        before = text[: token.start()].rstrip()
        for new in _changes(
            old, unary=bool(re.search(r"[(=,*/+<>-]$|\b(?:then|else|return)$", before))
        ):
            changed = text[: token.start()] + new + text[token.end() :]
            line = definition.span.line + text.count("\n", 0, token.start())
            try:
                parse(Source("mutation.net", changed))
            except CompileError:
                continue
            place = definition.span.source.line(line).strip()
            yield Mutation(
                definition.name.name, f"{old} → {new or 'nothing'}", line, place, changed
            )


def _changes(old: str, *, unary: bool) -> tuple[str, ...]:
    if old in OTHER:
        return ("",) if unary and old == "-" else (OTHER[old],)
    value = float(old.replace("_", ""))
    return (repr(value * 1.01) if (value and "." in old) or "e" in old else str(int(value) + 1),)


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The prelude with the changed definition in the place of the true one."""
    original = modules._item
    (item,) = parse(Source("mutation.net", mutation.text)).items
    modules._item = lambda name: item if name == mutation.name else original(name)
    model.cache_clear()
    try:
        yield
    finally:
        modules._item = original
        model.cache_clear()


def noticed(mutation: Mutation, checks: list[Check]) -> bool:
    """Whether one of the checks fails, or the text no longer compiles."""
    with mutated(mutation), np.errstate(all="ignore"):
        for check in checks:
            try:
                check()
            except Exception:
                return True
    return False


@cache
def checks_of(name: str) -> list[Check]:
    """The checks of values of one definition, the quick ones first."""
    found: list[Check] = [
        lambda s=s: interpreted(s) for s in _subjects() if s.name == name and s.reference
    ]
    found += [d.moments for d in initialisers() if d.name == name]
    if name in OPTIMIZERS:
        found.append(lambda: _optimizer(name))
    return [*found, *_whole(name)]


@cache
def _subjects() -> list[Subject]:
    return list(subjects())


def _whole(name: str) -> Iterator[Check]:
    """The plain tests that speak of a definition, with their parameters."""
    for test, function in _tests():
        marks = [m for m in getattr(function, "pytestmark", ()) if m.name == "parametrize"]
        if not test.startswith("test_") or len(marks) > 1:
            continue
        if not marks and _speaks(inspect.getsource(function), name):
            yield function
        for row in marks[0].args[1] if marks else ():
            if _speaks(str(row), name):
                single = isinstance(marks[0].args[0], str)
                yield partial(function, *([row] if single else row))


@cache
def _tests() -> list[tuple[str, Callable[..., None]]]:
    """The test functions of this folder, those of native code and of completeness left out."""
    names = {p.stem for p in Path(__file__).parent.glob("test_*.py")}
    names -= {"test_generated", "test_native", "test_complete"}
    found = [importlib.import_module(f"tests.prelude.{name}") for name in sorted(names)]
    return [item for module in found for item in inspect.getmembers(module, inspect.isfunction)]


def _speaks(text: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def interpreted(subject: Subject) -> None:
    """The check of values, by the interpreter."""
    at = subject.draw(18, np.random.default_rng(5))
    step, epoch, n, epochs = CLOCK
    clock = {"epoch": epoch, "steps": n, "epochs": epochs}
    unit = net(subject.text, step=int(step), clock=clock, seed=3)
    inputs = {k: v for k, v in at.items() if k not in unit.parameters}
    unit = replace(unit, parameters={k: at[k] for k in unit.parameters})
    assert subject.reference is not None
    for name, expected in subject.reference(at).items():
        found = unit.penalty() if name == "objective" else unit.output(name, **inputs)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def _optimizer(name: str) -> None:
    found, expected = steps(name, slopes()), trajectory(name, START, slopes())
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-12, atol=1e-15)


def main(names: list[str]) -> int:
    """Prints what survives; the number of definitions with no noticed change."""
    total = survived = 0
    untested: list[str] = []
    for room in TABLES:
        for definition in definitions(room):
            name = definition.name.name
            if names and name not in names:
                continue
            tried = list(mutations(definition))
            left = [m for m in tried if not noticed(m, checks_of(name))]
            for m in left:
                print(f"{room}.net:{m.line}: {name} survives {m.change} in `{m.place}`")
            if tried and len(left) == len(tried):
                untested.append(name)
            total, survived = total + len(tried), survived + len(left)
    print(f"changes: {total}, noticed: {total - survived}, survived: {survived}")
    print(f"definitions whose every change survived: {', '.join(untested) or 'none'}")
    return len(untested)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
