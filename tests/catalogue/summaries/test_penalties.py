"""Penalties of weights, sparse weights, and sparse activations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

PENALISED = """
const m = 40
net Penalised {
  input x: [3]
  param alpha = 0
  param beta = 0
  param lambda = 0
  param only = 0
  h = x |> dense(4)
  p = h |> dense(2)
  output p
  loss 0 * sum(p)
  penalty alpha / 2 * l2(weights) + beta * l1(weights)
  penalty lambda / (2 * m) * l2(weights)
  penalty only * l2(params("h.*W"))
}
train { optimizer = sgd(lr=0.1); freeze("alpha"); freeze("beta"); freeze("lambda"); freeze("only") }
"""


@experiment(
    "S36",
    "002.10.8-10.9 002.10.10 002.10.11 002.10.12 003.6.6 003.6.7 003.6.8",
    where="`penalty` with `l2(weights)`, `l1(weights)`, `l2(params(…))`",
)
def test_s36_penalties_add_their_slopes_to_the_weights_and_leave_biases_alone() -> None:
    """Slopes αw, α sign w, (λ/m) W as by differences; biases 0; one layer penalised alone."""
    draw = np.random.default_rng(0)
    model, x = compiled(PENALISED), draw.normal(size=(5, 3))
    weights, biases = ("h.dense.W", "p.dense.W"), ("h.dense.b", "p.dense.b")
    for name in biases:
        model.params[name] = draw.normal(size=model.params[name].shape)
    slopes = {
        "alpha": lambda w: 0.3 * w,
        "beta": lambda w: 0.3 * np.sign(w),
        "lambda": lambda w: 0.3 / 40 * w,
    }
    for number, slope in slopes.items():
        model.params[number] = 0.3
        model.forward(x, training=True)
        model.backward()
        found = {name: model.grads[name].copy() for name in (*weights, *biases)}
        for name in weights:
            np.testing.assert_allclose(found[name], slope(model.params[name]), rtol=1e-12)
            numeric = objective_differences(model, name, x)
            np.testing.assert_allclose(found[name], numeric, atol=1e-8)
        assert not any(found[name].any() for name in biases)
        model.params[number] = 0
    model.params["only"] = 1
    model.forward(x, training=True)
    model.backward()
    assert model.grads["h.dense.W"].all()
    assert not model.grads["p.dense.W"].any()


@experiment("S36", "002.10.11", where="`penalty alpha / 2 * l2(weights)`")
def test_s36_weight_decay_shrinks_weights_by_one_minus_rate_times_alpha() -> None:
    """With no slope of the loss, w ← (1 - εα) w: ε = 0.1, α = 0.3, 5 steps leave 0.97⁵ w."""
    model = compiled(PENALISED)
    model.params["alpha"] = 0.3
    before = model.params["h.dense.W"].copy()
    for _ in range(5):
        model.step(np.zeros((1, 3)))
    np.testing.assert_allclose(model.params["h.dense.W"], 0.97**5 * before, rtol=1e-13)


SPARSE = """
net Sparse {
  input x: [20]
  target y: [1]
  param alpha = 0.1
  param beta = 0.1
  param a: [20]
  param b: [20]
  loss squared_error(sum(a * x), y) + squared_error(sum(b * x), y)
  penalty alpha * l1(a) + beta * l2(b)
  metric first = squared_error(sum(a * x), y)
  metric second = squared_error(sum(b * x), y)
}
train {
  optimizer = sgd(lr=0.05 * inverse_time(0.01, t=step))
  optimizer("b") = sgd(lr=0.05)
  freeze("alpha")
  freeze("beta")
}
"""


@experiment("S37", "002.10.13 002.10.12", where="`l1` and `l2` of the prelude")
def test_s37_absolute_values_leave_more_weights_near_zero_than_squares() -> None:
    """17 irrelevant inputs, equal training loss: L1 leaves at least 10 |w| < 1e-3, L2 at most 2."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(60, 20))
    y = x[:, :3] @ [[2.0], [-1.5], [1.0]] + 0.3 * draw.normal(size=(60, 1))
    model = compiled(SPARSE)

    def ridge(beta: float) -> float:
        w = np.linalg.solve(x.T @ x / 60 + beta * np.eye(20), x.T @ y / 60)
        return ((x @ w - y) ** 2).mean()

    for _ in range(6000):
        model.step(x, y)
    goal = model.evaluate(x, y)["first"]
    model.params["beta"] = brentq(lambda beta: ridge(beta) - goal, 1e-6, 10)
    for _ in range(6000):
        model.step(x, y)
    scores = model.evaluate(x, y)
    assert scores["second"] == pytest.approx(scores["first"], rel=1e-3)
    small = {name: int((np.abs(model.params[name]) < 1e-3).sum()) for name in "ab"}
    assert small["a"] >= 10
    assert small["b"] <= 2


MATRICES = """
const A = [[4, 0, 0, -2, 0, 0], [0, 0, -1, 0, 3, 0], [0, 5, 0, 0, 0, 0],
           [1, 0, 0, -1, 0, -4], [1, 0, 0, 0, -5, 0]]
const B = [[3, -1, 2, -5, 4, 1], [4, 2, -3, -1, 1, 3], [-1, 5, 4, 2, -3, -2],
           [3, 1, 2, -3, 0, -3], [-5, 4, -2, 2, -5, -1]]

## The ten weights of A that are not 0, row by row, and where in x each looks.
fn sparse_weights(x) {
  z = [4, -2, -1, 3, 5, 1, -1, -4, 1, -5] * gather(x, [0, 3, 2, 4, 1, 0, 3, 5, 0, 4])
  return [z[0] + z[1], z[2] + z[3], z[4], z[5] + z[6] + z[7], z[8] + z[9]]
}

net Matrices {
  input x: [6]
  input h: [6]
  input active: int[2]
  output weights_dense = A @ x
  output weights_sparse = sparse_weights(x)
  output activations_dense = B @ h
  output activations_sparse = gather(B, active, axis=1) @ gather(h, active)
  output filled = sum(A != 0)
}
"""


@experiment(
    "S37", "002.10.14", where="`gather` picks the weights or the activations that are not 0"
)
def test_s37_sparse_weights_and_sparse_activations_give_the_dense_products() -> None:
    """A x = (18, 5, 15, -9, -3) by 10 of 30 products; B h = (-14, 1, 19, 2, 23), printed with 9."""
    model = compiled(MATRICES)
    found = model.forward([[2, 3, -2, -5, 1, 4]], [[0, 2, 0, 0, -3, 0]], [[1, 4]])
    np.testing.assert_array_equal(found["weights_dense"], [[18, 5, 15, -9, -3]])
    np.testing.assert_array_equal(found["weights_sparse"], [[18, 5, 15, -9, -3]])
    np.testing.assert_array_equal(found["activations_dense"], [[-14, 1, 19, 2, 23]])
    np.testing.assert_array_equal(found["activations_sparse"], [[-14, 1, 19, 2, 23]])
    assert float(found["filled"].flat[0]) == 10
    x = np.random.default_rng(2).normal(size=(20, 6))
    found = model.forward(x, x, np.tile([1, 4], (20, 1)))
    np.testing.assert_allclose(found["weights_sparse"], found["weights_dense"], rtol=1e-13)
