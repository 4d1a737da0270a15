"""Accuracy, capacity, folds, splits, and what two error rates say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold, train_test_split

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

SCORED = """
net Scored {
  input  scores: [3]
  target kind: class[3]
  output decision = argmax(scores)
  metric accuracy = argmax(scores) == kind
  metric error = zero_one(argmax(scores), kind)
}
"""


@experiment("S1", "002.1.3", where="`metric accuracy = argmax(scores) == kind`")
def test_s1_accuracy_is_the_fraction_of_hits() -> None:
    """Seven hits among ten samples: accuracy 0.7, error 0.3."""
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    decided = np.array([0, 1, 2, 0, 1, 2, 0, 2, 0, 1])
    found = compiled(SCORED).evaluate(np.eye(3)[decided], truth)
    assert found["accuracy"] == pytest.approx(0.7, rel=1e-14)
    assert found["error"] == pytest.approx(0.3, rel=1e-14)


CAPACITY = """
## Hidden units that are off have no part in anything; each width goes on from the one before.
net Capacity {
  input  x: [1]
  target y: [1]
  param on: [200] = 0
  h = on * (x |> dense(200, act=tanh, init=normal(0, 3)))
  p = h |> dense(1, init=zeros)
  loss squared_error(p, y)
}
train {
  optimizer = adam(lr=0.02 * inverse_time(0.001, t=step))
  freeze("on")
  batch = 16
  shuffle = false
  monitor = "training.loss"
  restore_best = true
}
"""


@experiment(
    "S2",
    "002.1.4 002.1.6 002.1.7 003.5.3 003.6.4",
    where="`monitor`, `restore_best`; the width as a mask of hidden units",
)
def test_s2_training_error_falls_with_the_width_and_the_held_out_error_is_u_shaped() -> None:
    """Widths 1, 4, 16, 200: training error falls, held-out is least in between, the gap grows."""
    draw = np.random.default_rng(1)
    x, unseen = draw.uniform(-3, 3, (16, 1)), draw.uniform(-3, 3, (500, 1))
    y, truth = (np.sin(1.5 * v) + draw.normal(0, 0.3, v.shape) for v in (x, unseen))
    model = compiled(CAPACITY, seed=3)
    training, held_out, widths = [], [], (1, 4, 16, 200)
    for width in widths:
        model.params["on"] = np.arange(200) < width
        model.fit(x, y, epochs=3000, progress=False)
        training.append(model.evaluate(x, y)["loss"])
        held_out.append(model.evaluate(unseen, truth)["loss"])
    assert training == sorted(training, reverse=True)
    assert np.argmin(training) == len(widths) - 1, "training data choose the largest net"
    assert np.argmin(held_out) in (1, 2)
    assert held_out[0] > 2 * min(held_out)
    assert held_out[-1] > 1.2 * min(held_out)
    gaps = np.subtract(held_out, training)
    assert gaps[-1] > gaps[int(np.argmin(held_out))]


POLYNOMIAL = """
## A polynomial of degree 9; `alpha` weighs the penalty and is not trained. The objective is a
## parabola in w, whose minimum is one Newton step away.
net Polynomial {
  input x: [1]
  input y: [1]
  param alpha: [1] = 0
  param w: [10] = 0
  powers = stack([1, x[0], x[0]^2, x[0]^3, x[0]^4, x[0]^5, x[0]^6, x[0]^7, x[0]^8, x[0]^9])
  error = (sum(w * powers) - y[0])^2
  output gradient = grad(objective, w)
  output curvature = hessian(objective, w)
  loss error
  metric mse = error
  penalty alpha[0] * l2(w)
}
"""


def fitted(model: netc.Model, x: np.ndarray, y: np.ndarray, alpha: float) -> None:
    model.params["alpha"], model.params["w"] = [alpha], np.zeros(10)
    found = model.forward(x, y)
    model.params["w"] = -np.linalg.solve(found["curvature"][0], found["gradient"][0])


@experiment(
    "S3",
    "002.1.8 002.1.7",
    where="a weight of the penalty as a `param` outside; scikit-learn's folds",
)
def test_s3_five_folds_choose_a_penalty_that_the_training_error_cannot() -> None:
    """5 disjoint folds, 5 fits for each α: the mean held-out error is least inside the grid."""
    draw = np.random.default_rng(1)
    x, unseen = draw.uniform(-1, 1, (30, 1)), draw.uniform(-1, 1, (500, 1))
    y, truth = (np.sin(3 * v) + draw.normal(0, 0.4, v.shape) for v in (x, unseen))
    model = compiled(POLYNOMIAL)
    alphas, training, folded = (1e-9, 1e-4, 1e-3, 1e-2, 1.0), [], []
    for alpha in alphas:
        scores, seen = [], []
        for train, test in KFold(5, shuffle=True, random_state=0).split(x):
            fitted(model, x[train], y[train], alpha)
            scores.append(model.evaluate(x[test], y[test])["mse"])
            seen.extend(test)
        assert sorted(seen) == list(range(30))
        assert len(scores) == 5
        folded.append(np.mean(scores))
        fitted(model, x, y, alpha)
        training.append(model.evaluate(x, y)["mse"])
    chosen = int(np.argmin(folded))
    assert 0 < chosen < 4
    assert np.argmin(training) == 0, "by the training error no penalty at all"
    fitted(model, x, y, alphas[chosen])
    found = model.evaluate(unseen, truth)["mse"]
    fitted(model, x, y, alphas[0])
    assert found < model.evaluate(unseen, truth)["mse"]


@experiment("S3", "003.6.4", where="more data, or `l2`, for the same net")
def test_s3_more_data_and_a_penalty_are_remedies_of_variance() -> None:
    """12 samples: ten times the data or α = 1e-2 lower the held-out error at least 3-fold each."""
    draw = np.random.default_rng(2)
    x, unseen = draw.uniform(-1, 1, (120, 1)), draw.uniform(-1, 1, (500, 1))
    y, truth = (np.sin(3 * v) + draw.normal(0, 0.4, v.shape) for v in (x, unseen))
    model, error = compiled(POLYNOMIAL), {}
    for samples, alpha in ((12, 1e-9), (120, 1e-9), (12, 1e-2)):
        fitted(model, x[:samples], y[:samples], alpha)
        error[samples, alpha] = model.evaluate(unseen, truth)["mse"]
    assert error[120, 1e-9] < error[12, 1e-9] / 3
    assert error[12, 1e-2] < error[12, 1e-9] / 3


SEEN = """
const n = 1000

## What the net sees before its first step: how often each sample is in the training data.
net Seen {
  input index: class[n]
  input place: [1]
  state times: [n] = over_data(batch_sum(one_hot(index, n)))
  state count: [1] = over_data(batch_sum(0 * place + 1))
  param w: [1]
  loss sum((w - place)^2)
}
train { optimizer = sgd(); validation = 0.3; max_steps = 1; shuffle = true }
"""


@experiment(
    "S40",
    "003.6.1 003.6.2",
    where="`validation` of the train block holds out at random; `over_data` sees the rest",
)
def test_s40_splits_have_the_stated_sizes_and_share_no_sample() -> None:
    """m = 1000: 700/300, then 600/200/200; 10⁶ + 100: 98/1/1 %; disjoint, complete, shuffled."""
    index, place = np.arange(1000), np.arange(1000.0)[:, None]
    model = compiled(SEEN)
    model.fit(index, place, progress=False)
    kept = model.state["times"] == 1
    assert kept.sum() == 700
    assert (model.state["times"] == 0).sum() == 300
    assert not kept[:700].all(), "shuffled"
    known, test = train_test_split(index, test_size=0.2, random_state=0)
    model = compiled(SEEN)
    model.fit(known, place[known], validation=0.25, progress=False)
    training = np.flatnonzero(model.state["times"])
    dev = np.setdiff1d(known, training)
    assert (len(training), len(dev), len(test)) == (600, 200, 200)
    assert not set(test) & {*training, *dev}
    everything = np.arange(1000.0)
    assert abs(everything[dev].mean() - everything[test].mean()) < 4 * 289 * np.sqrt(2 / 200)
    many = 1_000_100
    rest = many - many // 100
    model = compiled(SEEN, defines={"n": 2})
    model.fit(np.zeros(rest), np.zeros((rest, 1)), validation=(many // 100) / rest, progress=False)
    assert float(model.state["count"][0]) == many - 2 * (many // 100)


DIAGNOSIS = """
## Two error rates in percent against the least possible one: [high bias, high variance].
net Diagnosis {
  input fit_error: [1]
  input dev: [1]
  input test: [1]
  output bias = fit_error[0] > 5
  output variance = dev[0] - fit_error[0] > 5
  output enlarge = test[0] - dev[0] > 5
  output printed = test[0] - fit_error[0] > 5
}
"""


@experiment("S41", "003.6.3 003.6.5", where="comparisons as outputs")
def test_s41_four_diagnoses_follow_from_training_and_dev_error() -> None:
    """1/11 variance, 15/16 bias, 15/30 both, 0.5/1 neither; only test far above dev asks for more.

    The printed rule compares the test with the training error and would blame the dev set of a
    net that merely overfits.
    """
    rates = np.array([[1, 11, 11], [15, 16, 17], [15, 30, 31], [0.5, 1, 1], [1, 2, 12]])
    found = compiled(DIAGNOSIS).forward(*(rates[:, [i]] for i in range(3)))
    np.testing.assert_array_equal(found["bias"], [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(found["variance"], [1, 0, 1, 0, 0])
    np.testing.assert_array_equal(found["enlarge"], [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(found["printed"], [1, 0, 1, 0, 1])
