"""Update rules on parabolas, against the numbers worked out by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

RULES = {
    "plain": "sgd(lr=0.1)",
    "velocity": "momentum(lr=0.1, beta=0.9)",
    "ascent": "ascending(lr=0.1, beta=0.9)",
    "average": "averaged_momentum(lr=0.1, beta=0.8)",
    "same": "averaged_momentum(lr=1, beta=0.9)",
    "sums": "adagrad(lr=0.1, eps=1e-7)",
    "root": "rmsprop(lr=0.1, rho=0.8, eps=1e-8)",
    "moments": "adam(lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)",
    "window": "windowed(lr=0.1)",
}
"""Optimizers by the name of the parameter that each moves."""

FAMILY = (
    """
## The prose of the text: the gradient is added to the velocity, which is added to the weights.
optimizer ascending(lr = 0.1, beta = 0.9) {
  state v = 0
  v <- beta * v + lr * g
  w <- w + v
}

## The mean of the last three gradients in place of the gradient, of those there are at the start.
optimizer windowed(lr = 0.1) {
  state last = 0
  state before = 0
  mean_of_three = (g + last + before) / min(step, 3)
  before <- last
  last <- g
  w <- w - lr * mean_of_three
}

net Family {
"""
    + "".join(f"  param {name} = 1\n  penalty 0.5 * {name}^2\n" for name in RULES)
    + "}\ntrain {\n"
    + "".join(f'  optimizer("{name}") = {rule}\n' for name, rule in RULES.items())
    + "}\n"
)


@cache
def paths() -> tuple[dict[str, np.ndarray], list[float]]:
    """θ after each of six steps on J = θ²/2 from θ = 1, by rule; and AdaGrad's sums."""
    model = compiled(FAMILY)
    found: dict[str, list[float]] = {name: [] for name in RULES}
    sums = []
    for _ in range(6):
        model.step()
        for name, value in model.params.items():
            found[name].append(float(value))
        sums.append(float(model.optimizer_state["sums.s"]))
    return {name: np.array(values) for name, values in found.items()}, sums


@experiment("S14", "002.5.1-5.2 003.7.1 003.7.0", where="`sgd` of the prelude")
def test_s14_gradient_descent_shrinks_a_parabola_by_nine_tenths() -> None:
    """J = θ²/2, rate 0.1: 0.9, 0.81, 0.729."""
    np.testing.assert_allclose(paths()[0]["plain"][:3], [0.9, 0.81, 0.729], rtol=1e-14)


RATES = """
net Rates {
  param theta: [4] = 1
  param lr: [4] = [0.1, 1.9, 2.1, 1e-4]
  penalty 0.5 * sum(lr * theta^2)
}
train { optimizer = sgd(lr=1); freeze("lr") }
"""


@experiment("S14", "002.5.5", where="`sgd`; a rate for each element")
def test_s14_rates_below_two_converge_and_above_diverge() -> None:
    """On J = θ²/2 after 100 steps: 0.1 and 1.9 converge, 2.1 diverges, 1e-4 has done 1 %."""
    model = compiled(RATES)
    for _ in range(100):
        model.step()
    found = np.abs(model.params["theta"])
    np.testing.assert_allclose(found, np.abs(1 - np.array([0.1, 1.9, 2.1, 1e-4])) ** 100, rtol=1e-9)
    assert max(found[:2]) < 1e-4
    assert found[2] > 1e4
    assert found[3] == pytest.approx(0.99, abs=1e-3)


@experiment("S20", "002.6.6 003.7.3", where="`momentum`, `averaged_momentum` of the prelude")
def test_s20_both_forms_of_momentum_and_the_printed_sign_that_climbs() -> None:
    """0.9, 0.72, 0.486; as an average 0.98, 0.9444, 0.897032; the printed plus: 1.1, 1.3, 1.61.

    With lr = ε/(1 - β) and the same β both forms take the same path.
    """
    found = paths()[0]
    np.testing.assert_allclose(found["velocity"][:3], [0.9, 0.72, 0.486], rtol=1e-14)
    np.testing.assert_allclose(found["average"][:3], [0.98, 0.9444, 0.897032], rtol=1e-14)
    np.testing.assert_allclose(found["same"], found["velocity"], rtol=1e-13)
    np.testing.assert_allclose(found["ascent"][:3], [1.1, 1.3, 1.61], rtol=1e-14)


VALLEY = """
net Valley {
  param plain: [2] = 1
  param low: [2] = 1
  param middle: [2] = 1
  param high: [2] = 1
  const scale = [1, 0.01]
  penalty 0.5 * sum(scale * (plain^2 + low^2 + middle^2 + high^2))
}
train {
  optimizer("plain") = sgd(lr=1)
  optimizer("low") = momentum(lr=1, beta=0.5)
  optimizer("middle") = momentum(lr=1, beta=0.9)
  optimizer("high") = momentum(lr=1, beta=0.99)
}
"""


@experiment("S20", "002.6.6", where="`momentum` with β = 0.5, 0.9, 0.99")
def test_s20_momentum_needs_fewer_steps_in_a_narrow_valley() -> None:
    """Condition 100, to 1e-3: β = 0.9 is the fastest, 0.5 and 0.99 lie between it and plain."""
    model = compiled(VALLEY)
    last = dict.fromkeys(model.params, 0)
    for step in range(1, 3000):
        model.step()
        for name, value in model.params.items():
            if np.abs(value).max() > 1e-3:
                last[name] = step + 1
    assert last["middle"] < last["low"] < last["plain"]
    assert last["middle"] < last["high"]
    assert last["plain"] > 4 * last["middle"]


@experiment("S21", "002.7.a 002.7.b 002.7.c 003.7.4 003.7.5", where="`adagrad`, `rmsprop`, `adam`")
def test_s21_adaptive_rates_take_the_derived_steps() -> None:
    """AdaGrad 0.90000001, 0.83310354, 0.78045620; RMSprop 0.77639321, 0.62981448, 0.51554409;
    Adam 0.9, 0.80041223, 0.70158627; AdaGrad's sums never shrink.
    """
    found, sums = paths()
    derived = {
        "sums": [0.90000001, 0.83310354, 0.78045620],
        "root": [0.77639321, 0.62981448, 0.51554409],
        "moments": [0.9, 0.80041223, 0.70158627],
    }
    for name, values in derived.items():
        np.testing.assert_allclose(found[name][:3], values, atol=6e-9)
    assert sums == sorted(sums)


AVERAGES = """
const beta = 0.8

## Running averages of a series, one number a step.
net Averages {
  input q: [1]
  state count = 0
  state average = 0
  state printed = 0
  value = batch_mean(q[0])
  before = average
  wrong = printed
  count <- count + 1
  average <- beta * before + (1 - beta) * value
  corrected = average / (1 - beta^count)
  printed <- (beta * wrong + (1 - beta) * value) / (1 - beta^count)
  output ema = average
  output cema = corrected
  output bad = printed
  param w: [1]
  loss 0 * sum(w)
}
train { optimizer = sgd() }
"""


@experiment("S22", "003.7.2a 003.7.2b", where="`state` and `<-` in a net")
def test_s22_the_corrected_average_of_ones_is_one_and_the_printed_one_runs_away() -> None:
    """β = 0.8, q = 1: 0.2, 0.36, 0.488, 0.5904, 0.67232; corrected 1; eq. 14 as printed 8.7."""
    model = compiled(AVERAGES)
    rows = [model.forward([[1.0]], training=True) for _ in range(5)]
    found = {name: [float(row[name].flat[0]) for row in rows] for name in rows[0]}
    np.testing.assert_allclose(found["ema"], [0.2, 0.36, 0.488, 0.5904, 0.67232], rtol=1e-13)
    np.testing.assert_allclose(found["cema"], 1, rtol=1e-14)
    np.testing.assert_allclose(found["bad"], [1, 2.7778, 4.9636, 7.0645, 8.7035], atol=5e-5)


@experiment("S22", "003.7.1a", where="an `optimizer` of one's own with two states")
def test_s22_a_window_averages_exactly_its_last_gradients() -> None:
    """The mean of the last 3 gradients, i = k - m + 1 … k; the printed sum would have 4 terms."""
    theta = [1.0]
    for k in range(6):
        last = theta[max(0, k - 2) : k + 1]
        theta.append(theta[-1] - 0.1 * np.mean(last))
    np.testing.assert_allclose(paths()[0]["window"], theta[1:], rtol=1e-14)
    printed = 1.0 - 0.1 * np.mean([1.0])
    assert paths()[0]["window"][3] != pytest.approx(printed - 0.1 * np.mean(theta[:4]), rel=1e-3)


CLIPPED = """
net Clipped {
  param w: [2] = 0
  param far: [1] = 0
  param c: [2] = [3, -4]
  penalty sum(c * w)
}
train { optimizer = sgd(lr=1); freeze("far"); freeze("c") }
"""

CLIFF = """
## A flat slope that ends in a steep wall at 1.
net Cliff {
  param w: [1] = 0.9
  penalty where(w[0] > 1, 2000 * (w[0] - 1)^2, 0) - 0.5 * w[0]
}
train { optimizer = sgd(lr=0.3) }
"""


@experiment(
    "S30", "002.10.1a 002.10.1b", where="`clip_value`, `clip_norm` of the train block and of `fit`"
)
def test_s30_clipping_by_value_and_by_norm() -> None:
    """g = (3, -4): by value 1 → (1, -1), by norm 1 → (0.6, -0.8), below the limit unchanged."""
    model = compiled(CLIPPED)
    steps = {}
    for name, limit in (("clip_value", 1), ("clip_norm", 1), ("clip_norm", 6), ("clip_value", 5)):
        model.params["w"] = [0, 0]
        model.fit(max_steps=1, progress=False, **{name: limit})
        steps[name, limit] = -model.params["w"]
    np.testing.assert_allclose(steps["clip_value", 1], [1, -1], rtol=1e-14)
    np.testing.assert_allclose(steps["clip_norm", 1], [0.6, -0.8], rtol=1e-12)
    np.testing.assert_array_equal(steps["clip_norm", 6], [3, -4])
    np.testing.assert_array_equal(steps["clip_value", 5], [3, -4])


@experiment("S30", "002.10.1b", where="`clip_norm`")
def test_s30_a_cliff_throws_plain_descent_far_away() -> None:
    """A step up a wall of slope 199.5 throws plain descent from 1.05 to -58.8; clipped it stays."""
    model = compiled(CLIFF)
    largest = {}
    for limit in (float("inf"), 1.0):
        model.params["w"] = [0.9]
        seen = []
        for _ in range(30):
            model.fit(max_steps=1, progress=False, clip_norm=limit)
            seen.append(abs(float(model.params["w"][0])))
        largest[limit] = max(seen)
    assert largest[1.0] < 1.5
    assert largest[float("inf")] == pytest.approx(58.8, rel=1e-9)
