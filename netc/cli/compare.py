"""`netc compare`: native code beside the interpreter, and the first value that differs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from netc.checking.compare import compare as compared
from netc.checking.culprit import culprit
from netc.cli.console import print_json
from netc.cli.trained import model_for, one_batch, read_run

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.checking.compare import Compared
    from netc.checking.culprit import Culprit
    from netc.model import Model

LEAST_WIDTH: Final = 170


def compare(options: Namespace) -> int:
    """Prints a line for each value; exit status 1 if one differs."""
    run = read_run(options.weights)
    model = model_for(options, run, seed=options.seed, resume=True)
    found = compared(model, one_batch(options, model, run))
    width = None if sys.stdout.isatty() else LEAST_WIDTH
    console = Console(width=width, no_color=not sys.stdout.isatty(), highlight=False)
    console.print(table(model, [one for one, _ in found], options))
    first = next(((one, of) for one, of in found if not one.passed), None)
    cause = None if first is None else culprit(*first)
    if first is None or cause is None:
        console.print(f"all {len(found)} values agree")
    else:
        console.print(escape("\n".join(verdict(first[0], cause))), soft_wrap=True)
    if options.json:
        first_ = None if first is None else first[0]
        print_json(data(model, [one for one, _ in found], first_, cause))
    return 0 if first is None else 1


def table(model: Model, found: list[Compared], options: Namespace) -> Table:
    """One line for each value, in the order of computing."""
    origin = "random samples" if options.data is None else f"samples of {options.data}"
    title = f"net {model.name} in {model.manifest.precision} on {options.batch:,} {origin}"
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("function", "", "name", "line", "shape"):
        result.add_column(heading, no_wrap=True, justify="right" if heading == "line" else "left")
    for heading in ("difference", "tolerance", "at", "native", "interpreter"):
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("")
    for one in found:
        line = "" if one.span is None else str(one.span.line)
        shape, at = (escape(str(list(part))) for part in (one.shape, one.at))
        numbers = (f"{one.difference:.1e}", f"{one.tolerance:.1e}", at if one.at else "")
        both = (f"{one.native:.6g}", f"{one.reference:.6g}")
        mark = "ok" if one.passed else "DIFFERS"
        result.add_row(one.function, one.kind, one.name, line, shape, *numbers, *both, mark)
    return result


def verdict(one: Compared, cause: Culprit) -> list[str]:
    """The first value that differs, and what makes it differ."""
    place = "" if one.span is None else f"{one.span.source.name}:{one.span.line}: "
    at = f", element {list(one.at)}" if one.at else ""
    what = f"{one.kind} `{one.name}`" if one.kind != "value" else f"`{one.name}`"
    lines = [
        f"{place}{what} of {one.function} is the first to differ{at}: native {one.native:.9g}, "
        f"interpreter {one.reference:.9g}"
    ]
    if one.span is not None:
        lines.append(f"  {one.span.line} | {one.span.source.line(one.span.line)}")
    if cause.step is None:
        lines.append("every pass keeps it: a kernel or its machine code is wrong")
    else:
        change = f"{cause.before:.9g} becomes {cause.after:.9g}"
        lines.append(f"the pass `{cause.step}` changes it: {change}")
    return lines


def data(
    model: Model, found: list[Compared], first: Compared | None, cause: Culprit | None
) -> dict[str, object]:
    """The same as plain data."""
    return {
        "net": model.name,
        "passed": first is None,
        "first": None if first is None else plain(first),
        "pass": None if cause is None else cause.step,
        "values": [plain(one) for one in found],
    }


def plain(one: Compared) -> dict[str, object]:
    """One line of the table."""
    return {
        "function": one.function,
        "kind": one.kind,
        "name": one.name,
        "line": None if one.span is None else one.span.line,
        "shape": list(one.shape),
        "difference": one.difference,
        "tolerance": one.tolerance,
        "at": list(one.at),
        "native": one.native,
        "interpreter": one.reference,
        "passed": one.passed,
    }
