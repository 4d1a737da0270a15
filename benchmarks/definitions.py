"""Definitions of one's own beside those of the prelude: `python -m benchmarks.definitions`.

The two nets compute the same: three steps from the same weights must give the same objectives and
the same probabilities. A second copy of the net from the prelude shows how far equal programs lie
apart.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

import netc
from benchmarks.measure import calls, interleaved
from benchmarks.nets import FOLDER, random_data
from benchmarks.report import Table, microseconds
from benchmarks.running import CHECKED_STEPS, agree

if TYPE_CHECKING:
    from benchmarks.measure import Timing

PRELUDE: Final = "prelude"
AGAIN: Final = "prelude again"
OWN: Final = "own definitions"
FILES: Final = {
    PRELUDE: FOLDER / "own_layer_prelude.net",
    AGAIN: FOLDER / "own_layer_prelude.net",
    OWN: Path(__file__).parent.parent / "examples" / "own_layer.net",
}
BATCH: Final = 100
LOSS_TOLERANCE: Final = 1e-5
OUTPUT_TOLERANCE: Final = 1e-4
"""Relative to the largest: two orders of summation in f32, after two and after three updates."""


def models() -> dict[str, netc.Model]:
    """The nets, all with the weights of the first. Raises DisagreementError."""
    found = {name: netc.compile(file) for name, file in FILES.items()}
    for model in found.values():
        model.params.flat = found[PRELUDE].params.flat
    x, y = random_data(found[PRELUDE].manifest, BATCH).values()
    results = {
        name: ([model.step(x, y) for _ in range(CHECKED_STEPS)], model.forward(x))
        for name, model in found.items()
    }
    for name, (losses, outputs) in results.items():
        agree(f"losses of {name}", losses, results[PRELUDE][0], LOSS_TOLERANCE)
        agree(f"outputs of {name}", outputs, results[PRELUDE][1], OUTPUT_TOLERANCE)
    return found


def measure(seconds: float) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Training steps and inference of a batch, interleaved; `seconds` for each of the two."""
    nets = models()
    x, y = random_data(nets[PRELUDE].manifest, BATCH).values()
    steps = {name: calls(model.step, x, y) for name, model in nets.items()}
    forward = {name: calls(model.forward, x) for name, model in nets.items()}
    return interleaved(steps, seconds), interleaved(forward, seconds)


def table(step: dict[str, Timing], forward: dict[str, Timing]) -> Table:
    """Times, and ratios to the prelude."""
    rows = [
        (
            name,
            microseconds(step[name].median),
            f"{step[name].median / step[PRELUDE].median:.3f}",
            microseconds(forward[name].median),
            f"{forward[name].median / forward[PRELUDE].median:.3f}",
        )
        for name in FILES
    ]
    head = ("net", "step, µs", "step, ratio", "forward, µs", "forward, ratio")
    return Table("definitions", f"Own definitions, batch of {BATCH}", head, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.definitions", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    Console(width=100).print(table(*measure(parser.parse_args().seconds)).rich())
