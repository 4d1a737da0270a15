"""The forward recursion and what is decided from its outputs."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import network, offsets, redraw, weights
from tests.catalogue.tools import compiled

SHAPES = (3, 3, 2, 3, 2)
DEEP = network(
    SHAPES,
    extra="""output combiner = z_5
  output soft = softmax(z_5)
  assert shape(z_2.affine.W) == [3, 3] and shape(z_3.affine.W) == [3, 2]
  assert count(weights) == 27 and count(params) == 37""",
)


@experiment(
    "A4",
    "001.65.2-1 001.65.2-2 001.65.3-1",
    where="`layer affine` with `param W: [n, units]`, `y @ W - theta`; `dense` with a plus sign",
)
def test_a4_shapes_and_forward_recursion():
    """With n = (3, 3, 2, 3, 2) there are four matrices of n_l × n_(l+1) and four offset vectors;
    outputs are those of (65.31), of (65.43) with softmax, and the pre-activation for regression."""
    model = compiled(DEEP)
    draw = redraw(model, 1)
    assert [w.shape for w in weights(model)] == [(3, 3), (3, 2), (2, 3), (3, 2)]
    assert [t.shape for t in offsets(model)] == [(3,), (2,), (3,), (2,)]
    H = draw.normal(size=(5, 3))
    found = model.forward(H)
    for b, h in enumerate(H):
        for name, head in {"gamma_hat": "tanh", "combiner": "identity", "soft": "softmax"}.items():
            y, _ = listings.forward(h, weights(model), offsets(model), "tanh", head)
            np.testing.assert_allclose(found[name][b], y[-1], rtol=1e-13)


DECISIONS = """
net Decisions {
  input z: [5]
  target bits: [5]
  target signs: [5]
  target label: class[5]
  yes = sigmoid(z)
  between = tanh(z)
  p = softmax(z)
  output bits_star = yes >= 0.5
  output signs_star = sign(between)
  output r_star = argmax(p)
  output gamma_star = one_hot(r_star, 5)
  loss binary_cross_entropy(yes, bits)
  metric wrong_bits = zero_one(bits_star, bits)
  metric wrong_signs = zero_one(signs_star, signs)
  metric accuracy = r_star == label
}
"""


SCORES = np.array([[2.0, -1, -3, 1, 0.5], [-1, -2, -1, 3, -4]])
BITS = np.array([[1, 0, 0, 1, 1], [0, 0, 0, 1, 0]])


@cache
def decided():
    return compiled(DECISIONS)


@experiment(
    "001.65.3-2", "001.65.3-2 001.65.3-4", where="`p >= 0.5`; `metric zero_one(bits_star, bits)`"
)
def test_001_65_3_2_several_classes_at_once():
    """Logistic outputs are decided at 1/2, which counts as 1: several entries are active, and the
    metric counts three wrong bits in two samples as 1.5."""
    model = decided()
    np.testing.assert_array_equal(model.forward(SCORES)["bits_star"], BITS)
    np.testing.assert_array_equal(model.forward(np.zeros((1, 5)))["bits_star"], [[1] * 5])
    other = BITS.copy()
    other[0, :3] = 1 - other[0, :3]
    scores = model.evaluate(SCORES, other, 2 * BITS - 1, [0, 2])
    assert (scores["wrong_bits"], scores["wrong_signs"]) == (1.5, 0)


@experiment("001.65.3-3", where="`sign(y)`")
def test_001_65_3_3_signs():
    """tanh outputs are decided by their sign: (+1, -1, -1, +1, +1) of (65.2)."""
    found = decided().forward(SCORES)["signs_star"]
    np.testing.assert_array_equal(found[0], [1, -1, -1, 1, 1])


@experiment("001.65.3-5", "001.65.3-5 001.65.3-6", where="`argmax(p)`, `one_hot(argmax(p), Q)`")
def test_001_65_3_5_one_class():
    """The class is that of the largest softmax output, γ* its basis vector, (65.41) and (65.42);
    half of the labels 0 and 2 are hit."""
    found = decided().forward(SCORES)
    np.testing.assert_array_equal(found["r_star"], [0, 3])
    np.testing.assert_array_equal(found["gamma_star"], np.eye(5)[[0, 3]])
    assert decided().evaluate(SCORES, BITS, 2 * BITS - 1, [0, 2])["accuracy"] == 0.5


@experiment("001.65.5-4", where="`predict`; parameters move in `update`, `step` and `fit` only")
def test_001_65_5_4_prediction_leaves_the_parameters_alone():
    """After training `predict` and `evaluate` change no bit of a parameter, and the class of
    softmax is that of the largest pre-activation, (65.86)."""
    text = network((4, 6, 3), head="softmax", extra="output r_star = argmax(gamma_hat)")
    model = compiled(text)
    draw = np.random.default_rng(2)
    h, gamma = draw.normal(size=(40, 4)), np.eye(3)[draw.integers(0, 3, 40)]
    model.fit(h, gamma, epochs=2, progress=False)
    frozen = model.params.flat
    found = model.predict(h)
    model.evaluate(h, gamma)
    np.testing.assert_array_equal(model.params.flat, frozen)
    chosen = [
        listings.forward(row, weights(model), offsets(model), "tanh", "identity")[0][-1].argmax()
        for row in h
    ]
    np.testing.assert_array_equal(found["r_star"], chosen)
