"""The reporters: what a bar and a log show, and when."""

import io

import pytest
from rich.console import Console

from netc.runtime import bar
from netc.runtime.bar import Bar
from netc.runtime.history import EpochRecord
from netc.runtime.progress import Lines, Plan, Silent, reporter

PLAN = Plan(steps=30, samples=100, per_epoch=10, epochs=3)


def record(epoch, validation=None):
    training = {"objective": 3.0, "loss": 2.0 / epoch, "accuracy": 0.5}
    return EpochRecord(epoch, 10 * epoch, 1.0, training, validation)


@pytest.fixture
def shown(monkeypatch):
    """A bar, and what it has written so far."""
    output = io.StringIO()
    terminal = Console(file=output, force_terminal=True, width=160, color_system=None)
    monkeypatch.setattr(bar, "Console", lambda **_: terminal)
    made = Bar()
    made.start(PLAN)

    def text():
        made._progress.refresh()
        return output.getvalue().rsplit("\r", 1)[-1]

    yield made, text
    made.close()


def test_the_bar_shows_the_epoch_that_is_running(shown):
    made, text = shown
    assert "loss" not in text()
    made.steps(3, 1, {"objective": 3.0, "loss": 0.25, "accuracy": 0.75})
    assert "epoch 1/3" in text()
    assert "loss 0.25 accuracy 0.75" in text()
    assert "objective" not in text()
    assert "samples/s" in text()


def test_the_bar_keeps_the_last_validation(shown):
    made, text = shown
    made.epoch(10, record(1, {"loss": 0.125}))
    assert "loss 2 accuracy 0.5 | validation loss 0.125" in text()
    made.steps(13, 2, {"loss": 1.5})
    assert "epoch 2/3" in text()
    assert "loss 1.5 | validation loss 0.125" in text()


def test_lines_print_the_last_epoch_and_at_most_one_a_second(capsys):
    lines = Lines()
    lines.start(PLAN)
    lines.steps(3, 1, {"loss": 7.0})
    for epoch in (1, 2, 3):
        lines.epoch(10 * epoch, record(epoch))
    assert len(capsys.readouterr().err.splitlines()) == 1
    lines.close()
    assert capsys.readouterr().err.startswith("epoch 3/3  loss 0.6667 accuracy 0.5  ")


def test_the_reporter_suits_standard_error(monkeypatch):
    assert isinstance(reporter(shown=False), Silent)
    assert isinstance(reporter(shown=True), Lines)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(reporter(shown=True), Bar)
