"""Text 004, section 7.3: normalisation over the batch and over the units of a layer."""

from __future__ import annotations

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

NORMALISED = """
net Normalised {
  input  x: [3]
  target t: [3]
  u = x |> dense(3)
  y = u |> batch_norm(momentum=0.8, eps=0.01)
  l = u |> layer_norm(eps=0.01)
  output y
  output u
  output l
  loss half_squared_error(sin(y) + l, t)
}
train { optimizer = sgd(lr = 0) }
"""

DEEP = """
const normalised = true
layer block(x) {
  a = x |> dense(16)
  return if normalised then a |> batch_norm |> sigmoid else a |> sigmoid
}

net Deep {
  input  x: [2]
  target t: class[2]
  z = x |> repeat(8, block) |> dense(2)
  loss cross_entropy(z, t)
  metric accuracy = argmax(z) == t
}
train { optimizer = sgd(lr = 0.5); batch = 50; epochs = 30; seed = 1 }
"""


@experiment("E27", "004.7.3.a", where="`batch_norm` of the prelude")
def test_e27_batch_normalisation_in_training_and_in_use() -> None:
    """In training each component has mean β and variance γ²s²/(s² + ε) over the minibatch, to
    1e-13; the states follow as moving averages of m and s²; in use a datum's output depends on them
    and not on its batch. Gradients of W (through x), γ and β agree with differences to 1e-8."""
    random = np.random.default_rng(0)
    x, t = random.normal(1, 2, (40, 3)), random.normal(size=(40, 3))
    model = compiled(NORMALISED)
    gamma, beta = np.array([0.5, 2, -1]), np.array([1, 0, -2.0])
    model.params["y.batch_norm.gamma"], model.params["y.batch_norm.beta"] = gamma, beta
    found = model.forward(x, training=True)
    y, u = found["y"], found["u"]
    s2 = u.var(axis=0)
    np.testing.assert_allclose(y.mean(axis=0), beta, atol=1e-13)
    np.testing.assert_allclose(y.var(axis=0), gamma**2 * s2 / (s2 + 0.01), rtol=1e-13)
    mean, var = (model.state[f"y.batch_norm.{name}"] for name in ("mean", "var"))
    np.testing.assert_allclose(mean, 0.2 * u.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(var, 0.8 + 0.2 * s2, rtol=1e-12)
    frozen = beta + gamma * (u - mean) / np.sqrt(np.array(var) + 0.01)
    np.testing.assert_allclose(model.forward(x)["y"], frozen, atol=1e-12)
    np.testing.assert_array_equal(model.forward(x[:7])["y"], model.forward(x)["y"][:7])
    model.forward(x, training=True)
    model.backward(t)
    grads = {name: np.array(model.grads[name]) for name in model.grads}
    for name, value in grads.items():
        np.testing.assert_allclose(value, objective_differences(model, name, x, t), atol=1e-8)


@experiment("E27", "004.7.3.b", where="`layer_norm` of the prelude")
def test_e27_layer_normalisation_is_over_the_units_of_one_datum() -> None:
    """Each datum's 3 units get mean 0 and variance s²/(s² + ε) by their own statistics, the same in
    training and in use, alone and in a batch."""
    x = np.random.default_rng(0).normal(1, 2, (40, 3))
    model = compiled(NORMALISED)
    found = model.forward(x, training=True)
    u = found["u"]
    s2 = u.var(axis=1, keepdims=True)
    expected = (u - u.mean(axis=1, keepdims=True)) / np.sqrt(s2 + 0.01)
    np.testing.assert_allclose(found["l"], expected, atol=1e-13)
    np.testing.assert_allclose(found["l"].mean(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(model.forward(x)["l"], found["l"], atol=1e-14)
    np.testing.assert_allclose(model.forward(x[:1])["l"], found["l"][:1], atol=1e-14)


@experiment("E27", "004.7.3.a", where="`batch_norm` before `sigmoid` in a `repeat`")
def test_e27_a_deep_sigmoid_net_learns_with_batch_normalisation_only() -> None:
    """Eight sigmoid layers learn a half-plane in 30 epochs to an accuracy above 0.95 with batch
    normalisation before each activation; without it they stay at the share of the larger class."""
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 2))
    t = (x.sum(axis=1) > 0).astype(int)
    model = compiled(DEEP)
    model.fit(x, t, progress=False)
    assert model.evaluate(x, t)["accuracy"] > 0.95
    plain = compiled(DEEP, defines={"normalised": False})
    plain.fit(x, t, progress=False)
    share = max(t.mean(), 1 - t.mean())
    assert plain.evaluate(x, t)["accuracy"] <= share
    assert plain.history["loss"][-1] > 0.68
