"""Dropout as the text writes it: one mask for a minibatch, weights scaled for the test."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import (
    AFFINE,
    CROSS_ENTROPY,
    LEAST_SQUARES,
    gradients,
    labels,
    network,
    offsets,
    redraw,
    weights,
)
from tests.catalogue.tools import compiled, objective_differences

MU = 0.1
TEXT = (
    AFFINE
    + """
const rho = 0
const p = 1 / 3
const shared = true
const entropy = false

## y times the mask in training, times 1 - p in inference.
layer asleep(y: [n], p) {
  a = bernoulli(1 - p, [n], shared=shared)
  return if training then a * y else (1 - p) * y
}

net Dropout {
  input h: [6]
  target gamma: [3]
  output awake_1 = h |> asleep(p)
  output z_2 = awake_1 |> affine(8)
  y_2 = tanh(z_2)
  output awake_2 = y_2 |> asleep(p)
  z_3 = awake_2 |> affine(3)
  gamma_hat = if entropy then softmax(z_3) else tanh(z_3)
  output gamma_hat
  loss if entropy
    then categorical_cross_entropy(gamma_hat, gamma)
    else squared_error(gamma_hat, gamma)
  penalty rho * l2(weights)
}
train { optimizer = sgd(lr = 0.1) }
"""
)
KINDS = {
    False: ("tanh", "tanh", LEAST_SQUARES),
    True: ("tanh", "softmax", CROSS_ENTROPY),
}


@cache
def net(**defines):
    return compiled(TEXT, defines=defines)


def drawn(seed, model, samples=4):
    """Inputs without zeros, labels, and the parameters."""
    draw = redraw(model, seed)
    h, gamma = draw.uniform(0.5, 1.5, size=(samples, 6)), labels(draw, samples, 3)
    return h, gamma, weights(model), offsets(model)


def masks(found):
    return [(found[name] != 0).astype(float) for name in ("awake_1", "awake_2")]


@experiment(
    "A19",
    "001.65.6-2",
    where="`bernoulli(1 - p, [n], shared=true)` times the values; `dropout(p, shared=true)` "
    "divides by 1 - p too",
)
@pytest.mark.parametrize("entropy", [False, True])
def test_a19_one_step_with_dropout_is_the_listing(entropy):
    """All samples of a minibatch share one mask, and with it a step is listing (65.124), with least
    squares and with cross-entropy; gradients are central differences.

    Rows of W and entries of θ that belong to sleeping nodes do not move, for ρ = 0.
    """
    model = net(entropy=entropy)
    h, gamma, W, theta = drawn(1, model)
    found = model.forward(h, training=True)
    model.backward(gamma)
    rows = masks(found)
    for mask in rows:
        np.testing.assert_array_equal(mask, np.broadcast_to(mask[0], mask.shape))
        assert 0 < mask[0].sum() < mask.shape[1]
    by_w = gradients(model)[0][0]
    difference = objective_differences(model, "z_2.affine.W", h, gamma)
    np.testing.assert_allclose(by_w, difference, rtol=1e-6, atol=1e-9)
    a = [mask[0] for mask in rows]
    model.step(h, gamma)
    listed = listings.mini_batch(h, gamma, W, theta, KINDS[entropy], mu=MU, rho=0, masks=a)
    for moved, expected in zip(weights(model), listed[0], strict=True):
        np.testing.assert_allclose(moved, expected, rtol=1e-11)
    for moved, expected in zip(offsets(model), listed[1], strict=True):
        np.testing.assert_allclose(moved, expected, rtol=1e-11)
    still = (weights(model)[0] == W[0], weights(model)[1] == W[1], offsets(model)[0] == theta[0])
    asleep = [mask == 0 for mask in a]
    np.testing.assert_array_equal(still[0], asleep[0][:, None] | asleep[1])
    np.testing.assert_array_equal(still[1], np.repeat(asleep[1][:, None], 3, 1))
    np.testing.assert_array_equal(still[2], asleep[1])


@experiment("A19", "001.65.6-2", where="`penalty rho * l2(weights)` beside dropout")
def test_a19_sleeping_weights_decay():
    """With ρ > 0 the weights of sleeping nodes are multiplied by 1 - 2μρ all the same, against the
    text's words (E-9); the offsets stay."""
    model = net(rho=0.05)
    h, gamma, W, theta = drawn(2, model)
    a = [mask[0] == 0 for mask in masks(model.forward(h, training=True))]
    model.step(h, gamma)
    moved, asleep = weights(model)[0], a[0][:, None] | a[1]
    assert asleep.any()
    np.testing.assert_allclose(moved[asleep], 0.99 * W[0][asleep], rtol=1e-13)
    np.testing.assert_array_equal(offsets(model)[0][a[1]], theta[0][a[1]])


@experiment("A19", "001.65.6-2 001.65.6-3", where="`bernoulli(1 - p, [n])`: a mask for each sample")
def test_a19_mean_over_masks():
    """A node is awake in a share 1 - p of the draws, and the mean of z over 40,000 masks is
    (1 - p)W'y - θ within 4 standard errors; (1 - p)(W'y - θ), which scaling the offsets too would
    give, is not (E-10), nor is the factor p (E-11)."""
    model = net(shared=False)
    h, _, W, theta = drawn(3, model, samples=1)
    found = model.forward(np.repeat(h, 40_000, 0), training=True)
    awake = masks(found)[0]
    assert abs(awake.mean() - 2 / 3) < 4 * np.sqrt(2 / 9 / awake.size)
    z, plain = found["z_2"], W[0].T @ h[0]
    error = z.std(0) / 200
    assert np.all(np.abs(z.mean(0) - (2 / 3 * plain - theta[0])) < 4 * error)
    assert np.any(np.abs(z.mean(0) - 2 / 3 * (plain - theta[0])) > 20 * error)
    assert np.any(np.abs(z.mean(0) - (1 / 3 * plain - theta[0])) > 20 * error)


@experiment(
    "A19",
    "001.65.6-3",
    where="`if training then a * y else (1 - p) * y`; `dropout` scales in training instead",
)
def test_a19_weights_are_scaled_at_test_time():
    """For p = 1/3 inference is that of a net without dropout whose weights are multiplied by 2/3
    and whose offsets are not; scaling both, as printed, gives other outputs (E-10)."""
    model = net(shared=False)
    h, _, W, theta = drawn(4, model)
    plain = compiled(network((6, 8, 3)))
    outputs = {}
    for factor in (1, 2 / 3):
        for layer in range(2):
            plain.params[f"z_{layer + 2}.affine.W"] = 2 / 3 * W[layer]
            plain.params[f"z_{layer + 2}.affine.theta"] = factor * theta[layer]
        outputs[factor] = plain.forward(h)
    np.testing.assert_allclose(model.forward(h)["gamma_hat"], outputs[1], rtol=1e-12)
    assert np.abs(outputs[1] - outputs[2 / 3]).max() > 1e-2
