"""The curves of the reference: activations with their slopes, schedules over a run.

Invariant: a curve is a call in a net, computed by the compiler at the points of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

import netc
from netc.cli.library import prelude
from netc.grammar.diagnostics import CompileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ACTIVATIONS: Final = "activations"
SCHEDULES: Final = "schedules"

PRIMITIVE_CURVES: Final = {ACTIVATIONS: ("sigmoid", "tanh", "sign")}
"""Primitives that a page shows among its definitions."""

VECTORS: Final = {name: f"{name}([z, 0])[0]" for name in ("softmax", "log_softmax")}
"""Activations of a vector: drawn is the first of two elements, the second being 0."""

LAYERS: Final = ("prelu", "rrelu")
"""Layers that are activations, as they are in inference."""

RUNS: Final = {
    "inverse_time": "0.5",
    "power_decay": "20",
    "exponential_decay": "0.95",
    "piecewise": "[10, 20], [1, 0.3, 0.1]",
    "warmup": "20",
    "range_test": "1.15",
}
"""Arguments of the schedules that have no defaults for all, or whose default shows little."""

EPOCHS: Final = 30
STEPS: Final = 100


@dataclass(frozen=True)
class Curve:
    """`call` of z; an activation has a slope, a schedule is a function of `clock`."""

    name: str
    call: str
    clock: str | None = None

    @property
    def grid(self) -> Array:
        match self.clock:
            case None:
                return np.linspace(-4, 4, 1601)
            case "epoch":
                return np.arange(1, EPOCHS + 1, dtype=np.float64)
            case _:
                return np.arange(1, STEPS + 1, dtype=np.float64)

    def values(self) -> Array:
        """The call on the grid."""
        return self._computed(self.call)

    def slopes(self) -> Array:
        """Its derivative on the grid; that of a step, which the compiler refuses, is 0."""
        try:
            return self._computed(f"grad({self.call}, z)")
        except CompileError as error:
            if {d.slug for d in error.diagnostics} != {"not-differentiable"}:
                raise
            return np.zeros_like(self.grid)

    def _computed(self, call: str) -> Array:
        text = f"net Curve {{ input z: []; output y = {call} }}"
        found: Array = netc.compile(source=text, precision="f64").forward(self.grid)
        return found


def curves() -> list[Curve]:
    """All curves in the order of the pages."""
    rooms = {room.name: room.definitions for room in prelude()}
    names = [*(d.name.name for d in rooms[ACTIVATIONS]), *PRIMITIVE_CURVES[ACTIVATIONS]]
    found = [Curve(name, VECTORS.get(name, f"{name}(z)")) for name in names]
    found += [Curve(name, f"{name}(z)") for name in LAYERS]
    for definition in rooms[SCHEDULES]:
        name = definition.name.name
        defaults = {p.name.name: p.default.span.text for p in definition.parameters if p.default}
        over = [f"over={STEPS}"] if defaults.get("over") == "steps" else []
        arguments = [*filter(None, [RUNS.get(name)]), *over, "t=z"]
        found.append(Curve(name, f"{name}({', '.join(arguments)})", defaults["t"]))
    return found
