"""Training: the native loop runs in a worker thread while the main thread watches it.

Invariant: when `fit` returns or raises, no native call is running, and parameters, states,
optimizer and the step counter belong together: they are those after the same last step.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.records import record
from netc.runtime.errors import DebugError
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
AT_ONCE: Final = 2_000_000  # nanoseconds that nobody waits for in vain: no worker, no poll
STEP_LEAST: Final = 300  # nanoseconds of a step that computes next to nothing
CHUNK_EPOCHS: Final = 65_536  # of one native call: its history is allocated beforehand
_STEPS, _STOP, _EPOCHS = range(3)  # places in the progress counters


@record
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
        self._begun = self._take_up()
        self._batch = min(options.batch, data.samples)
        self._per_epoch = ceil(data.samples / self._batch)
        self._first = 0 if self._begun is None else self._begun.samples or 0
        self._progress = np.zeros(4, np.int64)
        self._order = np.arange(data.samples, dtype=np.int64)
        self._slots = addresses(executable, data, {})
        blocks = ceil(self._batch / executable.manifest.lanes)
        time = executable.spec("train").nanoseconds(blocks)  # compiled here: it counts in no speed
        self._step_time = time + STEP_LEAST if time else AT_ONCE
        self._done = 0  # steps of this run
        self._steps_before = executable.counters.step - 1
        self._next_epoch = history.epochs[-1].epoch + 1 if history.epochs else 1
        self._next_epoch -= self._begun is not None
        self._chunk_recorded = 0
        self._by_epoch = (
            validation is not None
            or options.restore_best
            or options.patience is not None
            or options.stop_change is not None
        )
        self._began = perf_counter() - history.seconds
        self._interrupted = False
        self._bounded = False

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
        elif self._done:
            self._history.kept_epoch = None
        return self._history

    def _take_up(self) -> EpochRecord | None:
        """Goes through the epochs of the run that this one continues; the one cut short, if any.

        That one goes on with the rest of its samples, if the model is still as it was left.
        """
        begun = self._history.unfinished(self._data.samples)
        for epoch in self._history.epochs:
            if epoch is not begun:
                self._stopping.observe(epoch)
        kept = self._history.kept
        if self._options.restore_best and kept and kept.epoch == self._stopping.best_epoch:
            self._best = Snapshot.of(self._executable)
        return begun

    def _plan(self) -> int:
        """Steps to do now; sets the totals that schedules see."""
        options, counters = self._options, self._executable.counters
        last = self._next_epoch - 1
        limit = options.max_steps
        if limit is not None and self._history.epochs:
            limit = max(limit - self._steps_before, 0)  # a resumed run counts its earlier steps
        skipped = self._skipped()
        epochs = options.epochs or last + ceil(((limit or 0) + skipped) / self._per_epoch)
        whole = max((epochs - last) * self._per_epoch - skipped, 0)
        steps = whole if limit is None else min(whole, limit)
        self._bounded = options.epochs is None or steps < whole
        counters.epoch = self._next_epoch
        counters.epochs, counters.steps = max(epochs, 1), max(self._steps_before + steps, 1)
        return steps

    def _skipped(self) -> int:
        """Steps of the next epoch that were done before."""
        return self._per_epoch - ceil((self._data.samples - self._first) / self._batch)

    def _loop(self, worker: ThreadPoolExecutor, steps: int) -> Reason:
        while self._done < steps:
            left = steps - self._done
            ahead = ceil((left + self._skipped()) / self._per_epoch)
            epochs = 1 if self._by_epoch else min(ahead, CHUNK_EPOCHS)
            reason = self._chunk(worker, epochs, left)
            if self._interrupted:
                return "interrupted"
            if reason is not None:
                return reason
        return "max_steps" if self._bounded else "epochs"

    def _chunk(self, worker: ThreadPoolExecutor, epochs: int, steps: int) -> Reason | None:
        """Runs up to `epochs` epochs and `steps` steps; the reason to stop after them, if any."""
        history = np.full((epochs, len(self._executable.manifest.results)), np.nan)
        self._progress[:] = 0
        self._chunk_recorded = 0
        capacity = epochs * self._per_epoch - self._skipped()
        call = TrainingRun(
            samples=self._data.samples,
            batch=self._batch,
            shuffle=SHUFFLE_CODES[self._options.shuffle],
            epochs=epochs,
            max_steps=steps if steps < capacity else 0,
            order=self._order,
            progress=self._progress,
            history=history,
            first=self._first,
        )
        failure: DebugError | None = None
        try:
            done = self._native(worker, call, min(steps, capacity))
        except DebugError as error:  # what was done before it is on record
            failure, done = error, int(self._progress[_STEPS])
        if done == 0 and not self._interrupted and failure is None:
            raise RuntimeError("the native training loop made no step")
        complete = int(self._progress[_EPOCHS])
        reason = self._record(history, complete, done)
        begun = done - max(complete * self._per_epoch - self._skipped(), 0)
        if complete < epochs and begun > 0:
            reason = self._record_part(history[complete], complete, done, begun) or reason
        if failure is not None:
            self._history.stopped = "not_finite"
            raise failure
        self._done += done
        self._first = 0
        return reason

    def _native(self, worker: ThreadPoolExecutor, call: TrainingRun, steps: int) -> int:
        """The native call, in a worker if it takes long; the steps that were done."""
        try:
            if steps * self._step_time < AT_ONCE:
                self._executable.train(call, self._slots)
            else:
                future = worker.submit(self._executable.train, call, self._slots)
                try:
                    self._watch(future, call.history)
                finally:
                    self._progress[_STOP] = 1
                    wait([future])
        finally:
            done = int(self._progress[_STEPS])
            self._executable.counters.step += done
        return done

    def _watch(self, future: Future[None], history: NDArray[np.float64]) -> None:
        """Reports progress until the native call has ended."""
        while True:
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                complete, steps = int(self._progress[_EPOCHS]), int(self._progress[_STEPS])
                if not self._by_epoch:  # else the decisions after an epoch need the finished call
                    self._record(history, complete, steps)
                self._report(history[complete:], steps)
                if self._interrupted:
                    self._progress[_STOP] = 1

    def _report(self, ahead: NDArray[np.float64], steps: int) -> None:
        """Shows the means so far of the present epoch, once it has any."""
        if len(ahead) and not np.isnan(ahead[0]).all():
            self._reporter.steps(self._done + steps, self._next_epoch, self._named(ahead[0]))

    def _record(self, history: NDArray[np.float64], complete: int, steps: int) -> Reason | None:
        """Takes in the epochs of a chunk up to `complete`; the reason to stop, if one gives it."""
        reason: Reason | None = None
        for i in range(self._chunk_recorded, complete):
            done = min((i + 1) * self._per_epoch - self._skipped(), steps)
            first = self._first if i == 0 else 0
            values = self._named(history[i])
            reason = self._take(done, values, self._data.samples - first) or reason
        self._chunk_recorded = max(complete, self._chunk_recorded)
        return reason

    def _record_part(
        self, values: NDArray[np.float64], complete: int, steps: int, begun: int
    ) -> Reason | None:
        """Takes in the epoch after the complete ones, which was cut short after `begun` steps."""
        seen = begun * self._batch
        first = self._first if complete == 0 else 0
        return self._take(steps, self._named(values), seen, first + seen)

    def _take(
        self, done: int, values: dict[str, float], seen: int, samples: int | None = None
    ) -> Reason | None:
        """Takes in one epoch: after `done` steps of this chunk, with `seen` samples in it."""
        done += self._done
        seconds, steps = perf_counter() - self._began, self._steps_before + done
        record = EpochRecord(self._next_epoch, steps, seconds, values, self._validated(), samples)
        if self._begun is not None:
            self._history.epochs.pop()
        record, self._begun = record.after(self._begun, seen), None
        self._next_epoch += 1
        self._executable.counters.epoch = self._next_epoch
        self._history.epochs.append(record)
        self._reporter.epoch(done, record)
        reason = self._stopping.observe(record)
        if self._options.restore_best and self._stopping.best_epoch == record.epoch:
            self._best = Snapshot.of(self._executable)
        return reason

    def _named(self, values: NDArray[np.float64]) -> dict[str, float]:
        return dict(zip(self._executable.manifest.results, values.tolist(), strict=True))

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
