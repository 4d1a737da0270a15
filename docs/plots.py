"""Draws the curves of the reference as small SVG files, the same bytes each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from docs.curves import Curve

    Array = NDArray[np.float64]

STYLE: Final = {
    "svg.hashsalt": "netc",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#8a8a8a",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
}
VALUE, SLOPE, ZERO = "#1f5fa8", "#d9772b", "#d0d0d0"
SIZE: Final = (3.75, 2.5)
"""Inches, 3:2: 360 pixels at 96 for an inch."""

LOW, HIGH = -2.2, 4.2


def draw(curves: Sequence[Curve], folder: Path) -> None:
    """Writes `NAME.svg` for every curve and removes what no curve is for."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for curve in curves:
        with mpl.rc_context(STYLE):
            figure = picture(curve)
            path = folder / f"{curve.name}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None})


def picture(curve: Curve) -> Figure:
    """One curve, in the style of all."""
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    if curve.clock is None:
        _activation(axes, curve)
    else:
        _schedule(axes, curve)
    return figure


def _activation(axes: Axes, curve: Curve) -> None:
    z, value, slope = curve.grid, curve.values(), curve.slopes()
    axes.axhline(0, color=ZERO, linewidth=0.8, zorder=0)
    axes.axvline(0, color=ZERO, linewidth=0.8, zorder=0)
    axes.plot(z, _broken(value), color=VALUE, linewidth=1.8, label="value")
    axes.plot(z, _broken(slope), color=SLOPE, linewidth=1.4, linestyle=(0, (4, 1.5)), label="slope")
    low, high = min(value.min(), slope.min()), max(value.max(), slope.max())
    margin = 0.06 * (min(high, HIGH) - max(low, LOW))
    axes.set_ylim(max(low, LOW) - margin, min(high, HIGH) + margin)
    axes.set_xlim(-4, 4)
    axes.set_xticks(range(-4, 5, 2))
    axes.set_xlabel("z", labelpad=1)
    # above the axes, where no curve can meet it
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def _schedule(axes: Axes, curve: Curve) -> None:
    t, value = curve.grid, curve.values()
    growing = value[-1] > 100 * value[0]
    # an epoch keeps its value for all of its steps
    style = "steps-post" if curve.clock == "epoch" else "default"
    axes.plot(t, value, color=VALUE, linewidth=1.6, drawstyle=style)
    if growing:
        axes.set_yscale("log")
    else:
        axes.axhline(0, color=ZERO, linewidth=0.8, zorder=0)
        axes.set_ylim(-0.04, 1.06)
    axes.set_xlim(0, t[-1] + 1)
    axes.set_xlabel(curve.clock or "", labelpad=1)
    axes.set_title(curve.call.replace("t=z", f"t={curve.clock}"), fontsize=8.5, color="#333333")


def _broken(y: Array) -> Array:
    """The curve with a gap where it jumps."""
    jump = np.abs(np.diff(y)) > 0.2
    result = y.astype(np.float64).copy()
    result[1:][jump] = np.nan
    return result
