"""`netc gradcheck`: a line for each gradient, and where a wrong one comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from netc.checking.gradcheck import SINGLE, TOLERANCE
from netc.checking.gradcheck import gradcheck as checked
from netc.checking.locate import Inside
from netc.cli.console import print_json
from netc.cli.trained import model_for, one_batch, read_run

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.checking.gradcheck import Checked
    from netc.checking.locate import Passed, Rule
    from netc.grammar.source import Span
    from netc.model import Model

LEAST_WIDTH: Final = 130


def gradcheck(options: Namespace) -> int:
    """Prints a line for each parameter; exit status 1 if a gradient or a clause is wrong."""
    run = read_run(options.weights)
    model = model_for(options, run, seed=options.seed, resume=False)
    arrays = one_batch(options, model, run)
    found = checked(model, arrays)
    width = None if sys.stdout.isatty() else LEAST_WIDTH
    console = Console(width=width, no_color=not sys.stdout.isatty(), highlight=False)
    console.print(table(model, found, options))
    inside = Inside(model, arrays)
    clauses = inside.clauses()
    exact = all(one.passed for one in found)
    good = exact and all(rule.wrong is None for rule in clauses)
    values = [] if exact else inside.values()
    rules = clauses if exact else (inside.operations() or clauses)
    for line in [*_verdicts(found, values), *_clauses(rules)]:
        console.print(escape(line), soft_wrap=True)
    if options.json:
        print_json(data(model, found, values, rules, passed=good))
    return 0 if good else 1


def table(model: Model, found: list[Checked], options: Namespace) -> Table:
    """One line for each parameter: what was tried, and the worst of it."""
    origin = "random samples" if options.data is None else f"samples of {options.data}"
    title = f"net {model.name}: gradients in training mode on {options.batch:,} {origin}"
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    result.add_column("parameter", no_wrap=True)
    result.add_column("shape", no_wrap=True)
    for heading in ("tried", "at", "gradient", "difference", "error", "f32 error"):
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("")
    for one in found:
        shape = escape(str(list(one.shape)))
        result.add_row(one.name, shape, *_cells(one), "ok" if one.passed else "WRONG")
    return result


def _cells(one: Checked) -> tuple[str, ...]:
    at = "a direction" if one.at is None else escape(str(list(one.at)))
    single = "" if one.single is None else f"{one.single:.1e}"
    numbers = (f"{one.gradient:.6g}", f"{one.difference:.6g}", f"{one.error:.1e}", single)
    return (f"{one.tried:,}", at, *numbers)


def _verdicts(found: list[Checked], values: list[Passed]) -> list[str]:
    """What is right and wrong, and up to which value."""
    wrong = [one for one in found if not one.passed]
    kinks = sum(one.kinks for one in found)
    lines = []
    if kinks:
        lines.append(f"{kinks:,} directions are at a kink: the gradient there is one of several")
    if not wrong:
        single = f", f32 within {SINGLE:g}" if any(one.single is not None for one in found) else ""
        lines.append(f"all {len(found)} gradients are right: f64 within {TOLERANCE:g}{single}")
        return lines
    lines.append(f"{len(wrong)} of {len(found)} gradients are wrong")
    bad = [i for i, one in enumerate(values) if not one.passed]
    if bad:
        last = values[bad[-1]]
        after = values[bad[-1] + 1 :]
        if after:
            lines.append(f"{_place(after[0].span)}that of `{after[0].name}` is still right")
        lines.append(f"{_place(last.span)}that of `{last.name}` is wrong")
    elif values:
        lines.append("the gradient of every value on the way is right")
    if all(one.error <= TOLERANCE for one in wrong):
        lines.append("f64 is right: what is wrong is f32; `netc compare` finds where it differs")
    return lines


def _clauses(rules: list[Rule]) -> list[str]:
    """Each function with a clause once, and each rule that is wrong."""
    lines: dict[str, str] = {}
    for rule in rules:
        wrong = rule.wrong
        clause = rule.use is not None
        what = f"the gradient clause of `{rule.name}`" if clause else f"the rule of `{rule.name}`"
        if wrong is None:
            lines.setdefault(what, f"{_place(rule.span)}{what} agrees with differences of its body")
        elif "wrong" not in lines.get(what, ""):
            argument = f"argument {wrong.operand + 1}"
            lines[what] = (
                f"{_place(rule.span)}{what} is wrong for {argument}, element {list(wrong.at)} = "
                f"{wrong.value:.6g}: it gives {wrong.rule:.6g}, differences {wrong.difference:.6g}"
                f"{_source(rule.span)}"
            )
    return list(lines.values())


def _place(span: Span | None) -> str:
    return "" if span is None else f"{span.source.name}:{span.line}: "


def _source(span: Span | None) -> str:
    return "" if span is None else f"\n  {span.line} | {span.source.line(span.line)}"


def data(
    model: Model, found: list[Checked], values: list[Passed], rules: list[Rule], *, passed: bool
) -> dict[str, object]:
    """The same as plain data."""
    return {
        "net": model.name,
        "passed": passed,
        "parameters": [
            {
                "name": one.name,
                "shape": list(one.shape),
                "tried": one.tried,
                "error": one.error,
                "at": None if one.at is None else list(one.at),
                "gradient": one.gradient,
                "difference": one.difference,
                "single": one.single,
                "kinks": one.kinks,
                "passed": one.passed,
            }
            for one in found
        ],
        "values": [
            {"name": v.name, "line": v.span.line, "error": v.error, "passed": v.passed}
            for v in values
        ],
        "rules": [
            {"name": rule.name, "line": rule.span and rule.span.line, "passed": rule.wrong is None}
            for rule in rules
        ],
    }
