"""Threshold units: the perceptron and its rule, gates of McCulloch and Pitts, Hebb's rule."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.catalogue.architectures.support import XOR, XOR_LABELS, gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

PERCEPTRON = """
const d = 2

## Negative sum of y wᵀx over misclassified samples; without a direction, y wᵀx = 0 is one of them.
fn printed(z, t) = max(-t * z, 0)

const criterion_as_printed = false

net Perceptron {
  input  x: [d]
  target t: []
  param  w: [d] = zeros
  z = x @ w
  output a = if criterion_as_printed then sign(z) else where(z > 0, 1, -1)
  loss batch_size * (if criterion_as_printed then printed(z, t) else perceptron_criterion(z, t))
  metric mistakes = t * z <= 0
}
train { optimizer = sgd(lr=1); shuffle = false }
"""
"""Trained with `batch=1` this is the on-line rule, with a full batch the other one."""


@cache
def perceptron(d=2):
    return compiled(PERCEPTRON, defines={"d": d})


@cache
def separable():
    """60 points with a margin of at least 0.5 to a line through the origin."""
    x = np.random.default_rng(1).uniform(-3, 3, (200, 2))
    side = x @ np.array([0.6, 0.8])
    chosen = np.abs(side) > 0.5
    return x[chosen][:60], np.sign(side[chosen][:60])


@experiment("000.4.2c", "000.1e 000.4.2c", where="`perceptron_criterion` with `sgd` and `batch=1`")
def test_000_4_2c_the_rule_ends_on_separable_data():
    """From w = 0 the on-line rule makes finitely many updates, at most Novikoff's (R / γ)², and
    then none; every update is ηyx. With the gradient of the printed strict condition a·y = -1 and
    sign(0) = 0 it never leaves w = 0."""
    x, t = separable()
    model = perceptron()
    model.params["w"] = np.zeros(2)
    updates, before = 0, np.zeros(2)
    for sample, label in zip(np.tile(x, (5, 1)), np.tile(t, 5), strict=True):
        wrong = label * (sample @ before) <= 0
        model.step(sample[None], label[None])
        np.testing.assert_array_equal(model.params["w"] - before, wrong * label * sample)
        before, updates = np.array(model.params["w"]), updates + wrong
    assert 0 < updates <= np.max(np.sum(x**2, axis=1)) / 0.5**2
    history = model.fit(x, t, batch=1, epochs=100, progress=False)
    assert history["mistakes"][-1] == 0
    assert np.all(model.forward(x) == t)
    printed = compiled(PERCEPTRON, defines={"criterion_as_printed": True})
    printed.fit(x, t, batch=1, epochs=20, progress=False)
    assert not np.any(printed.params["w"])


@experiment("000.4.2c", "000.1g 000.4.2c", where="`history` of a metric of mistakes")
def test_000_4_2c_the_rule_never_ends_on_xor():
    """On XOR with labels ±1 every one of 500 epochs has a mistake, with a constant feature too."""
    t = 2 * XOR_LABELS - 1
    for data in (XOR, np.column_stack([XOR, np.ones(4)])):
        model = perceptron(data.shape[1])
        model.params["w"] = np.zeros(data.shape[1])
        history = model.fit(data, t, batch=1, epochs=500, progress=False)
        assert min(history["mistakes"]) >= 0.25


@experiment("000.4.2b", where="`perceptron_criterion`")
def test_000_4_2b_the_criterion_has_the_batch_rule_as_its_gradient():
    """R = -Σ y wᵀx over the misclassified samples has the gradient -Σ y x over them, by formula and
    by differences, which is minus the batch update for η = 1."""
    x, t = separable()
    model = perceptron()
    model.params["w"] = w = np.array([0.3, -0.7])
    wrong = t * np.sign(x @ w) == -1
    objective, slope = gradients(model, x, t)
    np.testing.assert_allclose(objective, -np.sum(t[wrong] * (x[wrong] @ w)), rtol=1e-12)
    np.testing.assert_allclose(slope["w"], -(t[wrong] @ x[wrong]), rtol=1e-12)
    np.testing.assert_allclose(slope["w"], objective_differences(model, "w", x, t), rtol=1e-7)
    model.fit(x, t, batch=60, epochs=1, progress=False)
    np.testing.assert_allclose(model.params["w"] - w, t[wrong] @ x[wrong], rtol=1e-12)


@experiment("000.4.2a", where="`sign(x @ w)`, `where(z > 0, 1, -1)`")
def test_000_4_2a_scaling_the_weights_changes_nothing_moving_the_data_does():
    """sign(wᵀx) is the same for w and 1000 w; all points moved by (4, 4) are classified worse than
    before (accuracy 1 to below 0.8), unless a constant feature takes up the shift."""
    x, t = separable()
    model = perceptron()
    model.params["w"] = [0.6, 0.8]
    here = model.forward(x)
    assert np.all(here == t)
    model.params["w"] = [600.0, 800.0]
    np.testing.assert_array_equal(model.forward(x), here)
    assert np.mean(model.forward(x + 4) == t) < 0.8
    offset = perceptron(3)
    offset.params["w"] = [0.6, 0.8, -0.6 * 4 - 0.8 * 4]
    assert np.all(offset.forward(np.column_stack([x + 4, np.ones(len(x))])) == t)


@experiment("000.1c", "000.1c 000.2a", where="`heaviside`, weights of a net without a loss")
def test_000_1c_threshold_units_compute_all_or_none():
    """Units that fire when Σ w x reaches a threshold compute AND, OR, NOT and, in layers, XOR; a
    neuron at rest at -70 mV fires from +15 mV on, up to +30 mV whatever the input."""
    gates = compiled("""
    net Gates {
      input x: [2]
      input potential: []
      both   = heaviside(x[0] + x[1] - 2)
      either = heaviside(x[0] + x[1] - 1)
      output gate = [both, either, heaviside(-x[0]), heaviside(either - 2 * both - 1)]
      output spike = where(heaviside(potential - 15) > 0, 30, potential - 70)
    }""")
    found = gates.forward(XOR, [0, 14.9, 15, 60])
    expected = [[0, 0, 1, 0], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0]]
    np.testing.assert_array_equal(found["gate"], expected)
    np.testing.assert_allclose(found["spike"], [-70, -55.1, 30, 30])


@experiment("000.1d", "000.1d 000.2b", where="`loss -sum(stop_gradient(a) * (x @ W))`")
def test_000_1d_connections_of_units_that_fire_together_grow():
    """A local rule as a loss: with the activities held constant, a step of η = 0.1 adds
    η · mean(x_j a_i) to each weight; what does not fire leaves its weights as they are."""
    model = compiled("""
    net Hebb {
      input x: [3]
      param W: [3, 2] = 0
      drive = x @ W
      a = heaviside(drive - 0.5)
      output a
      loss -sum(stop_gradient(a) * drive)
    }
    train { optimizer = sgd(lr=0.1) }""")
    W = np.array([[1.0, 0], [0, 0.2], [0, 1.0]])
    model.params["W"] = W
    x = np.array([[1.0, 1, 0], [0, 1, 1]])
    a = model.forward(x)
    np.testing.assert_array_equal(a, [[1, 0], [0, 1]])
    model.step(x)
    np.testing.assert_allclose(model.params["W"] - W, 0.1 * x.T @ a / 2, rtol=1e-12)
    np.testing.assert_allclose(model.params["W"] - W, [[0.05, 0], [0.05, 0.05], [0, 0.05]])
