"""Stochastic gradient descent as a regulariser: the two ways to sample, and how far it strays."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import chisquare

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

COUNTING = """
net Counting {
  input index: class[50]
  state seen: [50] = 0
  state most: [50] = 0
  param w = 0
  now = batch_sum(one_hot(index, 50))
  seen <- seen + now
  most <- max(most, now)
  loss w
}
train { optimizer = sgd(lr = 0); batch = 8 }
"""
"""The net counts the samples that training shows it."""


@experiment("X35", "000.8.11", where='`shuffle = true`, `shuffle = "with_replacement"`')
def test_x35_an_epoch_without_replacement_shows_each_sample_once() -> None:
    """After 7 epochs each of 50 samples has been seen 7 times, and never twice in a minibatch of 8;
    drawn with replacement, some are seen twice in a minibatch and counts spread as binomial ones:
    over 200 epochs their chi-square is within its 0.1 % limits and their variance near 196."""
    samples = np.arange(50)
    model = compiled(COUNTING)
    model.fit(samples, epochs=7, progress=False)
    assert (model.state["seen"] == 7).all()
    assert (model.state["most"] == 1).all()

    model = compiled(COUNTING)
    model.fit(samples, epochs=200, shuffle="with_replacement", progress=False)
    seen = model.state["seen"]
    assert seen.sum() == 200 * 50
    assert (model.state["most"] > 1).any()
    assert 0.001 < chisquare(seen).pvalue < 0.999
    assert 98 < seen.var() < 310


VALLEY = """
net Valley {
  input x: [200]
  param w: [200] = 0
  state count: [] = 0
  state total: [200] = 0
  state squares: [200] = 0
  count <- count + 1
  total <- total + w
  squares <- squares + w^2
  loss 0.5 * sum((w - x)^2)
}
train { optimizer = sgd(lr = 0.1) }
"""
"""200 parabolas of curvature 1; the states follow the mean and the variance of the iterates."""

SAMPLES = 64


@cache
def valley() -> tuple[netc.Model, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(SAMPLES, 200))
    return compiled(VALLEY), (x - x.mean(axis=0)) / x.std(axis=0)


def spread(lr: float, batch: int, *, steps: int = 4000, shuffle: str | bool) -> float:
    """The stationary variance of the iterates, averaged over the parabolas."""
    model, x = valley()
    model.params["w"] = np.zeros(200)
    model.fit(x, lr=lr, batch=batch, max_steps=200, epochs=10**6, shuffle=shuffle, progress=False)
    for values in model.state.values():
        values[...] = 0
    model.fit(x, lr=lr, batch=batch, max_steps=steps, epochs=10**6, shuffle=shuffle, progress=False)
    count, total, squares = (model.state[name] for name in ("count", "total", "squares"))
    return float(np.mean(squares / count - (total / count) ** 2))


def temperature(lr: float, batch: int, samples: int | None = None) -> float:
    """η / 2b with replacement, and η / 2b (1 - b / N) without."""
    return lr / (2 * batch) * (1 - (batch / samples if samples else 0))


@experiment("X36", "000.8.11", where='`shuffle = "with_replacement"`, `batch`, `fit(lr=…)`')
@pytest.mark.parametrize(("lr", "batch"), [(0.1, 4), (0.2, 4), (0.1, 8), (0.2, 8)])
def test_x36_the_iterates_stray_by_the_temperature(lr: float, batch: int) -> None:
    """On parabolas of curvature 1 with gradient noise of variance 1, the stationary variance of the
    iterates is η / 2b / (1 - η / 2) within 3 % for η = 0.1, 0.2 and b = 4, 8: it grows with the
    rate, falls with the batch, and depends on little but η / b."""
    found = spread(lr, batch, shuffle="with_replacement")
    assert found == pytest.approx(temperature(lr, batch) / (1 - lr / 2), rel=0.03)


@experiment("X35", "000.8.11", where="`shuffle = true`, `batch`")
def test_x35_without_replacement_a_full_batch_does_not_stray() -> None:
    """β⁻¹ is 3.90625e-4 with and 3.897917e-4 without replacement for η = 0.1, b = 128, N = 60,000,
    and 0 for b = N: then the iterates have variance 0, while with replacement they stray by
    η / 2N."""
    assert temperature(0.1, 128) == 3.90625e-4
    assert temperature(0.1, 128, 60_000) == pytest.approx(3.897917e-4, abs=5e-11)
    assert temperature(0.1, 64, 64) == 0
    assert spread(0.1, SAMPLES, shuffle=True) < 1e-30
    found = spread(0.1, SAMPLES, shuffle="with_replacement")
    assert found == pytest.approx(temperature(0.1, SAMPLES) / 0.95, rel=0.03)


@experiment("X35", "000.8.11", where="`shuffle = true`, `batch`")
def test_x35_the_noise_of_a_minibatch_without_replacement() -> None:
    """Over 300 first minibatches of b = 32 of N = 64 samples the variance of one step of rate 1 is
    1/b (1 - b/N) N / (N - 1) within 3 %; with replacement it is 1/b."""
    model, x = valley()
    for shuffle, expected in ((True, 1 / 32 * 0.5 * 64 / 63), ("with_replacement", 1 / 32)):
        steps = []
        for seed in range(300):
            model.seed = seed
            model.params["w"] = np.zeros(200)
            model.fit(x, lr=1, batch=32, max_steps=1, shuffle=shuffle, progress=False)
            steps.append(np.array(model.params["w"]))
        model.seed = 0
        assert np.mean(np.square(steps)) == pytest.approx(expected, rel=0.03)
