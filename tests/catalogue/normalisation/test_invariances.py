"""Sections 10.2, 10.3 and 10.5: layer and weight normalisation, and what each leaves unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

LAYER = """
net Layered {
  input x: [4]
  target t: [6]
  param W: [4, 6] = normal(0, 1)
  s = x @ W
  plain = s |> layer_norm(eps=0)
  y = tanh(plain)
  output s
  output plain
  output y
  loss squared_error(y, t)
}
"""


@experiment("X49", "000.10.2", where="`layer_norm`")
def test_x49_layer_normalisation() -> None:
    """Each sample gets mean 0 and variance 1 over its units, alone or in a batch; gradients are
    those of finite differences; one vector added to all rows of W, or a factor, changes nothing.
    """
    model = compiled(LAYER, seed=3)
    draws = np.random.default_rng(2)
    x, t = 3 + draws.normal(size=(7, 4)), draws.normal(size=(7, 6))
    one = model.forward(x, training=True)
    assert one["plain"].mean(1) == pytest.approx(0, abs=1e-12)
    assert one["plain"].var(1) == pytest.approx(1, abs=1e-12)
    assert model.forward(x[:1], training=True)["y"] == pytest.approx(one["y"][:1], abs=1e-12)
    assert model.forward(x[:1])["y"] == pytest.approx(one["y"][:1], abs=1e-12), "no states"

    model.params["plain.layer_norm.gamma"] = draws.uniform(0.5, 2, 6)
    model.params["plain.layer_norm.beta"] = draws.normal(size=6)
    for name in model.params:
        found = objective_differences(model, name, x, t)
        model.forward(x, training=True)
        model.backward(t)
        assert model.grads[name] == pytest.approx(found, rel=1e-6, abs=1e-7)

    same, start = model.forward(x)["y"], np.array(model.params["W"])
    model.params["W"] = 5 * (start + draws.normal(size=(4, 1)))
    assert model.forward(x)["y"] == pytest.approx(same, abs=1e-12)
    model.params["W"] = start * np.array([5, 1, 1, 1, 1, 1])
    assert model.forward(x)["y"] != pytest.approx(same, abs=1e-2)


WEIGHT = """
net Lengths {
  input x: [2]
  y = x |> weight_norm_dense(1, bias=false)
  output y
  loss sum(y)
}
train { optimizer = sgd(lr=0.5) }
"""


@experiment("X50", "000.10.3", where="`weight_norm_dense`")
def test_x50_weight_normalisation_by_hand() -> None:
    """v = (3, 4), g = 2 and ∂L/∂w = (1, 0) give ∂L/∂g = 0.6 and ∂L/∂v = (0.256, -0.192); the
    printed formula, (0.256, 0), is wrong.
    """
    model = compiled(WEIGHT)
    v, g = "y.weight_norm_dense.V", "y.weight_norm_dense.g"
    model.params[v], model.params[g] = [[3], [4]], [2]
    x = np.array([[1.0, 0]])
    assert model.forward(x, training=True) == pytest.approx(1.2)
    model.backward()
    assert model.grads[g] == pytest.approx(0.6, abs=1e-12)
    assert model.grads[v][:, 0] == pytest.approx([0.256, -0.192], abs=1e-12)
    slopes = approx_fprime([3, 4], lambda v: 2 * v[0] / np.hypot(*v), 1e-7)
    assert slopes == pytest.approx([0.256, -0.192], abs=1e-6)
    printed = 2 / 5 * (1 - np.array([9, 16]) / 25) * [1, 0]
    assert printed == pytest.approx([0.256, 0], abs=1e-12)
    assert model.grads[v][:, 0] != pytest.approx(printed, abs=0.1)
    model.params[v] = [[30], [40]]
    assert model.forward(x) == pytest.approx(1.2)


REGRESSION = """
net Regression {
  input x: [6]
  target t: [1]
  y = x |> KIND(16, act=tanh) |> KIND(16, act=tanh) |> KIND(1)
  output y
  loss squared_error(y, t)
}
train { optimizer = sgd(lr=0.1); batch = 16; shuffle = false }
"""


@experiment("X50", "000.10.3", where="`weight_norm_dense`, `fit(lr=…)`")
def test_x50_weight_normalisation_bears_larger_rates() -> None:
    """‖v‖ never falls under gradient descent, as ∂L/∂v is orthogonal to v; of 33 rates from 1e-3
    to 10 at least two more train without divergence than with plain weights (24 against 22).
    """
    draws = np.random.default_rng(3)
    x = draws.normal(size=(64, 6))
    t = np.sin(x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3]
    bears = {}
    for kind in ("dense", "weight_norm_dense"):
        model = compiled(REGRESSION.replace("KIND", kind), seed=1)
        start, first = model.params.flat, model.evaluate(x, t)["loss"]
        bears[kind] = 0
        for lr in np.logspace(-3, 1, 33):
            model.params.flat = start
            model.fit(x, t, epochs=40, lr=float(lr), progress=False)
            bears[kind] += bool(model.evaluate(x, t)["loss"] < first)
    assert bears["dense"] > 10
    assert bears["weight_norm_dense"] >= bears["dense"] + 2

    model.params.flat = start
    lengths = []
    for _ in range(30):
        model.forward(x, training=True)
        model.backward(t)
        v = model.params["y.weight_norm_dense.V"]
        assert (model.grads["y.weight_norm_dense.V"] * v).sum(0) == pytest.approx(0, abs=1e-12)
        lengths.append(np.linalg.norm(v, axis=0))
        model.update()
    assert (np.diff(lengths, axis=0) >= 0).all()
    assert (lengths[-1] > lengths[0]).all()


TABLE = """
net Table {
  input x: [6]
  param W: [6, 5] = normal(0, 1)
  s = x @ W
  output batch = s |> batch_norm(eps=0)
  output weight = s * rsqrt(sum(W^2, axis=0))
  output library = x |> weight_norm_dense(5, bias=false)
  output layered = s |> layer_norm(eps=0)
  output own = selu(s)
}
"""
INVARIANT = {
    "batch": (1, 0, 1, 1, 1, 0),
    "weight": (1, 0, 1, 0, 0, 0),
    "layered": (1, 1, 0, 1, 0, 1),
    "own": (0, 0, 0, 0, 0, 0),
}
"""Table 10.1: weight matrix scaled, re-centred, one weight vector scaled, data set scaled,
re-centred, one sample scaled."""


def changes(x: np.ndarray, W: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Data and weights after each of the six changes."""
    draws = np.random.default_rng(9)
    row, one = np.ones((1, 5)), np.ones((8, 1))
    row[0, 1], one[2, 0] = 3, 3
    return [
        (x, 2.5 * W),
        (x, W + draws.normal(size=(6, 1))),
        (x, W * row),
        (2.5 * x, W),
        (x + draws.normal(size=6), W),
        (x * one, W),
    ]


@experiment("X51", "000.10.5", where="`batch_norm`, `weight_norm_dense`, `layer_norm`, `selu`")
def test_x51_the_table_of_invariances() -> None:
    """All 24 cells of table 10.1 hold as printed, for positive factors; negative ones break the
    invariances.
    """
    model = compiled(TABLE, seed=5)
    x, W = np.random.default_rng(6).normal(size=(8, 6)), np.array(model.params["W"])

    def normalised(x: np.ndarray, W: np.ndarray) -> dict[str, np.ndarray]:
        model.params["W"] = W
        model.params["library.weight_norm_dense.V"] = W
        return model.forward(x, training=True)

    before = normalised(x, W)
    assert before["library"] == pytest.approx(before["weight"], abs=1e-12)
    for number, (data, weights) in enumerate(changes(x, W)):
        after = normalised(data, weights)
        for name, cells in INVARIANT.items():
            moved = np.abs(after[name] - before[name]).max()
            assert (moved < 1e-10) == bool(cells[number]), (name, number, moved)
            assert moved < 1e-10 or moved > 1e-2
    after = normalised(x, -W)
    assert not any(np.allclose(after[name], before[name]) for name in INVARIANT)


@experiment("X49", "000.10.2", where="`layer_norm(eps=…)`, `jacobian(y, s)`")
def test_x49_gradient_of_layer_normalisation() -> None:
    """The Jacobian of a layer norm of six units is that of finite differences, and has the kernel
    (1, …, 1): a common shift has no effect.
    """
    text = """
    net Slope {
      input s: [6]
      y = s |> layer_norm(eps=0)
      output y
      output J = jacobian(y, s)
    }"""
    model = compiled(text)
    s = np.random.default_rng(1).normal(size=(1, 6))
    found = differences(lambda s: model.forward(s[None])["y"][0], s[0])
    slopes = model.forward(s)["J"][0]
    assert slopes == pytest.approx(found, abs=1e-7)
    assert slopes @ np.ones(6) == pytest.approx(0, abs=1e-12)
