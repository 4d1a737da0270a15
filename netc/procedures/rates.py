"""The learning-rate range test: which rates a model can learn with, found in one short run.

Invariant: the steps are those of the model's own optimizer; afterwards the model is what it was
before.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.arguments import Signature
from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.model import Model
    from netc.runtime.arguments import Batch
    from netc.runtime.arrays import Array


@dataclass(frozen=True, slots=True)
class RangeTest:
    """The rate of every step, the objective before it, and its moving average, each [steps].

    `critical` is the rate at which the average starts to diverge, None if it never did.
    """

    rates: Array
    losses: Array
    averages: Array
    critical: float | None

    @property
    def suggested(self) -> float | None:
        """A largest rate to train with: a tenth of the critical one, for the average lags."""
        return None if self.critical is None else self.critical / 10


def range_test(
    model: Model,
    *data: object,
    number: str = "lr",
    start: float = 1e-6,
    growth: float = 1.05,
    most: float = 1e3,
    batch: int = 32,
    memory: float = 0.9,
    divergence: float = 4.0,
    seed: int = 0,
) -> RangeTest:
    """Takes steps with a rate that grows by a factor each time, until the loss diverges.

    The moving average of the objective is a ← memory a + (1 - memory) loss, divided by the weight
    it has so far. The run ends when it exceeds `divergence` times its lowest value, is no number,
    or the rate has reached `most`; the critical rate is the last one where the average was at most
    the square root of that multiple: twice its lowest value. Objectives should be positive.

    Args:
        model: a net with a train block, as it is at the start of a training.
        data: all inputs, then all targets, as `fit` takes them.
        number: the run-time number that is the rate; for this run its schedule is switched off.
        start: the first rate.
        growth: the factor from each step to the next, above 1.
        most: the largest rate to try.
        batch: samples in a minibatch, drawn without repetition in each pass.
        memory: of the moving average, from 0 to below 1; with full batches 0 will do.
        divergence: the multiple of the lowest average that ends the run, above 1.
        seed: of the order of the samples.

    Raises:
        UsageError: for a net without that number or numbers out of their range.
        DataError: for data that do not fit.

    Source: Smith 2017; 004.7.4.a.
    """
    if not (0 < start < most and growth > 1 and 0 <= memory < 1 and divergence > 1 and batch >= 1):
        message = "a range test needs 0 < start < most, growth > 1, 0 <= memory < 1, divergence > 1"
        raise UsageError(message + " and batch >= 1")
    names = Signature(model.manifest).names
    samples = Signature(model.manifest).bind(names, names, data, {})
    before = model.scalars[number]
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "before")
        try:
            rates, losses, averages = [], [], []
            average, lowest, rate = 0.0, np.inf, start
            for rows in _minibatches(samples, batch, seed):
                model.scalars[number] = rate
                loss = model.step(dict(rows.arrays))
                average = memory * average + (1 - memory) * loss
                rates.append(rate)
                losses.append(loss)
                averages.append(average / (1 - memory ** len(rates)))
                lowest = min(lowest, averages[-1])
                rate = start * growth ** len(rates)
                if _diverged(averages[-1], lowest, divergence) or rate > most:
                    break
        finally:
            model.load(Path(folder) / "before")
            model.scalars[number] = before
    critical = None
    if _diverged(averages[-1], lowest, divergence):
        calm = [not _diverged(average, lowest, divergence**0.5) for average in averages]
        critical = rates[np.flatnonzero(calm)[-1]] if any(calm) else start
    return RangeTest(np.array(rates), np.array(losses), np.array(averages), critical)


def _diverged(average: float, lowest: float, divergence: float) -> bool:
    return not isfinite(average) or average > lowest + (divergence - 1) * abs(lowest)


def _minibatches(samples: Batch, size: int, seed: int) -> Iterator[Batch]:
    """Minibatches without end, each pass in an order of its own."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(samples.samples)
        for first in range(0, samples.samples, size):
            yield samples.rows(order[first : first + size])
