"""XOR: what no single layer can do, the ReLU net of two units that does it, and learned ones."""

from __future__ import annotations

import numpy as np
import pytest

from netc.procedures import newton
from tests.catalogue.architectures.support import XOR, XOR_LABELS, gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

SINGLE = """
const bias = false
const logistic = false

net Single {
  input  x: [2]
  target y: []
  param  w: [2] = normal(0, 1)
  if bias {
    param b = 0
    s = x @ w + b
  } else {
    s = x @ w
  }
  output a = if logistic then sigmoid(s) else s
  output H = hessian(objective, params)
  error = if logistic then binary_cross_entropy_with_logits(s, y) else half_squared_error(s, y)
  loss batch_size * error
}
train { optimizer = sgd() }
"""

RELU = """
net Two {
  input  x: [2]
  target y: []
  param  W: [2, 2] = normal(0, 1)
  param  b: [2] = normal(0, 1)
  param  w: [2] = normal(0, 1)
  s = x @ W + b
  h = relu(s)
  a = h @ w
  output s
  output h
  output a
  loss half_squared_error(a, y)
}
train { optimizer = adam(lr=0.05) }
"""


def optimum(**defines):
    """The net at the minimum of its convex objective, the objective and the outputs."""
    model = compiled(SINGLE, defines=defines)
    objective = newton.minimise(model, XOR, XOR_LABELS)[-1]
    assert np.max(np.abs(model.grads.flat)) < 1e-10
    return model, objective, model.forward(XOR)["a"]


@experiment("000.4.5a", where="`examples/xor.csv`, a table for `netc train`")
def test_000_4_5a_the_four_points_of_xor():
    """The labels of (0,0), (1,0), (0,1), (1,1) are 0, 1, 1, 0; with the printed y₄ = 1 they are OR,
    which one linear layer with a threshold does learn."""
    model = compiled(SINGLE, defines={"bias": True})
    newton.minimise(model, XOR, [0, 1, 1, 1])
    assert np.all((model.forward(XOR)["a"] > 0.5) == [0, 1, 1, 1])
    newton.minimise(model, XOR, XOR_LABELS)
    assert not np.all((model.forward(XOR)["a"] > 0.5) == XOR_LABELS)


@experiment("000.4.5b", "000.1g 000.4.5b", where="`hessian`, `netc.procedures.newton`")
def test_000_4_5b_no_single_layer_computes_xor():
    """The best linear net without bias has w = (1/3, 1/3) and S = 2/3, with one w = 0, b = 1/2 and
    S = 1/2; the logistic one says 0.5 everywhere with the cross-entropy 4 ln 2 = 2.772589; no
    threshold on a plane of 24 directions gets more than 3 of the 4 points."""
    model, S, _ = optimum()
    np.testing.assert_allclose(model.params["w"], [1 / 3, 1 / 3], rtol=1e-12)
    assert pytest.approx(2 / 3, rel=1e-12) == S
    model, S, _ = optimum(bias=True)
    np.testing.assert_allclose(model.params.flat, [0, 0, 0.5], atol=1e-12)
    assert pytest.approx(1 / 2, rel=1e-12) == S
    _, S, a = optimum(bias=True, logistic=True)
    assert pytest.approx(4 * np.log(2), rel=1e-12) == S
    np.testing.assert_allclose(a, 0.5, atol=1e-10)
    best = 0.0
    for angle in np.arange(24) * np.pi / 12:
        for offset in np.linspace(-2, 2, 41):
            model.params.flat = [np.cos(angle), np.sin(angle), offset]
            best = max(best, np.mean((model.forward(XOR)["a"] > 0) == XOR_LABELS))
    assert best == 0.75


@experiment("000.4.5c", "000.4.5c 000.1h", where="`relu`, parameters set by `model.params`")
def test_000_4_5c_two_rectified_units_compute_xor_exactly():
    """W all ones, b = (0, -1), w = (1, -2) give s = (0,-1), (1,0), (1,0), (2,1), h = (0,0), (1,0),
    (1,0), (2,1) and outputs of exactly 0, 1, 1, 0, in single precision too."""
    for precision in ("f64", "f32"):
        model = compiled(RELU, precision=precision)
        model.params["W"], model.params["b"], model.params["w"] = np.ones((2, 2)), [0, -1], [1, -2]
        found = model.forward(XOR)
        np.testing.assert_array_equal(found["s"], [[0, -1], [1, 0], [1, 0], [2, 1]])
        np.testing.assert_array_equal(found["h"], [[0, 0], [1, 0], [1, 0], [2, 1]])
        np.testing.assert_array_equal(found["a"], [0, 1, 1, 0])
        objective, slopes = gradients(model, XOR, XOR_LABELS)
        assert objective == 0
        assert not any(slope.any() for slope in slopes.values())


@experiment("000.4.5c", where="`examples/xor.net`, `netc.compile(seed=…)`")
def test_000_4_5c_two_hidden_units_learn_xor():
    """From random weights some of eight seeds end with all four points right, and some in a local
    minimum."""
    model, right = compiled(RELU), []
    for seed in range(8):
        model.params.flat = np.random.default_rng(seed).normal(size=8)
        model.fit(XOR, XOR_LABELS, batch=4, epochs=500, progress=False)
        right.append(np.all((model.forward(XOR)["a"] > 0.5) == XOR_LABELS))
    assert any(right)
    assert not all(right)
