"""Several tasks with shared weights, one objective."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

TASKS = """
net Tasks {
  input  x: [4]
  input  alpha: [2]
  target size: [2]
  target kind: class[3]

  shared = x |> dense(5, act=tanh)
  sizes  = shared |> dense(2)
  kinds  = shared |> dense(3)
  output sizes
  output p = softmax(kinds)

  R1 = squared_error(sizes, size)
  R2 = cross_entropy(kinds, kind)
  loss alpha[0] * R1
  loss alpha[1] * R2
  output g1 = grad(R1, params)
  output g2 = grad(R2, params)
}
train {
  optimizer = sgd(lr = 0.1)
  optimizer("shared.*") = sgd(lr = 0.1)
}
"""
"""The weights of the tasks are an input, so that they may change while a net is trained."""

DRAW = np.random.default_rng(0)
X, SIZE, KIND = DRAW.normal(size=(7, 4)), DRAW.normal(size=(7, 2)), DRAW.integers(0, 3, 7)


@cache
def tasks() -> netc.Model:
    return compiled(TASKS)


def weighted(*alpha: float) -> np.ndarray:
    return np.tile(alpha, (7, 1))


@experiment("X23", "000.8.5", where="several `loss` statements; `examples/multitask.net`")
def test_x23_the_gradient_of_two_tasks_is_a_weighted_sum() -> None:
    """With squared error and cross-entropy on one shared layer, the gradient of the objective is
    1 ∇R1 + 0.25 ∇R2 (1e-12); each task's head has gradient 0 under the other, and only the shared
    layer hears of both."""
    model, alpha = tasks(), weighted(1, 0.25)
    values = model.evaluate(X, alpha, SIZE, KIND)
    g1, g2 = values["g1"][0], values["g2"][0]
    model.forward(X, alpha, training=True)
    model.backward(SIZE, KIND)
    assert np.allclose(model.grads.flat, g1 + 0.25 * g2, rtol=1e-12, atol=1e-15)
    layers = [name.split(".")[0] for name in model.params]
    owner = np.repeat(layers, [value.size for value in model.params.values()])
    assert (g1[owner == "kinds"] == 0).all()
    assert (g2[owner == "sizes"] == 0).all()
    for gradient, head in ((g1, "sizes"), (g2, "kinds")):
        assert np.abs(gradient[owner == "shared"]).max() > 0.01
        assert np.abs(gradient[owner == head]).max() > 0.01


@experiment("X23", "000.8.5", where="several `loss` statements, a rate for each group")
def test_x23_an_auxiliary_task_acts_through_the_shared_weights_only() -> None:
    """With the shared layer at rest, ten steps with and without the auxiliary task leave the same
    main head bit for bit; when it learns, they do not."""
    model, heads = tasks(), {}
    start = model.params.flat.copy()
    for rate in (0.0, 0.1):
        for auxiliary in (0, 0.25):
            model.params.flat = start
            alpha, numbers = weighted(1, auxiliary), {"shared.*.lr": rate}
            model.fit(X, alpha, SIZE, KIND, epochs=10, batch=7, progress=False, **numbers)
            heads[rate, auxiliary] = np.array(model.params["sizes.dense.W"])
    model.params.flat = start
    assert heads[0.0, 0].tobytes() == heads[0.0, 0.25].tobytes()
    assert heads[0.1, 0] != pytest.approx(heads[0.1, 0.25], abs=1e-3)
