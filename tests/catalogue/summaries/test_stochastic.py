"""Minibatches, epochs, stopping and schedules."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

LINE = """
net Line {
  input x: [2]
  target y: [1]
  param w: [2] = 0.5
  p = sum(x * w)
  loss half_squared_error(p, y)
}
train { optimizer = sgd(lr=0.1) }
"""


def gradients(model: netc.Model, x: np.ndarray, y: np.ndarray, sets: object) -> np.ndarray:
    """The gradients of minibatches, given by the numbers of their samples."""
    found = []
    for rows in sets:
        model.forward(x[rows], training=True)
        model.backward(y[rows])
        found.append(model.grads["w"].copy())
    return np.array(found)


@experiment("S18", "002.6.0 002.6.1", where="`backward` of every minibatch")
def test_s18_the_mean_over_all_pairs_is_the_whole_gradient() -> None:
    """The mean over all C(5, 2) = 10 subsets is the gradient; C(4, 1)/C(5, 2) = 2/5 = k/n."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(5, 2)), draw.normal(size=(5, 1))
    pairs = [list(rows) for rows in combinations(range(5), 2)]
    assert len(pairs) == 10
    assert comb(4, 1) / comb(5, 2) == 2 / 5
    model = compiled(LINE)
    whole = gradients(model, x, y, [list(range(5))])[0]
    np.testing.assert_allclose(gradients(model, x, y, pairs).mean(0), whole, rtol=1e-13)
    each = gradients(model, x, y, [[i] for i in range(5)])
    np.testing.assert_allclose(each.mean(0), whole, rtol=1e-13)


@experiment("S18", "002.6.2", where="`backward` of random minibatches")
def test_s18_the_variance_of_a_gradient_falls_with_the_size_of_its_batch() -> None:
    """σ²/|I| within 5 % for 1, 4, 16, 64 with replacement; without, times (n - |I|)/(n - 1)."""
    draw = np.random.default_rng(1)
    n, trials = 100, 8000
    x, y = draw.normal(size=(n, 2)), draw.normal(size=(n, 1))
    model = compiled(LINE)
    variance = gradients(model, x, y, [[i] for i in range(n)]).var(0).sum()
    for size in (1, 4, 16, 64):
        drawn = gradients(model, x, y, draw.integers(0, n, (trials, size))).var(0).sum()
        assert drawn == pytest.approx(variance / size, rel=0.05)
    apart = gradients(model, x, y, (draw.permutation(n)[:64] for _ in range(trials // 2)))
    assert apart.var(0).sum() == pytest.approx(variance / 64 * 36 / 99, rel=0.05)


@experiment("S19", "002.6.3", where="`fit` with `max_steps`, `stop_change`, `patience`")
def test_s19_minibatch_descent_reaches_its_target_and_every_criterion_stops_it() -> None:
    """200 samples in batches of 10: loss below 0.01 from 4.5; three criteria end a run."""
    draw = np.random.default_rng(2)
    x = draw.normal(size=(200, 2))
    y = x @ [[2.0], [-1.5]] + 0.05 * draw.normal(size=(200, 1))
    model = compiled(LINE)

    def run(**options: object) -> str | None:
        model.params["w"] = [0.5, 0.5]
        return model.fit(x, y, batch=10, progress=False, **options).stopped

    assert run(epochs=20) == "epochs"
    assert model.evaluate(x, y)["loss"] < 0.01
    assert run(max_steps=7) == "max_steps"
    assert model.history.epochs[-1].samples == 70
    assert run(epochs=500, stop_change=1e-9, shuffle=False) == "stop_change"
    held = draw.normal(size=(50, 2))
    assert run(epochs=500, patience=3, validation=(held, held @ [[1.0], [0.0]])) == "patience"


CLOCKS = """
## A slope of 1: the parameter falls by the learning rate.
net Clocks {
  input x: [1]
  param w: [1] = 0
  param a: [1] = 0
  param b: [1] = 0
  param c: [1] = 0
  loss sum(w + a + b + c)
}
train {
  optimizer("w") = sgd(lr=0.5 * linear_decay(last=0.1, over=10))
  optimizer("a") = sgd(lr=inverse_time(1))
  optimizer("b") = sgd(lr=exponential_decay(0.95))
  optimizer("c") = sgd(lr=inverse_sqrt())
  batch = 1
}
"""


@experiment("S19", "002.6.4", where="`linear_decay` of the prelude")
def test_s19_a_linear_schedule_falls_by_a_constant_step_and_stays() -> None:
    """ε_k = (1 - a) ε_0 + a ε_τ, a = min(k/τ, 1): falls by 0.045 ten times, then is 0.05."""
    model = compiled(CLOCKS)
    values = [0.0]
    for _ in range(15):
        model.step([[0.0]])
        values.append(float(model.params["w"][0]))
    rates = -np.diff(values)
    k = np.minimum(np.arange(1, 16) / 10, 1)
    np.testing.assert_allclose(rates, (1 - k) * 0.5 + k * 0.05, rtol=1e-12)
    np.testing.assert_allclose(np.diff(rates)[:9], -0.045, rtol=1e-10)
    np.testing.assert_allclose(rates[9:], 0.05, rtol=1e-12)


@experiment(
    "S45",
    "003.7.10a 003.7.10b 003.7.10c",
    where="`inverse_time`, `exponential_decay`, `inverse_sqrt` of the prelude, clock `epoch`",
)
def test_s45_three_schedules_count_epochs_from_one() -> None:
    """Epochs 1, 2, 4, 10: .5, .3333, .2, .0909; .95, .9025, .8145, .5987; 1, .7071, .5, .3162."""
    model = compiled(CLOCKS)
    values = {name: [0.0] for name in "abc"}
    for epoch in range(1, 11):
        model.fit(np.zeros((1, 1)), epochs=epoch, resume=epoch > 1, progress=False)
        for name, falls in values.items():
            falls.append(float(model.params[name][0]))
    rates = {name: -np.diff(falls)[[0, 1, 3, 9]] for name, falls in values.items()}
    np.testing.assert_allclose(rates["a"], [0.5, 1 / 3, 0.2, 0.0909091], rtol=5e-7)
    np.testing.assert_allclose(rates["b"], [0.95, 0.9025, 0.81450625, 0.59873694], atol=5e-9)
    np.testing.assert_allclose(rates["c"], [1, 0.70710678, 0.5, 0.31622777], atol=5e-9)


EPOCHS = """
## Counts how often each sample has been in a training step.
net Epochs {
  input index: class[50]
  input x: [2]
  target y: [1]
  state seen: [50] = 0
  seen <- seen + batch_sum(one_hot(index, 50))
  param w: [2] = 0.5
  p = sum(x * w)
  loss half_squared_error(p, y)
}
train { optimizer = sgd(lr=0.1) }
"""


@experiment("S44", "003.7.9", where="`batch`, `epochs`, `shuffle` of the train block")
def test_s44_an_epoch_sees_every_sample_once_and_a_full_batch_is_gradient_descent() -> None:
    """50 samples, ⌈50/batch⌉ steps an epoch; batch 50 is gradient descent, 1 SGD, bit for bit."""
    draw = np.random.default_rng(3)
    index, x, y = np.arange(50), draw.normal(size=(50, 2)), draw.normal(size=(50, 1))
    model = compiled(EPOCHS)
    for batch, steps in ((16, 4), (8, 7), (50, 1), (64, 1), (1, 50)):
        model.state["seen"] = np.zeros(50)
        before = model.history.epochs[-1].steps if model.history.epochs else 0
        history = model.fit(index, x, y, batch=batch, epochs=2, progress=False)
        assert history.epochs[0].steps - before == steps
        assert history.epochs[1].steps - history.epochs[0].steps == steps
        np.testing.assert_array_equal(model.state["seen"], 2)
    for batch in (50, 1):
        model.params["w"] = [0.5, 0.5]
        model.fit(index, x, y, batch=batch, epochs=1, shuffle=False, progress=False)
        fitted = model.params["w"].copy()
        model.params["w"] = [0.5, 0.5]
        for i in range(0, 50, batch):
            rows = slice(i, i + batch)
            model.step(index[rows], x[rows], y[rows])
        np.testing.assert_array_equal(model.params["w"], fitted)
