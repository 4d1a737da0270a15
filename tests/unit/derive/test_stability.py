"""A formula as textbooks write it trains where its literal value would overflow."""

from __future__ import annotations

import numpy as np

import netc

TEXTBOOK = """
fn textbook_softmax(z) = exp(z) / sum(exp(z))

net N {
  input x: [1]
  target t: class[3]
  p = x |> dense(3, bias=false) |> textbook_softmax
  output p
  loss -log(p[t])
}
"""


def test_textbook_softmax_has_finite_value_and_gradient():
    model = netc.compile(source=TEXTBOOK)
    logits = np.array([100.0, 101.0, 99.0])
    model.params["p.dense.W"][...] = logits
    x, t = np.ones((2, 1)), np.array([0, 2])
    model.forward(x, training=True)
    loss = model.backward(t)
    p = np.exp(logits - 101) / np.exp(logits - 101).sum()
    np.testing.assert_allclose(loss, -np.mean(np.log(p[t])), rtol=1e-5)
    expected = p - np.bincount(t, minlength=3) / 2
    np.testing.assert_allclose(model.grads["p.dense.W"][0], expected, atol=1e-5)
