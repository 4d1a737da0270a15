"""Notation at work: shapes, affine maps, samples as rows, functions and distributions."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

SHAPES = """
const D = 4
const I = 3
const K = 2
net Shapes {
  input  x: [D]
  target y: [K]
  param  W: [D, I] = normal(0, 1)
  param  b: [I] = normal(0, 1)
  s = x @ W + b
  a = tanh(s)
  g = a |> dense(K)
  error = squared_error(g, y)
  output s
  output a
  output g
  output error
  loss error
  penalty 0.1 * l2(W)
  assert shape(W) == [D, I] and shape(s) == [I] and shape(a) == [I] and shape(g) == [K]
  assert count(params) == D * I + I + I * K + K
}
"""


@pytest.fixture(scope="module")
def model():
    return compiled(SHAPES)


@experiment(
    "000.3.1", "000.3.1 000.3.5", where="shapes `[D]`, `const`, `assert shape(W) == [D, I]`"
)
def test_000_3_1_sizes_are_checked_while_compiling(model):
    """D inputs, I units and K outputs are constants, other sizes recompile by `defines`; the last
    of L layers gives K = n[L]. In s = W x, W is units × inputs; the printed n[l-1] × n[l] is an
    error at its place, and is what x @ W takes."""
    assert [v.shape for v in model.params.values()] == [(4, 3), (3,), (3, 2), (2,)]
    wider = compiled(SHAPES, defines={"D": 7, "K": 5})
    assert wider.forward(np.zeros((1, 7)))["g"].shape == (1, 5)
    column = "net Column {{ input x: [4]; param W: {}; output s = W @ x; assert shape(s) == [3] }}"
    compiled(column.format("[3, 4]"))
    with pytest.raises(netc.CompileError, match=r"cannot multiply \[4, 3\] by \[4\]"):
        compiled(column.format("[4, 3]"))


@experiment(
    "000.3.2", "000.3.2 000.3.6 000.3.7", where="`x @ W + b`; the batch axis is not written"
)
def test_000_3_2_affine_layers_on_rows_of_samples(model):
    """s = Wx + b for one sample, S = XWᵀ + 1bᵀ for N samples as rows, equal to 1e-12 and row by
    row; a = f(s) elementwise; the penalty 0.1 wᵀw adds 0.1 Σ w² to the objective."""
    X = np.random.default_rng(1).normal(size=(9, 4))
    W, b = np.array(model.params["W"]).T, np.array(model.params["b"])
    found = model.forward(X)
    np.testing.assert_allclose(found["s"], X @ W.T + np.ones((9, 1)) * b, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["a"], np.tanh(found["s"]), rtol=1e-12)
    for n in range(9):
        by_hand = [sum(W[i, j] * X[n, j] for j in range(4)) + b[i] for i in range(3)]
        np.testing.assert_allclose(found["s"][n], by_hand, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(model.forward(X[n : n + 1])["s"][0], found["s"][n], rtol=1e-14)
    y = np.zeros((9, 2))
    model.forward(X, training=True)
    penalty = model.backward(y) - model.evaluate(X, y)["loss"]
    assert penalty == pytest.approx(0.1 * np.sum(W**2), rel=1e-10)


@experiment("000.3.3", "000.3.3 000.3.8", where="`fn`, `net`, `loss`, `model.evaluate`")
def test_000_3_3_the_empirical_error_is_the_mean_of_the_losses(model):
    """An activation f is an `fn`, a model g(x; w) a `net` with its `params`, L(y, g) one number a
    sample; R_emp(w) is their mean over 9 samples, whatever the batches."""
    random = np.random.default_rng(2)
    X, y = random.normal(size=(9, 4)), random.normal(size=(9, 2))
    found = model.evaluate(X, y)
    np.testing.assert_allclose(found["error"], np.sum((model.forward(X)["g"] - y) ** 2, axis=1))
    assert found["loss"] == pytest.approx(found["error"].mean(), rel=1e-13)
    assert model.evaluate(X, y, batch=2)["loss"] == pytest.approx(found["loss"], rel=1e-13)
    w = np.array(model.params.flat)
    model.params.flat = 1.1 * w
    assert model.evaluate(X, y)["loss"] != found["loss"]
    model.params.flat = w


@experiment(
    "000.3.4", "000.3.4 000.3.9", where="`uniform`, `normal` (standard deviation), `bernoulli`"
)
def test_000_3_4_moments_of_the_distributions():
    """A million draws each: U(-1, 3) has mean 1 and variance 4/3, N(2, 9) mean 2 and variance 9
    (the text gives the variance, `normal` takes its root 3), B(1, 0.3) mean 0.3 and B(5, 0.3) mean
    1.5 and variance 1.05, all within four standard errors."""
    draws = compiled("""
    net Draws {
      input x: []
      output u = x + uniform(-1, 3, [1000])
      output n = x + normal(2, sqrt(9), [1000])
      output one = x + bernoulli(0.3, [1000])
      output five = x + sum(bernoulli(0.3, [200, 5]), axis=1)
    }""")
    found = draws.forward(np.zeros(1000))
    moments = {"u": (1, 4 / 3), "n": (2, 9), "one": (0.3, 0.21), "five": (1.5, 1.05)}
    for name, (mean, variance) in moments.items():
        v = found[name].ravel()
        assert abs(v.mean() - mean) < 4 * np.sqrt(variance / v.size)
        spread = np.std((v - mean) ** 2)
        assert abs(np.mean((v - mean) ** 2) - variance) < 4 * spread / np.sqrt(v.size)
    assert found["u"].min() >= -1
    assert found["u"].max() < 3
    assert abs(found["n"].std() - 9) > 5
