"""Run options: every bad value is refused with the option's name and what it must be."""

import numpy as np
import pytest

from netc.runtime.arguments import Batch
from netc.runtime.errors import DataError, UsageError
from netc.runtime.history import EpochRecord, History
from netc.runtime.options import OPTION_NAMES, RunOptions
from netc.runtime.split import hold_out


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch", 0),
        ("batch", 1.5),
        ("batch", "8"),
        ("batch", True),
        ("epochs", -1),
        ("epochs", float("nan")),
        ("max_steps", 0),
        ("shuffle", "maybe"),
        ("validation", 1.0),
        ("validation", -0.1),
        ("patience", -1),
        ("min_delta", -1),
        ("restore_best", 1.5),
        ("stop_change", float("inf")),
        ("monitor", 3),
    ],
)
def test_bad_values(name, value):
    with pytest.raises(UsageError, match=f"`{name}` must be"):
        RunOptions().override({name: value})


def test_good_values():
    changes = {"batch": np.int64(4), "epochs": 2.0, "shuffle": True, "restore_best": False}
    options = RunOptions(shuffle="false").override(changes)
    assert (options.batch, options.epochs, options.shuffle) == (4, 2, "true")
    assert set(changes) < set(OPTION_NAMES)


def test_max_steps_alone_lifts_the_epochs():
    assert RunOptions(epochs=5).override({"max_steps": 10}).epochs is None
    assert RunOptions(epochs=5).override({"max_steps": 10, "epochs": 2}).epochs == 2


def batch(n):
    return Batch({"x": np.arange(n, dtype=np.float32)}, n)


def test_hold_out_depends_on_seed_and_size_only():
    first = hold_out(batch(100), 0.2, 7, shuffled=True)
    again = hold_out(batch(100), 0.2, 7, shuffled=True)
    other = hold_out(batch(100), 0.2, 8, shuffled=True)
    kept, held = (b.arrays["x"] for b in first)
    assert len(held) == 20
    assert sorted([*kept, *held]) == list(range(100))
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(held, again[1].arrays["x"])
    assert not np.array_equal(held, other[1].arrays["x"])


def test_hold_out_in_order_takes_the_last():
    _, held = hold_out(batch(10), 0.3, 0, shuffled=False)
    np.testing.assert_array_equal(held.arrays["x"], [7, 8, 9])


def test_hold_out_of_too_little():
    with pytest.raises(DataError, match="no samples for training"):
        hold_out(batch(1), 0.5, 0, shuffled=True)


def test_history_survives_json_with_nan():
    history = History(
        [EpochRecord(1, 3, 0.5, {"loss": float("nan")}, {"loss": 1.0})], "patience", 1
    )
    data = history.as_json()
    again = History.from_json(data)
    assert data["epochs"][0]["training"]["loss"] is None
    assert np.isnan(again["loss"][0])
    assert again["validation.loss"] == [1.0]
    assert (again.stopped, again.kept_epoch, again.seconds) == ("patience", 1, 0.5)


@pytest.mark.parametrize("data", [{}, {"epochs": [{}]}, {"epochs": 3}, {"epochs": [1]}])
def test_damaged_history(data):
    with pytest.raises(DataError, match="damaged"):
        History.from_json(data)
