"""`netc probe`: statistics of the values and gradients inside a net, as a table and a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table

from netc.cli.console import note, print_json
from netc.cli.trained import data_for, model_for, read_run, table_use
from netc.procedures.probe import probe as measured
from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.model import Model
    from netc.procedures.probe import Observation, Statistics

LEAST_WIDTH: Final = 130


def probe(options: Namespace) -> int:
    """Prints a line for each value on the way."""
    path = None if options.plot is None else Path(options.plot)
    if path is not None:
        _need_plots(path)
    run = read_run(options.weights)
    model = model_for(options, run, seed=options.seed, resume=False)
    arrays = data_for(options.data, options, model, table_use(run)).train()
    arrays = {name: array[: options.samples] for name, array in arrays.items()}
    training, batch = not options.inference, options.batch or options.samples
    found = measured(model, arrays, training=training, batch=batch)
    samples = len(next(iter(arrays.values())))
    width = None if sys.stdout.isatty() else LEAST_WIDTH
    console = Console(width=width, no_color=not sys.stdout.isatty())
    console.print(table(model, found, samples, training=training))
    if path is not None:
        from netc.cli.histograms import draw  # noqa: PLC0415 - needs matplotlib

        draw(found, path)
        note(f"wrote {path}")
    if options.json:
        mode = "training" if training else "inference"
        values = [data(one) for one in found]
        print_json({"net": model.name, "samples": samples, "mode": mode, "values": values})
    return 0


def _need_plots(path: Path) -> None:
    """Raises the UsageError of a picture that cannot be drawn."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase  # noqa: PLC0415 - not needed
    except ImportError:
        raise UsageError("--plot needs matplotlib", "pip install matplotlib") from None
    known = sorted(FigureCanvasBase.filetypes)
    if path.suffix.lower().removeprefix(".") not in known:
        raise UsageError(f"--plot {path}: pictures are written as {', '.join(known)}")


def table(model: Model, found: list[Observation], samples: int, *, training: bool) -> Table:
    """One line for each value: its own numbers, then those of its gradient."""
    mode = "training" if training else "inference"
    title = f"net {model.name} in {mode} mode on {samples:,} samples"
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    result.add_column("value", no_wrap=True)
    result.add_column("shape", no_wrap=True)
    for heading in ("mean", "std", "least", "most", "dead", "saturated"):
        result.add_column(heading, justify="right")
    graded = any(one.gradient is not None for one in found)
    for heading in ("gradient mean", "gradient std") if graded else ():
        result.add_column(heading, justify="right")
    for one in found:
        shape = f"[{', '.join(map(str, one.shape))}]"
        result.add_row(one.name, shape, *_cells(one.value), *_slopes(one.gradient))
    bad = [s for one in found for s in (one.value, one.gradient) if s is not None and s.unbounded]
    if bad:
        result.caption = f"{sum(s.unbounded for s in bad):,} numbers are infinite or NaN"
    return result


def _cells(s: Statistics) -> tuple[str, ...]:
    numbers = tuple(f"{v:.3g}" for v in (s.mean, s.std, s.least, s.most))
    return (*numbers, f"{s.dead:,}/{s.units:,}", f"{s.saturated:.1%}")


def _slopes(s: Statistics | None) -> tuple[str, ...]:
    return () if s is None else (f"{s.mean:.3g}", f"{s.std:.3g}")


def data(one: Observation) -> dict[str, object]:
    """The same as plain data."""
    return {
        "name": one.name,
        "shape": list(one.shape),
        "value": _numbers(one.value),
        "gradient": None if one.gradient is None else _numbers(one.gradient),
    }


def _numbers(s: Statistics) -> dict[str, object]:
    return {
        "mean": s.mean,
        "std": s.std,
        "least": s.least,
        "most": s.most,
        "units": s.units,
        "dead": s.dead,
        "saturated": s.saturated,
        "unbounded": s.unbounded,
    }
