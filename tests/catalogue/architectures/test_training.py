"""Training: minibatches and epochs, normalised inputs, initial weights, rates, capacity."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import digits

NET = """
net Small {
  input  x: [5]
  target y: [2]
  p = x |> dense(6, act=tanh) |> dense(2)
  output p
  loss squared_error(p, y)
}
train { optimizer = sgd(lr=0.05); seed = 3 }
"""


@cache
def small():
    """The net, its initial values, and 64 samples of a linear map with noise."""
    model, random = compiled(NET), np.random.default_rng(1)
    x = random.normal(size=(64, 5))
    y = x @ random.normal(size=(5, 2)) + random.normal(0, 0.1, (64, 2))
    return model, np.array(model.params.flat), x, y


@experiment("000.4.10.1", where="`batch`, `shuffle` of `train` and `fit`")
def test_000_4_10_1_full_batch_minibatch_and_on_line():
    """One epoch with B = N is one step of the full gradient, with B = 1 it is 64 steps of single
    samples; the mean of the gradients of 8 minibatches is the full gradient. On data repeated ten
    times B = 32 reaches a loss of 0.1 with less than a fifth of the evaluations of B = 640."""
    model, start, x, y = small()
    model.params.flat = start
    slope = np.concatenate([v.ravel() for v in gradients(model, x, y)[1].values()])
    parts = [
        np.concatenate([v.ravel() for v in gradients(model, x[k::8], y[k::8])[1].values()])
        for k in range(8)
    ]
    np.testing.assert_allclose(np.mean(parts, axis=0), slope, rtol=1e-10, atol=1e-14)
    model.fit(x, y, batch=64, epochs=1, progress=False)
    np.testing.assert_allclose(model.params.flat, start - 0.05 * slope, rtol=1e-11)
    model.params.flat = start
    model.fit(x, y, batch=1, epochs=1, shuffle=False, progress=False)
    online = np.array(model.params.flat)
    model.params.flat = start
    for n in range(64):
        model.step(x[n : n + 1], y[n : n + 1])
    np.testing.assert_allclose(online, model.params.flat, rtol=1e-10)
    epochs = []
    for batch in (32, 640):
        model.params.flat = start
        history = model.fit(
            np.tile(x, (10, 1)), np.tile(y, (10, 1)), batch=batch, epochs=200, progress=False
        )
        epochs.append(int(np.argmax(np.array(history["loss"]) < 0.1)))
    assert 0 < epochs[0] < epochs[1] / 5


@experiment("000.4.10.2", where="`shuffle`, `batch`")
def test_000_4_10_2_an_epoch_takes_every_sample_once():
    """A net that writes down when it saw each of 50 samples shows, for three epochs in
    minibatches of 8, every sample exactly once, in 7 steps of 8, …, 8, 2, in another order each
    time; with replacement some never come."""
    diary = compiled("""
    const N = 50
    optimizer diary(lr = 1) {
      w <- w + step * (g != 0)
    }
    net Diary {
      input i: class[N]
      param seen: [N] = 0
      loss -gather(seen, i)
    }
    train { optimizer = diary(); batch = 8 }""")
    orders = []
    for epoch in range(3):
        diary.params["seen"] = np.zeros(50)
        diary.fit(np.arange(50), epochs=epoch + 1, resume=epoch > 0, progress=False)
        first = 7 * epoch + 1
        steps, counts = np.unique(diary.params["seen"], return_counts=True)
        assert steps.tolist() == list(range(first, first + 7))
        assert counts.tolist() == [8, 8, 8, 8, 8, 8, 2]
        orders.append(tuple(diary.params["seen"] - first))
    assert len(set(orders)) == 3
    diary.params["seen"] = np.zeros(50)
    diary.fit(np.arange(50), epochs=1, shuffle="with_replacement", progress=False)
    assert np.sum(diary.params["seen"] == 0) > 8


@experiment("000.4.10.2", where="`model.step`, `history`")
def test_000_4_10_2_learning_curves():
    """In 5 epochs of 64 samples in minibatches of 8, `step` gives one loss for each of 40 updates;
    `fit` gives their mean for each epoch, and after it the loss of the validation data."""
    model, start, x, y = small()
    model.params.flat = start
    curve = [model.step(x[k : k + 8], y[k : k + 8]) for _ in range(5) for k in range(0, 64, 8)]
    model.params.flat = start
    history = model.fit(
        x, y, validation=(x[:9], y[:9]), batch=8, epochs=5, shuffle=False, progress=False
    )
    assert len(curve) == 40
    assert len(history["validation.loss"]) == 5
    np.testing.assert_allclose(np.reshape(curve, (5, 8)).mean(1), history["loss"], rtol=1e-10)
    last = model.evaluate(x[:9], y[:9])["loss"]
    assert history["validation.loss"][-1] == pytest.approx(last, rel=1e-12)


@experiment("000.4.10.3", where="`standardize`")
def test_000_4_10_3_inputs_around_zero_learn_faster():
    """For one sample with positive inputs all slopes of a unit have the sign of its delta; -δx, not
    the printed δx, lowers the loss. Inputs of mean 5 and standard deviation 3 take more than ten
    times the epochs of standardised ones to a loss of 0.1, and in sigmoid units at s = ±3 only
    0.0451767 of a delta is left, against 0.25 at 0."""
    model, start, x, y = small()
    model.params.flat = start
    before, slope = gradients(model, np.abs(x[:1]), y[:1])
    W = slope["p.dense.W"]
    assert np.all(np.all(W > 0, axis=0) | np.all(W < 0, axis=0))
    for sign in (-1, 1):
        model.params.flat = start + sign * 1e-3 * np.concatenate(
            [v.ravel() for v in slope.values()]
        )
        assert (gradients(model, np.abs(x[:1]), y[:1])[0] < before) == (sign == -1)
    plain = NET.replace("p = x |>", "p = x |> standardize |>")
    epochs = []
    for text in (NET, plain):
        model = compiled(text)
        losses = model.fit(5 + 3 * x, y, lr=0.01, batch=8, epochs=1000, progress=False)["loss"]
        epochs.append(int(np.argmax(np.array(losses) < 0.1)) or 1000)
    assert epochs[1] * 10 < epochs[0]
    sigmoid = compiled("""
    net Slope {
      input s: []
      output slope = grad(sigmoid(s), s)
    }""")
    np.testing.assert_allclose(sigmoid.forward([0, 3, -3]), [0.25, 0.0451767, 0.0451767], atol=5e-8)


@experiment("000.4.10.4", where="`lecun_normal`, `lecun_uniform`, `he_normal`, `he_uniform`")
def test_000_4_10_4_initial_weights_have_variance_1_or_2_over_inputs():
    """For J = 1000 inputs and 50 units the means are 0 and the variances 0.001, for ReLU 0.002, all
    within four standard errors, normal and uniform."""
    model = compiled("""
    net Initial {
      input x: [1000]
      output a = x |> dense(50, init=lecun_normal)
      output b = x |> dense(50, init=lecun_uniform)
      output c = x |> dense(50, init=he_normal, act=relu)
      output d = x |> dense(50, init=he_uniform, act=relu)
    }""")
    for name, variance in (("a", 1e-3), ("b", 1e-3), ("c", 2e-3), ("d", 2e-3)):
        W = model.params[f"{name}.dense.W"]
        assert abs(W.mean()) < 4 * np.sqrt(variance / W.size)
        fourth = np.mean((W - W.mean()) ** 4) - W.var() ** 2
        assert abs(W.var() - variance) < 4 * np.sqrt(fourth / W.size)
        assert not np.any(model.params[f"{name}.dense.b"])


@experiment("000.4.10.5", where="`model.fit(lr=…)`, a run-time number")
def test_000_4_10_5_the_rate_is_searched_on_a_logarithmic_scale():
    """From 10 down to 0.0001 by tens on a validation set: 10 and 1 are too high, 0.1 or 0.01 is
    best, smaller rates are not done after 30 epochs. No rate needs another compilation."""
    model, start, x, y = small()
    losses = {}
    for rate in (10, 1, 0.1, 0.01, 1e-3, 1e-4):
        model.params.flat = start
        model.fit(x[:48], y[:48], lr=rate, batch=8, epochs=30, progress=False)
        losses[rate] = model.evaluate(x[48:], y[48:])["loss"]
    assert not losses[10] < losses[0.01]
    assert not losses[1] < losses[0.01]
    assert min(losses, key=lambda rate: np.nan_to_num(losses[rate], nan=np.inf)) in (0.1, 0.01)
    assert losses[0.01] < losses[1e-3] < losses[1e-4]


@experiment("000.4.10.6", where="three nets in one, `l2(params(…))`")
def test_000_4_10_6_first_overfit_then_regularise():
    """60 digits with random labels: 64 ReLU units learn them by heart (loss below 0.01), a single
    layer and 64 units with a penalty of 0.1 |W|² do not (above 0.3): enough capacity first, then
    regularisation, with the single layer as baseline."""
    images, _ = digits("train")
    labels = np.random.default_rng(2).integers(0, 10, 60)
    model = compiled("""
    net Capacity {
      input x: [64]
      target t: class[10]
      single = x |> dense(10)
      deep   = x |> dense(64, act=relu) |> dense(10)
      decayed = x |> dense(64, act=relu) |> dense(10)
      loss cross_entropy(single, t) + cross_entropy(deep, t) + cross_entropy(decayed, t)
      penalty 0.1 * l2(params("decayed.*W"))
      metric of_single = cross_entropy(single, t)
      metric of_deep = cross_entropy(deep, t)
      metric of_decayed = cross_entropy(decayed, t)
    }
    train { optimizer = adam(lr=0.01); batch = 20; epochs = 150 }""")
    model.fit(images[:60], labels, progress=False)
    found = model.evaluate(images[:60], labels)
    assert found["of_deep"] < 0.01
    assert found["of_single"] > 0.3
    assert found["of_decayed"] > 0.3
