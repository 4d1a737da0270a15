"""The table of a net's layers, as text, on a terminal and as data."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from netc.compiler.elaborate.model import Model


def summary_table(model: Model) -> Table:
    """Layer, output shape of a sample, parameters, multiply-adds and bytes of a sample."""
    from rich.table import Table  # noqa: PLC0415 - only where a table is drawn

    table = Table(title=f"net {model.name}", title_justify="left")
    table.add_column("layer")
    table.add_column("output")
    for heading in ("parameters", "MACs", "activation bytes"):
        table.add_column(heading, justify="right")
    for row in model.layers:
        cells = (row.parameters, row.macs, _bytes(model, row.shape))
        shape = f"[{', '.join(map(str, row.shape))}]"
        table.add_row(row.name, shape, *(f"{n:,}" for n in cells))
    data = summary_data(model)
    totals = (data["parameters"], data["macs"], data["activation_bytes"])
    table.add_section()
    table.add_row("total", "", *(f"{n:,}" for n in totals))
    return table


def summary_text(model: Model, width: int = 100) -> str:
    """The table as plain text."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(summary_table(model))
    return capture.get()


def summary_data(model: Model) -> dict[str, object]:
    """The same as plain data. The totals count every parameter, those of no layer included."""
    return {
        "net": model.name,
        "parameters": sum(prod(p.shape) for p in model.parameters),
        "macs": sum(row.macs for row in model.layers),
        "activation_bytes": sum(_bytes(model, row.shape) for row in model.layers),
        "layers": [
            {
                "name": row.name,
                "layer": row.layer,
                "shape": list(row.shape),
                "parameters": row.parameters,
                "macs": row.macs,
                "activation_bytes": _bytes(model, row.shape),
            }
            for row in model.layers
        ],
    }


def _bytes(model: Model, shape: tuple[int, ...]) -> int:
    return prod(shape) * (4 if model.precision == "f32" else 8)
