"""The plots of a run: ratios as bars, ratios by batch size, time and memory as nets grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks import targets
from benchmarks.server import FIT
from benchmarks.tables import ratio, sweep_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.results import Results
    from benchmarks.running import NetResult

COLOURS: Final = ("#2f6f9f", "#d08a2e", "#3f8f5f", "#a64d79", "#7a6fb0", "#8c6d4f", "#4f8c8c")
STYLE: Final = {
    "svg.hashsalt": "netc",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
}
PLAIN: Final = FuncFormatter(lambda value, _: f"{value:g}")


def draw(results: Results, folder: Path) -> None:
    """Writes every plot that the results have numbers for."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        if results.nets:
            _save(_bars(results), folder / "ratios.svg")
        for threads in sorted({r.threads for r in results.sweep}):
            chosen = [r for r in results.sweep if r.threads == threads]
            _save(_sweep(chosen), folder / f"sweep-{threads}.svg")
        if any(name.startswith("chain") for name in results.compile):
            _save(_growth(results.compile), folder / "growth.svg")


def _plain(axis: Any) -> None:
    """A logarithmic axis with numbers at 1, 2 and 5 of every decade."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(PLAIN)
    axis.set_minor_formatter(NullFormatter())


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _bars(results: Results) -> Any:
    """Ratios to the fastest peer for training steps and for one sample, with the targets."""
    threads = sorted({r.threads for r in results.nets})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(3, 2))
    names = list(dict.fromkeys(r.net for r in results.nets))
    width = 0.8 / max(len(threads), 1)
    for number, count in enumerate(threads):
        of = {r.net: r for r in results.nets if r.threads == count}
        shift = (number - (len(threads) - 1) / 2) * width
        places = [n + shift for n in range(len(names))]
        label = "1 thread" if count == 1 else f"{count} threads"
        heights = [(ratio(of[n].step, FIT) or 1) - 1 for n in names]
        left.bar(places, heights, width * 0.92, bottom=1, label=label, color=COLOURS[number])
        wanted = targets.TRAINING.get(count, {})
        marks = [(p, wanted[n]) for p, n in zip(places, names, strict=True) if n in wanted]
        left.scatter(*zip(*marks, strict=True), marker="_", s=220 * width, color="black", zorder=3)
        if count == 1:
            heights = [(ratio(of[n].infer_one) or 1) - 1 for n in names]
            right.bar(range(len(names)), heights, 0.6, bottom=1, color=COLOURS[0])
            marks = [(n, targets.INFERENCE[name]) for n, name in enumerate(names)]
            right.scatter(*zip(*marks, strict=True), marker="_", s=220, color="black", zorder=3)
    for axes, title in ((left, "training step in fit"), (right, "one sample, 1 thread")):
        axes.set_yscale("log")
        _plain(axes.yaxis)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_title(title, loc="left", fontsize=10)
    left.set_ylabel("times faster than the fastest peer")
    left.legend(frameon=False)
    figure.text(0.99, 0.0, "short lines: targets", ha="right", fontsize=8)
    figure.tight_layout()
    return figure


def _sweep(results: Sequence[NetResult]) -> Any:
    """Ratios by batch size, one line for each net."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True)
    titles = {"step": "step from Python", "fit": "step in fit", "infer": "inference"}
    for axes, (what, title) in zip(panels, titles.items(), strict=True):
        for number, name in enumerate(dict.fromkeys(r.net for r in results)):
            points = [(r.batch, sweep_ratio(r, what)) for r in results if r.net == name]
            known = [(batch, found) for batch, found in points if found is not None]
            if known:
                axes.plot(
                    *zip(*known, strict=True),
                    marker="o",
                    markersize=3,
                    linewidth=1.2,
                    label=name,
                    color=COLOURS[number % len(COLOURS)],
                )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(PLAIN)
        _plain(axes.yaxis)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("batch")
    panels[0].set_ylabel("times faster than the fastest peer")
    panels[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    return figure


def _growth(found: Mapping[str, Mapping[str, float]]) -> Any:
    """Seconds of each stage against the number of equal layers."""
    chains = {
        int(name.rpartition(" ")[2]): stages
        for name, stages in found.items()
        if name.startswith("chain of ") and "cached" not in name
    }
    layers = sorted(chains)
    figure, axes = plt.subplots(figsize=(5.2, 3.6))
    largest = chains[layers[-1]]
    stages = [s for s in largest if not s.startswith("import")]
    shown = sorted(stages, key=lambda s: -largest[s])[: len(COLOURS)]
    for number, stage in enumerate(shown):
        times = [chains[n].get(stage, 0) for n in layers]
        thick = 2.2 if stage == "total" else 1.2
        axes.plot(layers, times, marker="o", markersize=3, linewidth=thick, label=stage,
                  color="black" if stage == "total" else COLOURS[number])  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain(axes.xaxis)
    _plain(axes.yaxis)
    axes.set_xlabel("equal layers")
    axes.set_ylabel("seconds to the end of the first step")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    return figure
