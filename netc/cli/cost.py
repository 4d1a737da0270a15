"""`netc check --cost`: the cost of every line, and memory over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from netc.cost import Cost, LineCost

WIDTH: Final = 130
BAR: Final = 40
LONGEST: Final = 40
"""Characters of a line of the text."""


def tables(found: Cost) -> tuple[Table, Table]:
    """The cost of each line, then the bytes alive along the schedule."""
    return _lines(found), _memory(found)


def _lines(found: Cost) -> Table:
    title = (
        f"{found.net}: {found.function} of {found.samples:,} samples, not run\nmeasured now: "
        f"one core reaches {found.peak / 1e9:.0f} GFLOP/s and copies {found.bandwidth / 1e9:.0f} "
        f"GB/s over as much memory\nbelow {found.peak / found.bandwidth:.1f} FLOP a byte, traffic "
        f"is the limit"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("line", justify="right")
    table.add_column("text", no_wrap=True, max_width=LONGEST)
    table.add_column("with", overflow="fold", max_width=16)
    for heading in ("kernels", "MACs", "bytes", "FLOP/byte", "bound µs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("limit", no_wrap=True)
    for line in found.lines:
        table.add_row(*_cells(line))
    table.add_section()
    table.add_row(*_cells(found.total))
    return table


def _cells(line: LineCost) -> tuple[str, ...]:
    return (
        line.line,
        line.text or ("" if line.line else "made by the compiler"),
        ", ".join(line.fused),
        str(line.kernels),
        _short(line.macs),
        _short(line.bytes),
        f"{line.intensity:.3g}",
        f"{line.bound * 1e6:.3g}",
        line.limit,
    )


def _short(number: int) -> str:
    """Three digits and a power of a thousand: 12.4 M."""
    size = float(number)
    for unit in ("", " k", " M"):
        if size < 999.5:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:,.3g} G"


def _memory(found: Cost) -> Table:
    peak = found.total.live
    title = f"memory over time: at most {peak:,} bytes alive, {found.arena:,} as placed"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("from kernel")
    for heading in ("kernels", "line", "bytes alive"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for moment in found.moments:
        bar = "█" * round(BAR * moment.live / peak) if peak else ""
        cells = (moment.kernel, str(moment.kernels), moment.line, f"{moment.live:,}", bar)
        table.add_row(*cells)
    return table


def data(found: Cost) -> dict[str, object]:
    """The same as plain data; seconds and bytes of one run."""
    return {
        "net": found.net,
        "function": found.function,
        "samples": found.samples,
        "peak": found.peak,
        "bandwidth": found.bandwidth,
        "arena": found.arena,
        "alive": found.total.live,
        "total": _line_data(found.total),
        "lines": [_line_data(line) for line in found.lines],
        "memory": [
            {"kernel": m.kernel, "kernels": m.kernels, "line": m.line, "alive": m.live}
            for m in found.moments
        ],
    }


def _line_data(line: LineCost) -> dict[str, object]:
    return {
        "line": line.line,
        "with": list(line.fused),
        "kernels": line.kernels,
        "macs": line.macs,
        "bytes": line.bytes,
        "intensity": line.intensity,
        "arithmetic": line.arithmetic,
        "traffic": line.traffic,
        "bound": line.bound,
        "limit": line.limit,
        "alive": line.live,
    }
