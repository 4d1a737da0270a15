"""Compiled gradients against finite differences of the compiled objective, in training mode.

Invariant: everything is measured where the model stands, on one batch, with the random draws of the
same step. Differences are those of double precision; gradients in single precision are compared
with those in double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.checking.differences import slope
from netc.checking.reference import environment, in_double, meaning
from netc.compiler.held import goal, stopped
from netc.probing import follow, held
from netc.records import record
from netc.runtime.arguments import Signature
from netc.runtime.errors import DataError
from netc.stages import need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netc.checking.differences import Slope
    from netc.model import Model
    from netc.runtime.arguments import Batch

    Numbers = NDArray[np.float64]

TOLERANCE: Final = 1e-5
"""How far a gradient in f64 may be from differences, relative to it."""

SINGLE: Final = 1e-3
"""How far one in f32 may be from that in f64, relative to the largest of the parameter."""

ALL: Final = 32
"""Parameters of so many elements have all of them tried."""

DIRECTIONS: Final = 6
"""How many random directions of a larger one, and how many of its elements."""


@record
class Checked:
    """One parameter. `tried` counts its elements and directions.

    `error` is the largest relative difference, found at the element `at` or, where that is None, in
    a random direction: there the gradient is `gradient` and differences give `difference`. `single`
    is the largest relative difference of the gradient in f32, None if it was not formed. `kinks`
    counts the ways along which the objective has no derivative.
    """

    name: str
    shape: tuple[int, ...]
    tried: int
    error: float
    at: tuple[int, ...] | None
    gradient: float
    difference: float
    single: float | None
    kinks: int
    passed: bool


def gradcheck(model: Model, /, *data: object, **named: object) -> list[Checked]:
    """Every gradient of a model, in the order of the parameters.

    `data` are inputs and targets as `fit` takes them; some ten samples suffice. Raises UsageError
    for a net without objective, DataError where the objective is not finite.
    """
    need(model.manifest, "backward")
    names = Signature(model.manifest)
    batch = names.bind(names.names, names.names, data, named)
    double = in_double(model)
    objective, exact = gradients(double, batch)
    if not np.isfinite(objective):
        raise DataError(
            f"the objective is {objective} where the gradients are to be checked",
            "other data or values (--weights) may help; `netc probe` counts what is not finite",
        )
    single = gradients(model, batch)[1] if model.manifest.precision == "f32" else {}
    measured = Objective(double, batch)
    return [_checked(name, exact[name], measured, objective, single.get(name)) for name in exact]


def gradients(model: Model, batch: Batch) -> tuple[float, dict[str, Numbers]]:
    """The objective and its gradients by `forward` and `backward`; states stay as they are."""
    ports = model.manifest
    states = {name: np.array(value) for name, value in model.state.items()}
    model.forward({p.name: batch.arrays[p.name] for p in ports.inputs}, training=True)
    found = model.backward({p.name: batch.arrays[p.name] for p in ports.targets})
    for name, value in states.items():
        model.state[name][...] = value
    return found, {name: np.array(g, np.float64) for name, g in model.grads.items()}


class Objective:
    """The objective of a model in double precision as a function of one parameter."""

    def __init__(self, model: Model, batch: Batch) -> None:
        self._model = held(model)
        follow(self._model, model)
        nodes = stopped(goal(model._program.model))
        fixed = meaning(nodes, environment(model, batch)) if nodes else []
        self._data = dict(batch.arrays)
        for i, (node, value) in enumerate(zip(nodes, fixed, strict=True)):
            lead = () if node.type.batched else (batch.samples,)
            self._data[f"held {i}"] = np.broadcast_to(value, lead + value.shape)

    def slope(self, name: str, direction: Numbers) -> Slope:
        """Its derivative along a direction of a parameter."""
        value = self._model.params[name]
        start = value.copy()
        scale = max(1.0, float(np.sqrt((start**2).mean())))

        def at(way: float) -> float:
            value[...] = start + way * direction
            found = self._model.forward(self._data, training=True)
            return float(np.asarray(found)[0])

        try:
            return slope(at, scale)
        finally:
            value[...] = start


def _checked(
    name: str, exact: Numbers, measured: Objective, objective: float, single: Numbers | None
) -> Checked:
    ways = _ways(exact)
    largest = float(np.abs(exact).max(initial=0.0))
    floor = 1e-3 * largest + 1e-5 * abs(objective) + 1e-12
    worst: tuple[float, tuple[int, ...] | None, float, float] = (-1.0, None, 0.0, 0.0)
    kinks, passed = 0, bool(np.isfinite(exact).all())
    for at, direction in ways:
        found = measured.slope(name, direction)
        gradient = float((exact * direction).sum())
        scale = max(abs(gradient), abs(found.value), floor)
        error = found.distance(gradient) / scale
        kinks += found.kink
        passed &= error <= TOLERANCE + found.doubt / scale
        if not error <= worst[0]:
            worst = (error, at, gradient, found.value)
    rounding = None
    if single is not None:
        rounding = float(np.abs(single - exact).max(initial=0.0)) / (largest + floor)
        passed &= rounding <= SINGLE
    return Checked(name, exact.shape, len(ways), *worst, rounding, kinks, passed)


def _ways(exact: Numbers) -> list[tuple[tuple[int, ...] | None, Numbers]]:
    """All elements of a small parameter; of a large one some, with directions of length 1."""
    if exact.size <= ALL:
        return [_element(exact, n) for n in range(exact.size)]
    random = np.random.default_rng(0)
    order = np.argsort(-np.abs(exact), axis=None)
    chosen = [*order[: DIRECTIONS // 2], *random.choice(exact.size, DIRECTIONS // 2, replace=False)]
    drawn = [random.normal(size=exact.shape) for _ in range(DIRECTIONS)]
    units = [(None, d / np.sqrt((d**2).sum())) for d in drawn]
    return [*units, *(_element(exact, int(n)) for n in dict.fromkeys(chosen))]


def _element(like: Numbers, n: int) -> tuple[tuple[int, ...], Numbers]:
    direction = np.zeros(like.shape)
    at = tuple(int(i) for i in np.unravel_index(n, like.shape))
    direction[at] = 1
    return at, direction
