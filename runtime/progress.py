"""What a person sees while a net trains: a bar on a terminal, now and then a line elsewhere.

Invariant: everything goes to standard error; nothing here changes a result.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.runtime.history import EpochRecord

LINE_SECONDS: Final = 1.0  # without a terminal: at most one line in this time


@record
class Plan:
    """The run ahead: its steps, samples and steps of an epoch, and the number of the last epoch."""

    steps: int
    samples: int
    per_epoch: int
    epochs: int


class Reporter(Protocol):
    """Follows one training run. `done` are steps since `start`."""

    def start(self, plan: Plan) -> None:
        """The run begins."""

    def steps(self, done: int, epoch: int, values: Mapping[str, float]) -> None:
        """Time has passed; `values` are the means of the present epoch so far."""

    def epoch(self, done: int, record: EpochRecord) -> None:
        """An epoch has ended."""

    def close(self) -> None:
        """The run is over, however it ended."""


class Silent:
    """Reports nothing."""

    def start(self, plan: Plan) -> None:
        pass

    def steps(self, done: int, epoch: int, values: Mapping[str, float]) -> None:
        pass

    def epoch(self, done: int, record: EpochRecord) -> None:
        pass

    def close(self) -> None:
        pass


class Speed:
    """Samples per second since it was made."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = perf_counter()

    def text(self, done: int) -> str:
        seconds = max(perf_counter() - self._began, 1e-6)
        rate = done / self._plan.per_epoch * self._plan.samples / seconds
        return f"{rate:,.0f} samples/s"


class Lines:
    """Plain lines for a log: one for an epoch, but at most one a second, and always the last."""

    def start(self, plan: Plan) -> None:
        self._plan = plan
        self._speed = Speed(plan)
        self._printed = perf_counter() - LINE_SECONDS
        self._waiting = ""

    def steps(self, done: int, epoch: int, values: Mapping[str, float]) -> None:
        pass

    def epoch(self, done: int, record: EpochRecord) -> None:
        epochs = f"epoch {record.epoch}/{self._plan.epochs}"
        self._waiting = (
            f"{epochs}  {values_text(record.training, record.validation)}  {self._speed.text(done)}"
        )
        if perf_counter() - self._printed >= LINE_SECONDS:
            self.close()

    def close(self) -> None:
        if self._waiting:
            print(self._waiting, file=sys.stderr, flush=True)
            self._printed, self._waiting = perf_counter(), ""


def reporter(shown: bool) -> Reporter:
    """The reporter that suits standard error."""
    if not shown:
        return Silent()
    if not sys.stderr.isatty():
        return Lines()
    from netc.runtime.bar import Bar  # noqa: PLC0415 - rich takes a while to load

    return Bar()


def values_text(training: Mapping[str, float], validation: Mapping[str, float] | None) -> str:
    """`loss 0.213 accuracy 0.94 | validation loss 0.25 accuracy 0.93`."""
    text = _pairs(training)
    return text if validation is None else f"{text} | validation {_pairs(validation)}"


def _pairs(values: Mapping[str, float]) -> str:
    """All values but the objective."""
    shown = {n: v for n, v in values.items() if n != "objective"}
    return " ".join(f"{n} {v:.4g}" for n, v in shown.items())
