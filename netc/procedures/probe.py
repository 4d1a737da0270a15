"""What is inside a net on given data: statistics of each value on the way and of its gradient.

Invariant: the values are outputs of a compiled program that has the parameters, states, numbers and
counters of the model; the model itself is left as it is. Data are taken twice in minibatches, first
for means and extremes, then for what is relative to these, so memory is that of a minibatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import numpy as np

from netc.probing import follow, probed
from netc.runtime.arguments import Signature
from netc.runtime.errors import UsageError
from netc.runtime.evaluate import EVALUATION_BATCH
from netc.runtime.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netc.model import Model
    from netc.runtime.arguments import Batch

    Numbers = NDArray[np.float64]

BINS: Final = 100
GRADIENT: Final = "gradient "


@dataclass(frozen=True, slots=True)
class Statistics:
    """All numbers of one value, over samples and elements.

    A unit is an element of a vector, a channel of anything with more axes. `dead` counts the units
    that are the same number throughout; a unit of which only one number was seen is not.
    `saturated` is the share of numbers in the outermost hundredths of the range from `least` to
    `most`: next to 0 for a bell curve, large where an activation has levelled off, the share of
    zeros for a rectifier. `histogram` has the counts of a hundred equal bins of that range.
    `unbounded` counts infinities and NaN; all else is of the finite numbers, NaN if there is none.
    """

    mean: float
    std: float
    least: float
    most: float
    units: int
    dead: int
    saturated: float
    unbounded: int
    histogram: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Observation:
    """One value of a net. `gradient` is None where the objective is not made of it."""

    name: str
    shape: tuple[int, ...]
    value: Statistics
    gradient: Statistics | None


def probe(
    model: Model,
    /,
    *data: object,
    training: bool = True,
    batch: int = EVALUATION_BATCH,
    **named: object,
) -> list[Observation]:
    """Statistics of the bindings, layers and stages of chains of a net, in the order of computing.

    `data` are inputs and targets as `fit` takes them, `batch` samples at a time. With `training`
    the net is as `step` has it: dropout is on, batch statistics are those of `batch` samples. A
    gradient is the derivative of the objective times the number of samples, hence that of a
    sample's own loss where samples do not interact.

    Raises DataError for data that do not fit, UsageError for a net without anything to see.
    """
    names = Signature(model.manifest)
    everything = names.bind(names.names, names.names, data, named)
    size = RunOptions().override({"batch": batch}).batch
    watched = _watched(model, training=training)
    follow(watched, model)
    first: dict[str, _Extent] = {}
    for name, array in _passed(watched, everything, size):
        first.setdefault(name, _Extent(array)).add(array)
    second = {name: _Spread(extent) for name, extent in first.items()}
    for name, array in _passed(watched, everything, size):
        second[name].add(array)
    found = {name: spread.statistics() for name, spread in second.items()}
    return [
        Observation(port.name, port.shape, found[port.name], found.get(GRADIENT + port.name))
        for port in watched.manifest.outputs
        if not port.name.startswith(GRADIENT)
    ]


_WATCHED: Final[WeakKeyDictionary[Model, dict[bool, Model]]] = WeakKeyDictionary()


def _watched(model: Model, *, training: bool) -> Model:
    """The probed model of a model in one mode, compiled once."""
    known = _WATCHED.setdefault(model, {})
    if training not in known:
        found = probed(model, training=training)
        if not found.manifest.outputs:
            help_ = "give a value a name: `h = x |> dense(16)`"
            raise UsageError(f"net `{model.name}` has no value to look at", help_)
        known[training] = found
    return known[training]


def _passed(watched: Model, data: Batch, size: int) -> Iterator[tuple[str, Numbers]]:
    """Every value and gradient of each minibatch in turn, units first: [units, numbers]."""
    names = [port.name for port in watched.manifest.outputs]
    for start in range(0, data.samples, size):
        rows = data.rows(np.arange(start, min(start + size, data.samples)))
        found = watched.forward(dict(rows.arrays), training=True)
        outputs = found if isinstance(found, dict) else {names[0]: found}
        for name in names:
            factor = rows.samples if name.startswith(GRADIENT) else 1
            array = np.asarray(outputs[name], np.float64) * factor
            units = array.shape[1] if array.ndim > 1 else 1
            yield name, np.moveaxis(array.reshape(rows.samples, units, -1), 1, 0).reshape(units, -1)


class _Extent:
    """Sum, number and extremes of each unit, over the finite numbers."""

    def __init__(self, like: Numbers) -> None:
        units = len(like)
        self.total, self.count, self.unbounded = 0.0, 0, 0
        self.least, self.most = np.full(units, np.inf), np.full(units, -np.inf)
        self.each = 0

    def add(self, array: Numbers) -> None:
        finite = np.isfinite(array)
        self.total += float(array.sum(where=finite))
        self.count += int(finite.sum())
        self.unbounded += int(array.size - finite.sum())
        self.least = np.minimum(self.least, array.min(axis=1, where=finite, initial=np.inf))
        self.most = np.maximum(self.most, array.max(axis=1, where=finite, initial=-np.inf))
        self.each += array.shape[1]


class _Spread:
    """Squares about the mean, and a histogram between the extremes."""

    def __init__(self, extent: _Extent) -> None:
        self.extent = extent
        self.mean = extent.total / extent.count if extent.count else np.nan
        self.range = float(extent.least.min()), float(extent.most.max())
        self.squares = 0.0
        self.histogram = np.zeros(BINS, np.int64)

    def add(self, array: Numbers) -> None:
        finite = array[np.isfinite(array)]
        if finite.size:
            self.squares += float(((finite - self.mean) ** 2).sum())
            self.histogram += np.histogram(finite, BINS, self.range)[0]

    def statistics(self) -> Statistics:
        extent, count = self.extent, self.extent.count
        dead = (extent.least == extent.most).sum() if extent.each > 1 else 0
        outer = self.histogram[0] + self.histogram[-1]
        level = self.range[0] == self.range[1]
        return Statistics(
            mean=self.mean,
            std=float(np.sqrt(self.squares / count)) if count else np.nan,
            least=self.range[0] if count else np.nan,
            most=self.range[1] if count else np.nan,
            units=len(extent.least),
            dead=int(dead),
            saturated=(1.0 if level else float(outer / count)) if count else np.nan,
            unbounded=extent.unbounded,
            histogram=self.histogram,
        )
