"""What experiments share: nets of a text in double precision, and finite differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import netc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray


def compiled(text: str, *, seed: int = 0, **options: Any) -> netc.Model:
    """The net of a text, in double precision on one thread."""
    return netc.compile(source=text, **{"precision": "f64", "seed": seed, "threads": 1, **options})


def differences(
    function: Callable[[NDArray], ArrayLike], at: ArrayLike, step: float = 1e-6
) -> NDArray:
    """Central differences of a function by an array: [axes of the value…, axes of the array…]."""
    at = np.array(at, float)
    columns = []
    for index in np.ndindex(at.shape):
        above, below = at.copy(), at.copy()
        above[index] += step
        below[index] -= step
        columns.append((np.asarray(function(above)) - np.asarray(function(below))) / (2 * step))
    value = np.asarray(columns[0]).shape
    return np.moveaxis(np.array(columns), 0, -1).reshape(*value, *at.shape)


def objective_differences(
    model: netc.Model, name: str, *data: ArrayLike, step: float = 1e-6
) -> NDArray:
    """Central differences of the training objective by one parameter of a model."""
    start = np.array(model.params[name])
    inputs = len(model.manifest.inputs)

    def objective(value: NDArray) -> float:
        model.params[name] = value
        model.forward(*data[:inputs], training=True)
        return model.backward(*data[inputs:])

    found = differences(objective, start, step)
    model.params[name] = start
    return found
