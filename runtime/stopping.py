"""When a run ends early, and which epoch was the best.

Invariant: decisions depend on the records alone, never on time.
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING

from netc.records import record
from netc.runtime.errors import UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.runtime.history import EpochRecord, Reason
    from netc.runtime.options import RunOptions


@record
class Monitor:
    """The value that decides: `objective` and `loss` get better downwards, metrics upwards.

    A minus sign before the name of a metric turns its direction round.
    """

    name: str
    validation: bool
    sign: float  # +1: smaller is better

    @classmethod
    def of(cls, options: RunOptions, results: Sequence[str], validation: bool) -> Monitor:
        """The monitor that `options` name; by default the validation loss, else the objective."""
        if options.monitor is None:
            return cls("loss" if validation else "objective", validation, 1.0)
        text = options.monitor
        name = text.removeprefix("-").removeprefix("validation.").removeprefix("training.")
        if name not in results:
            known = [*results, *(f"training.{r}" for r in results)]
            raise UsageError(f"`monitor` names no result: `{text}`", suggestion(name, known))
        if "validation." in text and not validation:
            raise UsageError(f"`monitor` is `{text}`, but there is no validation set")
        falls = name in ("objective", "loss") or text.startswith("-")
        return cls(name, validation and "training." not in text, 1.0 if falls else -1.0)

    def badness(self, record: EpochRecord) -> float:
        """The monitored value, oriented so that smaller is better; infinite for NaN."""
        values = record.validation if self.validation else record.training
        value = self.sign * (values or {})[self.name]
        return inf if isnan(value) else value


class Stopping:
    """Watches the epochs of one run."""

    def __init__(self, options: RunOptions, monitor: Monitor) -> None:
        self._options = options
        self._monitor = monitor
        self._reference = inf  # the value that an improvement must beat by min_delta
        self._last_objective: float | None = None
        self._waited = 0
        self.best_value = inf
        self.best_epoch: int | None = None

    def observe(self, record: EpochRecord) -> Reason | None:
        """Takes in an epoch; the reason to stop after it, if any."""
        value = self._monitor.badness(record)
        if value < self.best_value:
            self.best_value, self.best_epoch = value, record.epoch
        if value < self._reference - self._options.min_delta:
            self._reference, self._waited = value, 0
        else:
            self._waited += 1
        previous, objective = self._last_objective, record.training["objective"]
        self._last_objective = objective
        options = self._options
        if options.patience is not None and self._waited >= max(options.patience, 1):
            return "patience"
        settled = options.stop_change is not None and previous is not None
        if settled and abs(objective - (previous or 0.0)) <= (options.stop_change or 0.0):
            return "stop_change"
        return None
