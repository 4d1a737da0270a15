"""Results as tables: plain rows first, then for the terminal or as Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import geometric_mean
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.compiling import Seconds
    from benchmarks.measure import Timing
    from benchmarks.running import NetResult

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first `left` columns are words, the others numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def rich(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(self.header):
            table.add_column(name, justify="left" if number < self.left else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        marks = ["---"] * self.left + ["---:"] * (len(self.header) - self.left)
        lines = [self.header, marks, *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def updated(text: str, tables: Sequence[Table]) -> str:
    """A Markdown text with each table that has the columns of a new one replaced; others added."""
    for table in tables:
        new = table.markdown() + "\n"
        head = "\n".join(new.splitlines()[:2])
        old = re.compile(rf"^{re.escape(head)}\n(\|.*\n)*", re.MULTILINE)
        if old.search(text):
            text = old.sub(lambda _, new=new: new, text)
        else:
            text += f"\n{table.title}:\n\n{new}"
    return text


def training(results: Sequence[NetResult], peers: Sequence[str], peak: float) -> Table:
    """Steps from Python and in `fit`, µs, beside the peers; ratios to the fastest of them."""
    rows = []
    for r in results:
        own, fit = r.step["netc"], r.step["netc fit"]
        rows.append(
            [
                r.net,
                str(r.batch),
                microseconds(r.flops / peak),
                shown(own),
                shown(fit),
                f"{r.flops / peak / fit.median:.0%}",
                *(shown(r.step[p]) for p in peers),
                *ratios(r.step, peers, ("netc", "netc fit")),
            ]
        )
    rows += _means([r.step for r in results], peers, ("netc", "netc fit"), before=6 + len(peers))
    header = ("net", "batch", "floor", "step", "fit", "floor / fit", *peers, "/ step", "/ fit")
    return Table("training step, µs", header, rows)


def inference(results: Sequence[NetResult], peers: Sequence[str]) -> Table:
    """`forward` of one sample and of a training batch, µs, beside the peers."""
    rows = []
    for r in results:
        row = [r.net]
        for batch, kind in ((1, r.infer_one), (r.batch, r.infer_batch)):
            row += [str(batch), shown(kind["netc"]), *(shown(kind[p]) for p in peers)]
            row += ratios(kind, peers)
        rows.append(row)
    half = ("batch", "netc", *peers, "ratio")
    return Table("inference from Python, µs", ("net", *half, *half), rows)


def by_batch(results: Sequence[NetResult], peers: Sequence[str]) -> Table:
    """How many times faster netc is at every batch size: steps, steps in `fit`, inference."""
    batches = sorted({r.batch for r in results})
    rows = []
    for name in dict.fromkeys(r.net for r in results):
        of = {r.batch: r for r in results if r.net == name}
        found = [
            (*ratios(of[b].step, peers, ("netc", "netc fit")), *ratios(of[b].infer_batch, peers))
            for b in batches
        ]
        for what, line in zip(("step", "fit", "infer"), zip(*found, strict=True), strict=True):
            rows.append([name, what, *line])
    return Table("ratio by batch size", ("net", "what", *map(str, batches)), rows, left=2)


def compiling(found: dict[str, Seconds]) -> Table:
    """Compile time by stage, ms."""
    names = list(next(iter(found.values())))
    rows = [[n, *(f"{1e3 * seconds[n]:.1f}" for seconds in found.values())] for n in names]
    return Table("compile time of `step`, cold, ms", ("stage", *found), rows)


def ratios(
    kind: dict[str, Timing], peers: Sequence[str], own: Sequence[str] = ("netc",)
) -> list[str]:
    """How many times faster netc is than the fastest peer."""
    if not peers:
        return [NOTHING] * len(own)
    return [f"{_best(kind, peers) / kind[name].median:.2f}" for name in own]


def _best(kind: dict[str, Timing], peers: Sequence[str]) -> float:
    return min(kind[p].median for p in peers)


def _means(
    kinds: Sequence[dict[str, Timing]], peers: Sequence[str], own: Sequence[str], before: int
) -> list[list[str]]:
    """A last row with the geometric means of the ratios."""
    if not peers:
        return []
    found = [geometric_mean(_best(k, peers) / k[name].median for k in kinds) for name in own]
    return [["geometric mean", *[""] * (before - 1), *(f"{f:.2f}" for f in found)]]


def shown(timing: Timing) -> str:
    """Median, and the spread that half of the samples have around it."""
    return f"{microseconds(timing.median)} ±{timing.spread / 2:.0%}"


def microseconds(seconds: float) -> str:
    found = seconds * 1e6
    return f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def stretched(results: Sequence[NetResult]) -> float:
    """Wall-clock time over processor time at its worst: how much else the machine was doing."""
    timings = [t for r in results for kind in (r.step, r.infer_one) for t in kind.values()]
    return max((t.wall / t.median for t in timings), default=1.0)


def gigaflops(flops: int, seconds: float, peak: float) -> list[str]:
    """Speed, and its part of the peak."""
    if not flops:
        return ["", ""]
    return [f"{flops / seconds / 1e9:.0f}", f"{flops / seconds / peak:.0%}"]
