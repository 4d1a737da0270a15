"""The risk of a way of training, estimated by models trained on parts of the data.

Invariant: every fold starts from the same untrained model, and no sample is tested by a model that
has seen it; afterwards the model is what it was before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from netc.model import Model
    from netc.runtime.arrays import Array


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean loss of every fold and its number of samples, both [L]."""

    risks: Array
    sizes: Array

    @property
    def risk(self) -> float:
        """The mean over all tested samples: Σ size · risk / Σ size."""
        return float(np.average(self.risks, weights=self.sizes))


def fit(model: Model, *data: Array) -> None:
    """Trains as the train block says, in silence."""
    model.fit(*data, progress=False)


def cross_validate(
    model: Model,
    *data: Array,
    folds: Iterable[tuple[ArrayLike, ArrayLike]],
    measure: str = "loss",
    train: Callable[..., object] = fit,
) -> Estimate:
    """Trains on each fold from scratch and tests on the rest of it.

    Args:
        model: an untrained net; the seed and the initial values are the same for every fold.
        data: all inputs, then all targets, each with the samples as its first axis.
        folds: the numbers of the samples to train on and of those to test on, for each fold, as
            `sklearn.model_selection.KFold(5).split(x)` gives them.
        measure: the result of `model.evaluate` to report: the loss or a metric.
        train: called with the model and the training data of a fold.

    Raises:
        UsageError: if there are no folds, or one tests what it trains on.

    Source: 000.5.2.2a, with the mean over a fold taken by its own size.
    """
    arrays = [np.asarray(array) for array in data]
    risks, sizes = [], []
    with TemporaryDirectory() as folder:
        start = Path(folder) / "start"
        model.save(start)
        for chosen, held in folds:
            training, testing = np.asarray(chosen), np.asarray(held)
            if np.intersect1d(training, testing).size:
                raise UsageError("a fold tests samples that it trains on")
            train(model, *(array[training] for array in arrays))
            risks.append(model.evaluate(*(array[testing] for array in arrays))[measure])
            sizes.append(testing.size)
            model.load(start)
    if not sizes:
        raise UsageError("there are no folds")
    return Estimate(np.array(risks), np.array(sizes))
