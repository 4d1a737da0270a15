"""`netc profile`: where the time of a function goes, kernel by kernel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table

from netc.cli.console import print_json
from netc.compiling import library_of, program_of, read_source
from netc.profile import profile as measured
from netc.settings import options_of

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.profile import KernelTime, Profile

LEAST_WIDTH: Final = 130
LEAST_WORDS: Final = 34


def profile(options: Namespace) -> int:
    """Runs a function for a while and prints the time of each kernel."""
    source = read_source(options.file)
    library = library_of(options.file, options.root)
    program = program_of(source, dict(options.defines), options.precision or "f32", library)
    found = measured(
        program,
        options.function,
        options.batch or options_of(program.settings).batch,
        threads=options.threads or 1,
        seconds=options.seconds,
    )
    kernels = list(found.kernels)
    if options.order == "time":
        kernels.sort(key=lambda kernel: -kernel.seconds)
    width = None if sys.stdout.isatty() else LEAST_WIDTH
    Console(width=width, no_color=not sys.stdout.isatty()).print(table(found, kernels))
    if options.json:
        print_json(data(found, kernels))
    return 0


WAYS: Final = {"infer_one": "one after the other", "infer_group": "in groups"}
"""How functions go through their samples that do not go by blocks of all lanes."""


def table(found: Profile, kernels: list[KernelTime]) -> Table:
    """The kernels in the given order, what is in none of them, and the total."""
    blocks = WAYS.get(found.function, f"{found.lanes} at a time")
    title = (
        f"{found.net}: {found.function} of {found.samples:,} samples, {blocks}, "
        f"{_micro(found.seconds)} µs; threads: {found.threads}; {found.runs:,} runs\n"
        f"one core reaches {found.peak / 1e9:.0f} GFLOP/s and copies "
        f"{found.bandwidth / 1e9:.0f} GB/s over as much memory"
    )
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    result.add_column("kernel")
    result.add_column("what", overflow="fold", min_width=LEAST_WORDS)
    result.add_column("tile")
    result.add_column("lines", overflow="fold")
    for heading in ("calls", "µs", "share", "GFLOP/s", "GB/s", "roofline"):
        result.add_column(heading, justify="right")
    total = found.seconds * found.threads
    for kernel in kernels:
        result.add_row(*_cells(found, kernel, total))
    result.add_section()
    result.add_row("rest", "", "", "", "", _micro(found.rest), _share(found.rest, total))
    operations = sum(kernel.description.operations for kernel in kernels)
    speed = _giga(operations / total)
    part = f"{operations / found.peak / total:.0%}"
    result.add_row("total", "", "", "", "", _micro(total), "100%", speed, "", part)
    return result


def _cells(found: Profile, kernel: KernelTime, total: float) -> tuple[str, ...]:
    what = kernel.description
    return (
        what.symbol,
        what.what,
        what.form,
        ", ".join(what.lines),
        f"{kernel.calls:g}",
        _micro(kernel.seconds),
        _share(kernel.seconds, total),
        _giga(kernel.speed),
        _giga(kernel.traffic),
        f"{found.roofline(kernel):.0%}",
    )


def data(found: Profile, kernels: list[KernelTime]) -> dict[str, object]:
    """The same as plain data; seconds, operations and bytes of one run."""
    return {
        "net": found.net,
        "function": found.function,
        "samples": found.samples,
        "threads": found.threads,
        "lanes": found.lanes,
        "runs": found.runs,
        "seconds": found.seconds,
        "rest": found.rest,
        "peak": found.peak,
        "bandwidth": found.bandwidth,
        "kernels": [
            {
                "kernel": kernel.description.symbol,
                "what": kernel.description.what,
                "tile": kernel.description.form,
                "lines": list(kernel.description.lines),
                "calls": kernel.calls,
                "seconds": kernel.seconds,
                "operations": kernel.description.operations,
                "bytes": kernel.description.bytes,
                "roofline": found.roofline(kernel),
            }
            for kernel in kernels
        ],
    }


def _micro(seconds: float) -> str:
    found = seconds * 1e6
    return f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def _share(seconds: float, total: float) -> str:
    return f"{seconds / total:.0%}"


def _giga(rate: float) -> str:
    return f"{rate / 1e9:.3g}" if rate else ""
