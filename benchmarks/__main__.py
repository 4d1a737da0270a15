"""`python -m benchmarks`: times netc and its peers on this machine and prints what it found."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from benchmarks import compiling, memory, mnist, peers, report, running, starting, tables
from benchmarks.ceiling import ceiling
from benchmarks.fleet import fleet
from benchmarks.nets import FOLDER, NETS
from benchmarks.results import Results
from benchmarks.server import OWN
from netc.compiler.backend.target import host_target

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPILED: Final = ("mlp_m", "lenet", "vgg_bn")
CHAINS: Final = (10, 100, 1000)
SMOKE_NETS: Final = "xor,mlp_s,lenet"
LIBRARIES: Final = ("numpy", "llvmlite", "lark", "torch", "jax", "scikit-learn", "onnxruntime")
MODULES: Final = {"scikit-learn": "sklearn"}
BATCHES: Final = "1,2,3,4,8,16,32,64,128,256,512"
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
PLOTS: Final = PAGE.parent / "performance"
SHARES: Final = (1, 0.4, 0.4)
"""Seconds for inference of one sample and of a batch, to those for training steps."""

SLOW: Final = ("torch-compile", "sklearn")
"""Slow to start, or to run: not in the sweep."""

SWEEP_SECONDS: Final = (0.3, 0, 0.3)
"""Of training steps, of one sample and of a batch, at each point of the sweep."""


def main() -> None:
    options = _options()
    console = Console(width=max(Console().width, 160))
    results = _read(options.read) if options.read else _measured(options, console)
    for table in tables.tables(results):
        console.print(table.rich())
    if options.json:
        text = json.dumps(results.data(), indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.markdown:
        before = options.markdown.read_text(encoding="utf-8")
        parts = {table.key: table.markdown() for table in tables.tables(results)}
        parts["machine"] = _sentence(results)
        options.markdown.write_text(report.updated(before, parts), encoding="utf-8")
    if options.plots:
        from benchmarks import plots  # noqa: PLC0415 - needs matplotlib

        plots.draw(results, options.plots)


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    found = {
        "cores": str(os.cpu_count()),
        "target": host_target().name,
        "python": platform.python_version(),
    }
    for library in LIBRARIES:
        if find_spec(MODULES.get(library, library)) is not None:
            found[library] = version(library)
    return found


def _measured(options: argparse.Namespace, console: Console) -> Results:
    """Everything that the options ask for."""
    names = [name for name in _words(options.peers) if peers.available(name)]
    missing = [name for name in _words(options.peers) if name not in names]
    console.print(*(f"{key} {value}" for key, value in machine().items()), sep=", ")
    if missing:
        console.print(f"not installed, skipped: {', '.join(missing)}")
    threads = [int(n) for n in _words(options.threads)]
    one = ceiling(options.seconds / 4)
    peak = {str(n): one * n for n in threads}
    console.print(f"peak of multiply-adds on one core: {one / 1e9:.0f} GFLOP/s")
    parts = [_nets(options, names, count, console) for count in threads]
    found, sweep = ([one for part in parts for one in part[n]] for n in (0, 1))
    chosen = [NETS[name] for name in _words(options.nets)]
    return Results(
        machine=machine(),
        peak=peak,
        missing=missing,
        nets=found,
        calls=_calls(options),
        sweep=sweep,
        compile=_compiled(options) if options.compile else {},
        starts=starting.starts(names, NETS["lenet"]) if options.compile else {},
        memory=[memory.memory(net, net.batch) for net in chosen],
        mnist=_epochs(options, names, threads) if options.mnist else [],
    )


def _epochs(
    options: argparse.Namespace, names: Sequence[str], threads: Sequence[int]
) -> list[mnist.Epochs]:
    ways = [way for way in mnist.WAYS if way == OWN or way in names]
    return mnist.measure(options.mnist, ways, threads, mnist.DEFAULT_EPOCHS)


def _nets(
    options: argparse.Namespace, names: Sequence[str], threads: int, console: Console
) -> tuple[list[running.NetResult], list[running.NetResult]]:
    """Every net at its own batch, after the check that all agree; then at all batch sizes."""
    found, sweep = [], []
    seconds = [share * options.seconds for share in SHARES]
    sizes = [int(size) for size in _words(options.batches)] if options.sweep else []
    with fleet(names, threads) as workers:
        for net in (NETS[name] for name in _words(options.nets)):
            console.print(f"{net.name}, threads: {threads}", style="dim")
            running.check(net, net.batch, workers)
            found.append(running.measure(net, net.batch, threads, workers, seconds))
            sweep += [
                running.measure(net, size, threads, workers, SWEEP_SECONDS, SLOW) for size in sizes
            ]
    return found, sweep


def _calls(options: argparse.Namespace) -> dict[str, float]:
    """What a call from Python takes beyond the native function."""
    with fleet((), 1) as workers:
        return {name: running.beyond(NETS[name], workers) for name in _words(options.nets)}


def _compiled(options: argparse.Namespace) -> dict[str, compiling.Seconds]:
    chosen = COMPILED[:1] if options.smoke else COMPILED
    found = {name: compiling.cold(FOLDER / f"{name}.net", options.repeats) for name in chosen}
    for layers in CHAINS[:1] if options.smoke else CHAINS:
        found[f"chain of {layers}"] = compiling.cold(FOLDER / "chain.net", 1, layers=layers)
    return found


def _sentence(results: Results) -> str:
    """What the numbers of a page depend on, for its readers."""
    known = ", ".join(f"{key} {value}" for key, value in results.machine.items())
    peak = results.peak["1"] / 1e9 if "1" in results.peak else 0
    return f"Measured with {known}; multiply-adds reach {peak:.0f} GFLOP/s on one core."


def _read(path: Path) -> Results:
    return Results.read(json.loads(path.read_text(encoding="utf-8")))


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--nets", default=",".join(NETS), help="which, with commas (default: %(default)s)")
    add("--peers", default=",".join(peers.WAYS), help="which (default: %(default)s)")
    add("--threads", default="1,2", help="how many (default: %(default)s)")
    add("--seconds", type=float, default=3.0, help="for each training step (default: %(default)s)")
    add("--sweep", action="store_true", help="every net at many batch sizes as well")
    add("--batches", default=BATCHES, help="those sizes (default: %(default)s)")
    add("--repeats", type=int, default=3, help="fresh processes for compile times")
    add("--no-compile", dest="compile", action="store_false", help="leave compile times out")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--markdown", type=Path, metavar="FILE", help="replace the tables of this file")
    add("--plots", type=Path, metavar="FOLDER", help="draw plots there (needs matplotlib)")
    add("--read", type=Path, metavar="FILE", help="take the numbers of such a JSON file instead")
    add("--all", action="store_true", help="everything, into docs/performance.md and its plots")
    add("--mnist", type=Path, metavar="FOLDER", help="epochs on the MNIST files there as well")
    add("--smoke", action="store_true", help="only see that everything runs, without peers")
    options = parser.parse_args()
    if options.all:
        options.sweep, options.markdown, options.plots = True, PAGE, PLOTS
    if options.smoke:
        options.nets, options.peers, options.threads = SMOKE_NETS, "", "1"
        options.seconds, options.repeats = 0.2, 1
    unknown = set(_words(options.nets)) - NETS.keys()
    unknown |= set(_words(options.peers)) - peers.WAYS.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
