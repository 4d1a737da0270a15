"""The picture of `netc probe`: a histogram of each value and one of its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from netc.procedures.probe import Observation, Statistics

VALUE: Final = "#1f5fa8"
SLOPE: Final = "#d9772b"
ROW: Final = 1.3
"""Inches."""


def draw(found: list[Observation], path: Path) -> None:
    """Writes the picture in the format that its name ends in."""
    figure = Figure(figsize=(8, ROW * len(found) + 0.6), layout="constrained")
    rows = figure.subplots(len(found), 2, squeeze=False)
    for one, (left, right) in zip(found, rows, strict=True):
        _histogram(left, one.value, VALUE)
        left.set_ylabel(one.name, rotation=0, ha="right", va="center", fontsize=8)
        if one.gradient is None:
            right.set_axis_off()
        else:
            _histogram(right, one.gradient, SLOPE)
    rows[0, 0].set_title("values", fontsize=9)
    rows[0, 1].set_title("gradients", fontsize=9)
    figure.savefig(path)


def _histogram(axes: Axes, s: Statistics, color: str) -> None:
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    if s.histogram.any():
        axes.stairs(
            s.histogram, np.linspace(*_range(s), len(s.histogram) + 1), fill=True, color=color
        )


def _range(s: Statistics) -> tuple[float, float]:
    """From the least to the most, or a little around one number, as the counts were made."""
    return (s.least, s.most) if s.least < s.most else (s.least - 0.5, s.most + 0.5)
