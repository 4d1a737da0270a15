"""The native training loop: the same steps one by one; its order, counters, stop, history."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.driver import compile_text
from netc.grammar.source import Source
from netc.runtime.executable import Executable, TrainingRun

SAMPLES, BATCH = 43, 10
STEPS = -(-SAMPLES // BATCH)
TEXT, SHUFFLED, REPLACED = 0, 1, 2
NET = """net Tiny {
  input x: [6]
  target t: class[3]
  state seen: [] = 0
  h = x |> dense(9, act=tanh) |> dropout(0.2)
  logits = h |> dense(3)
  if training { seen <- seen + 1 }
  output p = softmax(logits)
  loss cross_entropy(logits, t)
  penalty 1e-3 * l2(weights)
  metric accuracy = argmax(logits) == t
}
train { optimizer = adam(lr = 0.01 * 0.9^epoch); seed = 4 }
"""
PROGRAMS = {p: compile_text(Source("tiny.net", NET), precision=p) for p in ("f32", "f64")}


class Trainer:
    """An executable with data of its own."""

    def __init__(self, precision="f64", seed=4):
        program = PROGRAMS[precision]
        self.executable = Executable(program.manifest, program.native, program.initial(seed), seed)
        rng = np.random.default_rng(0)
        dtype = self.executable.dtype
        self.x = rng.normal(size=(SAMPLES, 6)).astype(dtype)
        self.t = rng.integers(0, 3, SAMPLES).astype(dtype)

    def train(self, epochs=1, shuffle=SHUFFLED, max_steps=0, stop=0, batch=BATCH, first=0):
        self.progress = np.array([0, stop, 0, 0])
        self.order = np.full(SAMPLES, -1)
        self.history = np.full((epochs, len(self.executable.manifest.results)), np.nan)
        run = TrainingRun(SAMPLES, batch, shuffle, epochs, max_steps,
                          self.order, self.progress, self.history, first)  # fmt: skip
        self.executable.train(run, self.addresses(self.x, self.t))
        return self

    def addresses(self, *arrays):
        return [*(a.ctypes.data for a in arrays), 0]

    def step(self, rows):
        x, t = self.x[rows].copy(), self.t[rows].copy()
        results = self.executable.run("step", len(rows), self.addresses(x, t))
        self.executable.counters.step += 1
        return np.array(results)

    def values(self):
        e = self.executable
        blocks = (e.parameters, e.states, e.optimizer)
        stored = {f"{i}.{n}": v.copy() for i, block in enumerate(blocks) for n, v in block.items()}
        assert len(stored) == 4 + 1 + 8
        return stored


def assert_same(found, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, name)


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("shuffle", [TEXT, SHUFFLED, REPLACED])
def test_training_is_the_same_sequence_of_steps(precision, shuffle):
    """Bit for bit, over two epochs, the smaller last batch included; so are the weighted means."""
    fast, slow = Trainer(precision).train(epochs=2, shuffle=shuffle), Trainer(precision)
    for epoch in (1, 2):
        slow.executable.counters.epoch = epoch
        order = order_of(epoch, shuffle, precision)
        batches = [order[i : i + BATCH] for i in range(0, SAMPLES, BATCH)]
        results = np.array([slow.step(rows) for rows in batches])
        means = np.average(results, axis=0, weights=[len(rows) for rows in batches])
        np.testing.assert_allclose(fast.history[epoch - 1], means, rtol=1e-14)
    assert_same(fast.values(), slow.values())
    assert fast.progress[:3].tolist() == [2 * STEPS, 0, 2]
    assert fast.values()["1.seen"] == 2 * STEPS


def order_of(epoch, shuffle, precision="f64", seed=4):
    trainer = Trainer(precision, seed)
    trainer.executable.counters.epoch = epoch
    return trainer.train(shuffle=shuffle).order


def test_text_order():
    assert order_of(1, TEXT).tolist() == list(range(SAMPLES))


def test_shuffled_order_is_a_permutation_of_seed_and_epoch():
    first = order_of(1, SHUFFLED)
    assert sorted(first) == list(range(SAMPLES))
    assert first.tolist() != list(range(SAMPLES))
    assert first.tolist() == order_of(1, SHUFFLED).tolist()
    assert first.tolist() != order_of(2, SHUFFLED).tolist()
    assert first.tolist() != order_of(1, SHUFFLED, seed=5).tolist()


def test_every_sample_comes_to_every_place():
    """Over many epochs the mean place of each sample is the middle, within 5 standard errors."""
    trainer = Trainer("f32")
    orders = []
    for epoch in range(1, 301):
        trainer.executable.counters.epoch = epoch
        orders.append(trainer.train(max_steps=1).order.copy())
    places = np.argsort(orders, axis=1)
    error = SAMPLES / np.sqrt(12 * len(orders))
    assert np.all(np.abs(places.mean(axis=0) - (SAMPLES - 1) / 2) < 5 * error)


def test_order_with_replacement_stays_in_range():
    drawn = np.concatenate([order_of(epoch, REPLACED) for epoch in range(1, 21)])
    assert set(drawn) == set(range(SAMPLES))
    assert len(set(order_of(1, REPLACED))) < SAMPLES


@pytest.mark.parametrize("limit", [1, 3, STEPS, STEPS + 2])
def test_the_step_limit_is_exact(limit):
    """It ends in the middle of an epoch, whose means are those of the samples seen."""
    limited, whole = Trainer().train(epochs=3, max_steps=limit), Trainer()
    for done in range(limit):
        whole.executable.counters.epoch = 1 + done // STEPS
        start = done % STEPS * BATCH
        rows = order_of(1 + done // STEPS, SHUFFLED)[start : start + BATCH]
        last = whole.step(rows)
    assert_same(limited.values(), whole.values())
    assert limited.progress[:3].tolist() == [limit, 0, limit // STEPS]
    finished = -(-limit // STEPS)
    assert np.all(np.isfinite(limited.history[:finished]))
    assert np.all(np.isnan(limited.history[finished:]))
    if limit == 1:
        np.testing.assert_allclose(limited.history[0], last, rtol=1e-15)


@pytest.mark.parametrize("shuffle", [TEXT, SHUFFLED, REPLACED])
@pytest.mark.parametrize("done", [1, 3, STEPS - 1])
def test_an_epoch_begun_is_finished(shuffle, done):
    """The samples before `first` are left out, of the first epoch only."""
    whole = Trainer().train(epochs=2, shuffle=shuffle)
    parts = Trainer().train(shuffle=shuffle, max_steps=done)
    beginning = parts.history[0].copy()
    parts.executable.counters.step += done
    parts.train(epochs=2, shuffle=shuffle, first=done * BATCH)
    assert parts.progress[:3].tolist() == [2 * STEPS - done, 0, 2]
    assert_same(parts.values(), whole.values())
    share = done * BATCH / SAMPLES
    means = share * beginning + (1 - share) * parts.history[0]
    np.testing.assert_allclose(means, whole.history[0], rtol=1e-13)
    np.testing.assert_array_equal(parts.history[1], whole.history[1])


def test_a_stop_request_ends_before_the_next_step():
    trainer = Trainer()
    before = trainer.values()
    trainer.train(epochs=5, stop=1)
    assert trainer.progress[:3].tolist() == [0, 1, 0]
    assert np.all(np.isnan(trainer.history))
    assert_same(trainer.values(), before)


def test_a_batch_larger_than_the_data_is_the_data():
    assert_same(
        Trainer().train(batch=1000, shuffle=TEXT).values(),
        Trainer().train(batch=SAMPLES, shuffle=TEXT).values(),
    )


def test_two_runs_have_the_same_bits():
    assert_same(Trainer("f32").train(epochs=3).values(), Trainer("f32").train(epochs=3).values())
