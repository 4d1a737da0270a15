"""`python -m benchmarks`: times netc and its peers on this machine and prints what it found."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import compiling, peers, report, running
from benchmarks.ceiling import ceiling
from benchmarks.nets import FOLDER, NETS
from netc.compiler.backend.target import host_target

EXAMPLES: Final = Path(__file__).parent.parent / "examples"
COMPILED: Final = {"digits": EXAMPLES / "digits.net", "mlp_m": FOLDER / "mlp_m.net"}
CHAINS: Final = (10, 100, 300)
SMOKE_NETS: Final = "xor,mlp_s"
LIBRARIES: Final = ("numpy", "llvmlite", "lark", "torch")
BATCHES: Final = "1,2,4,8,16,32,64,128,256,512"


def main() -> None:
    options = _options()
    names = [name for name in _words(options.peers) if peers.available(name)]
    missing = [name for name in _words(options.peers) if name not in names]
    console = Console(width=max(Console().width, 120))
    console.print(*(f"{key} {value}" for key, value in machine().items()), sep=", ")
    if missing:
        console.print(f"not installed, skipped: {', '.join(missing)}")
    peak = ceiling(options.seconds / 4)
    console.print(f"peak of multiply-adds on one core: {peak / 1e9:.0f} GFLOP/s")

    found = [
        running.measure(net, int(batch), names, options.seconds)
        for net in (NETS[name] for name in _words(options.nets))
        for batch in _words(options.batches or str(net.batch))
    ]
    compiled = _compiled(options) if options.compile else {}
    console.print(f"wall-clock time up to {report.stretched(found):.2f} times processor time")
    tables = []
    if options.batches:
        tables.append(report.by_batch(found, names))
    elif found:
        tables += [report.training(found, names, peak), report.inference(found, names)]
    if compiled:
        tables.append(report.compiling(compiled))
    for table in tables:
        console.print(table.rich())

    results: dict[str, Any] = {"machine": machine(), "peak": peak, "missing peers": missing}
    results |= {"nets": [asdict(one) for one in found], "compile": compiled}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        before = options.markdown.read_text(encoding="utf-8") if options.markdown.exists() else ""
        options.markdown.write_text(report.updated(before, tables), encoding="utf-8")


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    target = host_target()
    found = {
        "cores": str(os.cpu_count()),
        "target": target.name,
        "python": platform.python_version(),
    }
    for library in LIBRARIES:
        if peers.available(library):
            found[library] = version(library)
    return found


def _compiled(options: argparse.Namespace) -> dict[str, compiling.Seconds]:
    found = {name: compiling.cold(file, options.repeats) for name, file in COMPILED.items()}
    for layers in CHAINS[:1] if options.smoke else CHAINS:
        found[f"chain of {layers}"] = compiling.cold(FOLDER / "chain.net", 1, layers=layers)
    return found


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--nets", default=",".join(NETS), help="which, with commas (default: %(default)s)")
    add("--batches", help=f"batch sizes instead of each net's own, such as {BATCHES}")
    add(
        "--peers",
        default=",".join(peers.PEERS[:2]),
        help=f"of {', '.join(peers.PEERS)} (default: %(default)s)",
    )
    add("--seconds", type=float, default=4.0, help="for each training step (default: %(default)s)")
    add("--repeats", type=int, default=3, help="fresh processes for compile times")
    add("--no-compile", dest="compile", action="store_false", help="leave compile times out")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--markdown", type=Path, metavar="FILE", help="write or replace the tables there")
    add("--smoke", action="store_true", help="only see that everything runs, without peers")
    options = parser.parse_args()
    if options.smoke:
        options.nets, options.peers, options.seconds, options.repeats = SMOKE_NETS, "", 0.2, 1
    unknown = set(_words(options.nets)) - NETS.keys()
    unknown |= set(_words(options.peers)) - set(peers.PEERS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
