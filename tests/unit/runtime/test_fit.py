"""The training loop: counters, limits, stopping rules, validation, interrupts."""

import math
import os
import signal
import threading
import time

import numpy as np
import pytest

from netc.runtime.arguments import Signature
from netc.runtime.errors import UsageError
from netc.runtime.executable import Executable
from netc.runtime.fit import AT_ONCE, Training
from netc.runtime.history import EpochRecord, History
from netc.runtime.options import RunOptions
from netc.runtime.progress import Silent
from netc.runtime.stopping import Monitor, Stopping


class Bench:
    def __init__(self, program, samples):
        self.program = program
        self.executable = Executable(program.manifest, program.native, program.initial(0), 0)
        self.signature = Signature(program.manifest)
        self.data = self.signature.converted(dict(zip("xt", samples, strict=True)))

    def fit(self, *, history=None, validation=None, reporter=None, **options):
        run = Training(
            self.executable,
            data=self.data,
            validation=validation,
            options=RunOptions(**{"batch": 8, **options}),
            reporter=reporter or Silent(),
            history=history or History(),
        )
        return run.run()


@pytest.fixture
def bench(program, samples):
    return Bench(program, samples)


def test_steps_and_epochs_are_counted(bench):
    history = bench.fit(epochs=3)
    assert [r.epoch for r in history.epochs] == [1, 2, 3]
    assert [r.steps for r in history.epochs] == [3, 6, 9]
    assert history.stopped == "epochs"
    assert bench.program.calls == ["train"]
    assert bench.program.steps_seen == [(i + 1, i // 3 + 1) for i in range(9)]
    assert bench.executable.counters.step == 10
    assert history["loss"][0] > history["loss"][2]
    assert history["objective"][0] == pytest.approx(history["loss"][0] + 1)


def test_a_second_fit_goes_on_counting_steps_but_not_epochs(bench):
    bench.fit(epochs=1)
    history = bench.fit(epochs=1)
    assert history.epochs[0].epoch == 1
    assert bench.program.steps_seen[3] == (4, 1)


def test_a_resumed_run_goes_on_with_its_epochs(bench):
    history = bench.fit(epochs=2)
    history = bench.fit(epochs=5, history=history)
    assert [r.epoch for r in history.epochs] == [1, 2, 3, 4, 5]
    assert [r.steps for r in history.epochs] == [3, 6, 9, 12, 15]
    assert bench.program.steps_seen[-1] == (15, 5)
    again = bench.fit(epochs=5, history=history)
    assert len(again) == 5
    assert bench.executable.counters.step == 16


def test_max_steps_cuts_an_epoch_short(bench):
    history = bench.fit(epochs=9, max_steps=4)
    assert [r.steps for r in history.epochs] == [3, 4]
    assert history.stopped == "max_steps"
    assert bench.executable.counters.step == 5


def test_max_steps_at_the_end_of_an_epoch_is_the_reason(bench):
    assert bench.fit(epochs=9, max_steps=6).stopped == "max_steps"
    assert bench.fit(epochs=2, max_steps=6).stopped == "epochs"


def test_max_steps_without_epochs_takes_as_many_as_needed(bench):
    assert [r.steps for r in bench.fit(epochs=None, max_steps=7).epochs] == [3, 6, 7]


def test_batch_larger_than_the_data(bench):
    assert [r.steps for r in bench.fit(epochs=2, batch=1000).epochs] == [1, 2]


def test_validation_runs_after_each_epoch(bench):
    history = bench.fit(epochs=3, validation=bench.data)
    assert bench.program.calls == ["train", "evaluate"] * 3
    assert len(history["validation.loss"]) == 3
    assert history["validation.loss"][0] > history["validation.loss"][2]


def test_patience_and_restore_best(bench):
    bench.executable.scalars["lr"] = 0.6
    history = bench.fit(epochs=50, patience=3, restore_best=True)
    best = int(np.argmin(history["objective"])) + 1
    assert history.stopped == "patience"
    assert len(history) == best + 3 < 50
    assert history.kept_epoch == best
    assert history.kept is history.epochs[best - 1]
    assert bench.executable.counters.step == 3 * best + 1  # all of the epoch that was kept
    assert bench.executable.optimizer["h.W.v"][0, 0] == 3 * best


def test_stop_change(bench):
    history = bench.fit(epochs=1000, stop_change=1e-3)
    objective = history["objective"]
    assert history.stopped == "stop_change"
    assert abs(objective[-1] - objective[-2]) <= 1e-3 < abs(objective[-2] - objective[-3])


def test_an_interrupt_returns_the_history_so_far(bench):
    bench.executable.scalars["pause"] = 0.01
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    handler = signal.getsignal(signal.SIGINT)
    began = time.perf_counter()
    history = bench.fit(epochs=300)
    assert time.perf_counter() - began < 5
    assert history.stopped == "interrupted"
    assert signal.getsignal(signal.SIGINT) is handler
    done = bench.executable.counters.step - 1
    assert done == len(bench.program.steps_seen) == history.epochs[-1].steps > 3
    assert bench.executable.optimizer["h.b.v"][0] == done


def test_an_interrupt_between_epochs_is_not_lost(bench):
    bench.executable.scalars["pause"] = 0.01
    threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert bench.fit(epochs=300, validation=bench.data).interrupted


def state_of(bench):
    e = bench.executable
    blocks = (e.parameters.memory, e.states.memory, e.optimizer.memory)
    return [b.tobytes() for b in blocks] + [e.counters.step]


@pytest.mark.parametrize("stops", [(4,), (1, 2), (3,), (4, 5, 8), (7,)])
@pytest.mark.parametrize("by_epoch", [False, True])
def test_a_run_cut_short_goes_on_in_the_middle_of_its_epoch(
    bench, program, samples, stops, by_epoch
):
    """The same steps, epochs and history as without a stop; an epoch has 3 steps here."""
    extra = {"stop_change": 0.0} if by_epoch else {}
    whole = bench.fit(epochs=3, **extra)
    seen, expected = list(program.steps_seen), state_of(bench)
    program.steps_seen.clear()
    other = Bench(program, samples)
    history = None
    for stop in stops:
        history = other.fit(epochs=3, max_steps=stop, history=history, **extra)
        assert history.epochs[-1].steps == stop
        assert history.epochs[-1].epoch == -(-stop // 3)
    history = other.fit(epochs=3, history=history, **extra)
    assert program.steps_seen == seen
    assert state_of(other) == expected
    assert [(r.epoch, r.steps, r.samples) for r in history.epochs] == [
        (r.epoch, r.steps, r.samples) for r in whole.epochs
    ]
    for name in ("objective", "loss", "error"):
        assert history[name] == pytest.approx(whole[name], rel=1e-6)


def test_an_interrupted_epoch_is_not_done(bench):
    class Interrupting(Silent):
        def steps(self, done, epoch, values):
            if done > 3:
                os.kill(os.getpid(), signal.SIGINT)

    bench.executable.scalars["pause"] = 0.06
    history = bench.fit(epochs=3, reporter=Interrupting())
    last = history.epochs[-1]
    assert history.interrupted
    assert (last.epoch, last.samples) == (last.steps // 3 + 1, last.steps % 3 * 8)
    again = History.from_json(history.as_json())
    history = bench.fit(epochs=3, history=again)
    assert [(r.epoch, r.steps, r.samples) for r in history.epochs] == [
        *((1, 3, None), (2, 6, None), (3, 9, None))
    ]
    assert bench.program.steps_seen == [(i + 1, i // 3 + 1) for i in range(9)]


def test_an_epoch_cut_short_is_left_when_its_values_are(bench):
    """After `restore_best` the model is that of an earlier epoch."""
    bench.executable.scalars["lr"] = 1.5  # diverges
    history = bench.fit(epochs=50, max_steps=10, restore_best=True)
    assert history.kept_epoch < history.epochs[-1].epoch == 4
    again = bench.fit(epochs=5, history=history)
    assert [r.epoch for r in again.epochs] == [1, 2, 3, 4, 5]
    assert again.epochs[-2].samples is not None
    assert again.kept_epoch is None


def test_values_are_reported_before_the_first_epoch_ends(bench):
    class Watching(Silent):
        seen = ()

        def steps(self, done, epoch, values):
            self.seen += ((done, epoch, dict(values)),)

    bench.executable.scalars["pause"] = 0.12
    watching = Watching()
    history = bench.fit(epochs=2, reporter=watching)
    done, epoch, values = watching.seen[0]
    assert (done, epoch) == (1, 1)
    assert set(values) == {"objective", "loss", "error"}
    assert 0 < values["loss"] != history["loss"][0]
    assert {e for _, e, _ in watching.seen} == {1, 2}


def test_results_that_are_all_nan_are_recorded(bench):
    bench.executable.scalars["lr"] = float("nan")
    history = bench.fit(epochs=2, max_steps=4, patience=9)
    assert [r.steps for r in history.epochs] == [3, 4]
    assert math.isnan(history["loss"][1])


def test_epochs_are_reported_while_the_native_loop_runs(bench):
    class Watching(Silent):
        seen = ()

        def epoch(self, done, record):
            self.seen += ((done, record.steps, time.perf_counter()),)

    bench.fit(epochs=1)
    bench.executable.scalars["pause"] = 0.01
    watching = Watching()
    bench.fit(epochs=20, reporter=watching)
    done, steps, times = zip(*watching.seen, strict=True)
    assert done == tuple(range(3, 63, 3))
    assert steps == tuple(range(6, 66, 3))
    assert times[-1] - times[0] > 0.3
    assert bench.program.calls == ["train", "train"]


def test_a_failing_reporter_leaves_no_native_call_behind(bench):
    class Broken(Silent):
        def steps(self, done, epoch, values):
            raise BrokenPipeError

    bench.executable.scalars["pause"] = 0.01
    with pytest.raises(BrokenPipeError):
        bench.fit(epochs=300, reporter=Broken())
    done = len(bench.program.steps_seen)
    assert bench.executable.counters.step == done + 1
    time.sleep(0.05)
    assert len(bench.program.steps_seen) == done


def test_fit_in_another_thread(bench):
    found = []
    thread = threading.Thread(target=lambda: found.append(bench.fit(epochs=2)))
    thread.start()
    thread.join()
    assert len(found[0]) == 2


@pytest.mark.parametrize(
    ("nanoseconds", "steps", "here"),
    [(0, 1, False), (1, 1, True), (AT_ONCE // 2, 1, True), (AT_ONCE // 2, 3, False)],
)
def test_a_short_run_needs_no_other_thread(bench, nanoseconds, steps, here):
    """One of an unknown length is watched like a long one."""
    bench.program.nanoseconds = nanoseconds
    seen = []
    original = bench.program._train
    bench.program._train = lambda c: (seen.append(threading.current_thread()), original(c))
    assert bench.fit(epochs=None, max_steps=steps).epochs[-1].steps == steps
    assert (seen == [threading.main_thread()]) == here


def test_an_interrupt_during_a_short_run(bench):
    bench.program.nanoseconds = 1
    original = bench.program._train
    bench.program._train = lambda c: (original(c), os.kill(os.getpid(), signal.SIGINT))
    history = bench.fit(epochs=5, validation=bench.data)
    assert history.interrupted
    assert history.epochs[-1].steps == bench.executable.counters.step - 1 == 3


def test_shuffle_codes_reach_the_native_loop(bench):
    seen = []
    original = bench.program._train
    bench.program._train = lambda c: (seen.append(c.slot(15)), original(c))
    for shuffle in ("false", "true", "with_replacement"):
        bench.fit(shuffle=shuffle)
    assert seen == [0, 1, 2]


# -- stopping rules by themselves ------------------------------------------------------------------


def record(epoch, objective, **validation):
    return EpochRecord(epoch, epoch, 0.0, {"objective": objective, "accuracy": 0.5}, validation)


def observed(options, monitor, values):
    stopping = Stopping(options, monitor)
    return [stopping.observe(record(i + 1, v)) for i, v in enumerate(values)], stopping


def test_min_delta_is_the_least_improvement():
    options = RunOptions(patience=2, min_delta=0.1)
    monitor = Monitor.of(options, ("objective",), False)
    reasons, stopping = observed(options, monitor, [1.0, 0.95, 0.91, 0.5])
    assert reasons == [None, None, "patience", None]
    assert stopping.best_epoch == 4


def test_nan_is_never_an_improvement():
    options = RunOptions(patience=2)
    monitor = Monitor.of(options, ("objective",), False)
    reasons, stopping = observed(options, monitor, [1.0, math.nan, math.nan])
    assert reasons[-1] == "patience"
    assert stopping.best_epoch == 1


@pytest.mark.parametrize(
    ("text", "validation", "expected"),
    [
        (None, False, Monitor("objective", False, 1.0)),
        (None, True, Monitor("loss", True, 1.0)),
        ("accuracy", True, Monitor("accuracy", True, -1.0)),
        ("-accuracy", False, Monitor("accuracy", False, 1.0)),
        ("training.loss", True, Monitor("loss", False, 1.0)),
    ],
)
def test_monitor_names(text, validation, expected):
    options = RunOptions(monitor=text)
    assert Monitor.of(options, ("objective", "loss", "accuracy"), validation) == expected


@pytest.mark.parametrize(
    ("text", "word"), [("acuracy", "accuracy"), ("validation.loss", "no valid")]
)
def test_wrong_monitors(text, word):
    with pytest.raises(UsageError, match=word):
        Monitor.of(RunOptions(monitor=text), ("loss", "accuracy"), False)
