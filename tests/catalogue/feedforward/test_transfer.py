"""Layers that are reused: transfer learning, and several tasks on one trunk."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import AFFINE, redraw
from tests.catalogue.tools import compiled, objective_differences
from tests.end_to_end.data import digits

TASK = (
    AFFINE
    + """
const classes = 2
net Task {
  input h: [64]
  target r: class[classes]
  y_2 = h |> affine(24) |> tanh
  y_3 = y_2 |> affine(16) |> tanh
  output y_4 = y_3 |> affine(12) |> tanh
  HEAD
  output gamma_hat = softmax(z)
  loss cross_entropy(z, r)
  metric accuracy = argmax(z) == r
}
train { optimizer = sgd(lr = 0.1); FREEZE batch = 10; seed = 3 }
"""
)
LAST = "z = y_4 |> affine(classes)"
TWO_LAST = "z = y_4 |> affine(8) |> tanh |> affine(classes)"
TRUNK = ("y_2", "y_3", "y_4")
CACHED = (
    AFFINE
    + """
net Cached {
  input y_4: [12]
  target r: class[2]
  z = y_4 |> affine(2)
  loss cross_entropy(z, r)
}
train { optimizer = sgd(lr = 0.1); batch = 10; seed = 3 }
"""
)


def task(head=LAST, frozen=(), **defines):
    freeze = "".join(f'freeze("{name}.*"); ' for name in frozen)
    return compiled(TASK.replace("HEAD", head).replace("FREEZE", freeze), defines=defines)


@cache
def learned():
    """The parameters of network A: the trunk after training on the digits 0 to 7."""
    images, names = digits("train")
    seen = names < 8
    model = task(classes=8)
    model.fit(images[seen], names[seen], epochs=12, progress=False)
    return {name: np.array(value) for name, value in model.params.items()}


def second_task(part):
    """Task B: eights and nines, 60 of them to learn from."""
    images, names = digits(part)
    seen = names >= 8
    images, names = images[seen], names[seen] - 8
    return (images[:60], names[:60]) if part == "train" else (images, names)


def transferred(model):
    for name, value in learned().items():
        if name.startswith(TRUNK):
            model.params[name] = value
    return model


@experiment(
    "A23",
    "001.Ex65.11",
    where='`freeze("y_2.*")` in the train block; parameters copied by name from model to model',
)
def test_a23_a_frozen_trunk_is_training_on_cached_features():
    """With all layers but the last frozen (option a) 30 passes leave the trunk's bits unchanged,
    and the last layer is that of a single-layer network trained on the features y₄, to 1e-10. From
    there (option b) all layers train, and the risk falls further.

    The first task are the digits 0 to 7, the second 60 eights and nines.
    """
    h, r = second_task("train")
    model = transferred(task(frozen=TRUNK))
    before = {name: np.array(value) for name, value in model.params.items()}
    features = model.predict(h)["y_4"]
    model.fit(h, r, epochs=30, progress=False)
    for name, start in before.items():
        same = np.array_equal(model.params[name], start)
        assert same == name.startswith(TRUNK), name
    cached = compiled(CACHED)
    for part in ("W", "theta"):
        cached.params[f"z.affine.{part}"] = before[f"z.affine.{part}"]
    cached.fit(features, r, epochs=30, progress=False)
    for part in ("W", "theta"):
        name = f"z.affine.{part}"
        np.testing.assert_allclose(model.params[name], cached.params[name], rtol=1e-10, atol=1e-12)
    assert model.evaluate(*second_task("test"))["accuracy"] > 0.7
    fine = task()
    for name, value in model.params.items():
        fine.params[name] = value
    _fine_tuned(fine, model, h, r)


def _fine_tuned(fine, model, h, r):
    """Option (b): everything trains from the values of option (a), and the risk falls further."""
    start = model.evaluate(h, r)["loss"]
    assert fine.evaluate(h, r)["loss"] == pytest.approx(start, rel=1e-12)
    fine.fit(h, r, epochs=10, progress=False)
    assert fine.evaluate(h, r)["loss"] < 0.9 * start
    assert all(np.any(fine.params[name] != model.params[name]) for name in fine.params)


@experiment("A23", "001.Ex65.11", where="`freeze`, and another head in the text")
def test_a23_two_new_layers():
    """Option (c): two layers in place of the last one learn on the frozen trunk."""
    h, r = second_task("train")
    model = transferred(task(TWO_LAST, TRUNK))
    before = model.evaluate(h, r)["loss"]
    model.fit(h, r, epochs=60, progress=False)
    assert model.evaluate(h, r)["loss"] < 0.5 * before
    for name, value in learned().items():
        if name.startswith(TRUNK):
            np.testing.assert_array_equal(model.params[name], value)


TASKS = (
    AFFINE
    + """
net Tasks {
  input h: [4]
  target gamma: [2, 2] missing
  y = h |> affine(5) |> tanh
  z_1 = y |> affine(2)
  z_2 = y |> affine(2)
  z = [z_1, z_2]
  output gamma_hat = softmax(z)
  known = present(gamma)
  loss sum(where(known, -where(known, gamma, 0) * log_softmax(z), 0))
}
train { optimizer = sgd(lr = 0.5) }
"""
)
UNKNOWN = [np.nan, np.nan]
LABELS = np.array([[[1, 0], [1, 0]], [[0, 1], [1, 0]], [UNKNOWN, [1, 0]]])


def head_gradients(model):
    """The gradients by theta and W of the heads, both tasks stacked."""
    found = [
        [np.array(model.grads[f"z_{t}.affine.{part}"]) for t in (1, 2)] for part in ("theta", "W")
    ]
    return np.concatenate(found[0]), np.concatenate(found[1], axis=1)


@experiment(
    "A24",
    "001.Ex65.12",
    where="two heads on one trunk, `softmax([z_1, z_2])` along the last axis; "
    "`examples/multitask.net`",
)
def test_a24_several_tasks():
    """Labels (1, 0, 1, 0) and (0, 1, 1, 0): each task has a pair of outputs through its own
    softmax, and δ_L = col{γ̂_t - γ_t}, so that -δ and y δ_L' are the gradients of the heads; that of
    the trunk is the central difference, and the loss is (65.154)."""
    model = compiled(TASKS)
    h = redraw(model, 1).normal(size=(2, 4))
    for b in range(2):
        gamma_hat = model.forward(h[b : b + 1], training=True)[0]
        objective = model.backward(LABELS[b : b + 1])
        first, label = gamma_hat[:, 0], LABELS[b][:, 0]
        expected = -(label * np.log(first) + (1 - label) * np.log(1 - first)).sum()
        assert objective == pytest.approx(expected, rel=1e-12)
        delta = (gamma_hat - LABELS[b]).ravel()
        by_theta, by_w = head_gradients(model)
        trunk = [[np.array(model.params[f"y.affine.{p}"])] for p in ("W", "theta")]
        y, _ = listings.forward(h[b], *trunk, "tanh", "tanh")
        np.testing.assert_allclose(by_theta, -delta, rtol=1e-12)
        np.testing.assert_allclose(by_w, np.outer(y[-1], delta), rtol=1e-12)
    shared = np.array(model.grads["y.affine.W"])
    difference = objective_differences(model, "y.affine.W", h[1:], LABELS[1:2])
    np.testing.assert_allclose(shared, difference, rtol=1e-6, atol=1e-9)


@experiment(
    "A24", "001.Ex65.12-2", where="`target gamma: … missing`, `present(gamma)` inside `where`"
)
def test_a24_missing_labels_count_nothing():
    """For (?, ?, 1, 0) δ_L of task 1 is exactly 0 and that of task 2 as ever: no NaN, head 1 does
    not move, and the trunk learns from task 2 alone. Among the three samples of (65.160) to
    (65.162) the missing pair adds nothing to the mean."""
    model = compiled(TASKS)
    h = redraw(model, 2).normal(size=(3, 4))
    gamma_hat = model.forward(h[2:], training=True)[0]
    objective = model.backward(LABELS[2:])
    assert objective == pytest.approx(-np.log(gamma_hat[1, 0]), rel=1e-12)
    by_theta, by_w = head_gradients(model)
    np.testing.assert_array_equal(by_theta[:2], 0)
    np.testing.assert_array_equal(by_w[:, :2], 0)
    np.testing.assert_allclose(by_theta[2:], -(gamma_hat[1] - LABELS[2][1]), rtol=1e-12)
    shared = np.array(model.grads["y.affine.W"])
    difference = objective_differences(model, "y.affine.W", h[2:], LABELS[2:])
    np.testing.assert_allclose(shared, difference, rtol=1e-6, atol=1e-9)
    head = np.array(model.params["z_1.affine.W"])
    model.step(h[2:], LABELS[2:])
    np.testing.assert_array_equal(model.params["z_1.affine.W"], head)
    assert np.all(np.isfinite(model.params.flat))
    terms = -(LABELS * np.log(model.forward(h, training=True))).sum(-1)
    assert model.backward(LABELS) == pytest.approx(np.nansum(terms) / 3, rel=1e-12)
