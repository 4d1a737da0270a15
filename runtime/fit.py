"""Training: the native loop runs in a worker thread while the main thread watches it.

Invariant: when `fit` returns or raises, no native call is running, and parameters, states,
optimizer and the step counter belong together: they are those after the same last step.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.evaluate import EVALUATION_BATCH, addresses, evaluation
from netc.runtime.executable import Executable, TrainingRun
from netc.runtime.history import EpochRecord, History, Reason
from netc.runtime.options import SHUFFLE_CODES, RunOptions
from netc.runtime.progress import Plan, Reporter
from netc.runtime.stopping import Monitor, Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from netc.runtime.arguments import Batch

POLL_SECONDS: Final = 0.05
_STEPS, _STOP, _EPOCHS = range(3)  # places in the progress counters


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that training changes, at one step."""

    parameters: NDArray[np.uint8]
    states: NDArray[np.uint8]
    optimizer: NDArray[np.uint8]
    step: int

    @classmethod
    def of(cls, executable: Executable) -> Snapshot:
        return cls(
            executable.parameters.memory.copy(),
            executable.states.memory.copy(),
            executable.optimizer.memory.copy(),
            executable.counters.step,
        )

    def restore(self, executable: Executable) -> None:
        executable.parameters.memory[:] = self.parameters
        executable.states.memory[:] = self.states
        executable.optimizer.memory[:] = self.optimizer
        executable.counters.step = self.step


class Training:
    """One run of `fit` over converted arrays; `history` holds what a resumed run did before."""

    def __init__(
        self,
        executable: Executable,
        *,
        data: Batch,
        validation: Batch | None,
        options: RunOptions,
        reporter: Reporter,
        history: History,
    ) -> None:
        self._executable = executable
        self._data = data
        self._validation = validation
        self._options = options
        self._reporter = reporter
        self._history = history
        monitor = Monitor.of(options, executable.manifest.results, validation is not None)
        self._stopping = Stopping(options, monitor)
        self._best: Snapshot | None = None
        self._take_up()
        self._batch = min(options.batch, data.samples)
        self._per_epoch = ceil(data.samples / self._batch)
        self._progress = np.zeros(3, np.int64)
        self._order = np.arange(data.samples, dtype=np.int64)
        self._slots = addresses(executable, data, {})
        executable.spec("train")  # compiled here, so that it counts in no speed
        self._done = 0  # steps of this run
        self._steps_recorded = executable.counters.step - 1
        self._began = perf_counter() - history.seconds
        self._interrupted = False

    def run(self) -> History:
        """Trains until a limit, a stopping rule or an interrupt ends it."""
        counters = self._executable.counters
        steps = self._plan()
        self._reporter.start(Plan(steps, self._data.samples, self._per_epoch, counters.epochs))
        try:
            with _interrupts(self._interrupt), ThreadPoolExecutor(1, "netc-fit") as worker:
                self._history.stopped = self._loop(worker, steps)
        finally:
            counters.epoch = 1
            self._reporter.close()
        if self._best is not None:
            self._best.restore(self._executable)
            self._history.kept_epoch = self._stopping.best_epoch
        return self._history

    def _take_up(self) -> None:
        """Goes through the epochs of the run that this one continues."""
        for record in self._history.epochs:
            self._stopping.observe(record)
        kept = self._history.kept
        if self._options.restore_best and kept and kept.epoch == self._stopping.best_epoch:
            self._best = Snapshot.of(self._executable)

    def _plan(self) -> int:
        """Steps to do now; sets the totals that schedules see."""
        options, counters = self._options, self._executable.counters
        last = self._history.epochs[-1].epoch if self._history.epochs else 0
        before = counters.step - 1
        limit = options.max_steps
        if limit is not None and last:
            limit = max(limit - before, 0)  # a resumed run counts its earlier steps
        epochs = options.epochs or last + ceil((limit or 0) / self._per_epoch)
        steps = max(epochs - last, 0) * self._per_epoch
        steps = steps if limit is None else min(steps, limit)
        counters.epoch = last + 1
        counters.epochs, counters.steps = max(epochs, 1), max(before + steps, 1)
        return steps

    def _loop(self, worker: ThreadPoolExecutor, steps: int) -> Reason:
        options = self._options
        by_epoch = self._validation is not None or options.restore_best
        by_epoch = by_epoch or options.patience is not None or options.stop_change is not None
        while self._done < steps:
            left = steps - self._done
            rows = self._chunk(worker, 1 if by_epoch else ceil(left / self._per_epoch), left)
            reason = self._close_epochs(rows)
            if self._interrupted:
                return "interrupted"
            if reason is not None:
                return reason
        return "max_steps" if steps % self._per_epoch or options.epochs is None else "epochs"

    def _chunk(self, worker: ThreadPoolExecutor, epochs: int, steps: int) -> list[list[float]]:
        """Runs up to `epochs` epochs and `steps` steps; the results of each epoch."""
        history = np.full((epochs, len(self._executable.manifest.results)), np.nan)
        self._progress[:] = 0
        call = TrainingRun(
            samples=self._data.samples,
            batch=self._batch,
            shuffle=SHUFFLE_CODES[self._options.shuffle],
            epochs=epochs,
            max_steps=steps if steps < epochs * self._per_epoch else 0,
            order=self._order,
            progress=self._progress,
            history=history,
        )
        future = worker.submit(self._executable.train, call, self._slots)
        try:
            self._watch(future)
        finally:
            self._progress[_STOP] = 1
            wait([future])
            done = int(self._progress[_STEPS])
            self._done += done
            self._executable.counters.step += done
        complete = int(self._progress[_EPOCHS])
        cut_short = complete < epochs and not np.isnan(history[complete]).all()
        if done == 0 and not self._interrupted:
            raise RuntimeError("the native training loop made no step")
        rows: list[list[float]] = history[: complete + int(cut_short)].tolist()
        return rows

    def _watch(self, future: Future[None]) -> None:
        """Reports progress until the native call has ended."""
        while True:
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                self._reporter.steps(self._done + int(self._progress[_STEPS]))
                if self._interrupted:
                    self._progress[_STOP] = 1

    def _close_epochs(self, rows: list[list[float]]) -> Reason | None:
        """Records the epochs of a chunk; the reason to stop, if one of them gives it."""
        counters = self._executable.counters
        results = self._executable.manifest.results
        total, before = counters.step - 1, self._steps_recorded
        reason: Reason | None = None
        for i, row in enumerate(rows):
            record = EpochRecord(
                counters.epoch,
                min(before + (i + 1) * self._per_epoch, total),
                perf_counter() - self._began,
                dict(zip(results, row, strict=True)),
                self._validated(),
            )
            counters.epoch += 1
            self._history.epochs.append(record)
            self._reporter.epoch(self._done, record)
            reason = self._stopping.observe(record) or reason
            if self._options.restore_best and self._stopping.best_epoch == record.epoch:
                self._best = Snapshot.of(self._executable)
        self._steps_recorded = total
        return reason

    def _validated(self) -> dict[str, float] | None:
        if self._validation is None:
            return None
        return evaluation(self._executable, self._validation, EVALUATION_BATCH)[0]

    def _interrupt(self) -> None:
        self._interrupted = True
        self._progress[_STOP] = 1


@contextmanager
def _interrupts(handler: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `handler` instead of raising, in the main thread (others never see it)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, lambda _signal, _frame: handler())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous if previous is not None else signal.SIG_DFL)
