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
CHUNK_EPOCHS: Final = 65_536  # of one native call: its history is allocated beforehand
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
        self._steps_before = executable.counters.step - 1
        self._next_epoch = history.epochs[-1].epoch + 1 if history.epochs else 1
        self._chunk_recorded = 0
        self._by_epoch = (
            validation is not None
            or options.restore_best
            or options.patience is not None
            or options.stop_change is not None
        )
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
        last = self._next_epoch - 1
        limit = options.max_steps
        if limit is not None and last:
            limit = max(limit - self._steps_before, 0)  # a resumed run counts its earlier steps
        epochs = options.epochs or last + ceil((limit or 0) / self._per_epoch)
        steps = max(epochs - last, 0) * self._per_epoch
        steps = steps if limit is None else min(steps, limit)
        counters.epoch = self._next_epoch
        counters.epochs, counters.steps = max(epochs, 1), max(self._steps_before + steps, 1)
        return steps

    def _loop(self, worker: ThreadPoolExecutor, steps: int) -> Reason:
        while self._done < steps:
            left = steps - self._done
            epochs = 1 if self._by_epoch else min(ceil(left / self._per_epoch), CHUNK_EPOCHS)
            reason = self._chunk(worker, epochs, left)
            if self._interrupted:
                return "interrupted"
            if reason is not None:
                return reason
        unlimited = self._options.epochs is None
        return "max_steps" if unlimited or steps % self._per_epoch else "epochs"

    def _chunk(self, worker: ThreadPoolExecutor, epochs: int, steps: int) -> Reason | None:
        """Runs up to `epochs` epochs and `steps` steps; the reason to stop after them, if any."""
        history = np.full((epochs, len(self._executable.manifest.results)), np.nan)
        self._progress[:] = 0
        self._chunk_recorded = 0
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
            self._watch(future, history)
        finally:
            self._progress[_STOP] = 1
            wait([future])
            done = int(self._progress[_STEPS])
            self._executable.counters.step += done
        if done == 0 and not self._interrupted:
            raise RuntimeError("the native training loop made no step")
        complete = int(self._progress[_EPOCHS])
        cut_short = complete < epochs and not np.isnan(history[complete]).all()
        reason = self._record(history, complete + int(cut_short), done)
        self._done += done
        return reason

    def _watch(self, future: Future[None], history: NDArray[np.float64]) -> None:
        """Reports progress until the native call has ended."""
        while True:
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                complete, steps = int(self._progress[_EPOCHS]), int(self._progress[_STEPS])
                if not self._by_epoch:  # else the decisions after an epoch need the finished call
                    self._record(history, complete, steps)
                self._reporter.steps(self._done + steps)
                if self._interrupted:
                    self._progress[_STOP] = 1

    def _record(self, history: NDArray[np.float64], complete: int, steps: int) -> Reason | None:
        """Takes in the epochs of a chunk up to `complete`; the reason to stop, if one gives it."""
        counters = self._executable.counters
        results = self._executable.manifest.results
        reason: Reason | None = None
        for i in range(self._chunk_recorded, complete):
            done = self._done + min((i + 1) * self._per_epoch, steps)
            record = EpochRecord(
                self._next_epoch,
                self._steps_before + done,
                perf_counter() - self._began,
                dict(zip(results, history[i].tolist(), strict=True)),
                self._validated(),
            )
            self._next_epoch += 1
            self._history.epochs.append(record)
            self._reporter.epoch(done, record)
            reason = self._stopping.observe(record) or reason
            if self._options.restore_best and self._stopping.best_epoch == record.epoch:
                self._best = Snapshot.of(self._executable)
        self._chunk_recorded = max(complete, self._chunk_recorded)
        counters.epoch = self._next_epoch
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
