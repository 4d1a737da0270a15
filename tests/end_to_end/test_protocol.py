"""`forward` + `backward` + `update` is `step`: with draws, states, clipping and the objective."""

from __future__ import annotations

import numpy as np
import pytest

import netc

TEXT = """
layer centre(x: [n]) {
  state mean: [n] = 0
  if training { mean <- 0.9 * mean + 0.1 * batch_mean(x) }
  return x - mean
}

optimizer cautious(lr = 0.1) {
  state seen = 0
  seen <- seen + objective
  w <- w - lr * g / (1 + seen)
}

net N {
  input x: [7]
  target t: class[3]
  logits = x |> centre |> dense(19, act=tanh) |> dropout(0.3) |> dense(3)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
  penalty 1e-2 * l2(weights)
  metric accuracy = argmax(logits) == t
}

train { optimizer = cautious(lr = 0.5 / step); clip_norm = 0.7 }
"""


def model() -> netc.Model:
    return netc.compile(source=TEXT, precision="f64", seed=5)


@pytest.mark.parametrize("batch", [1, 8, 37])
def test_three_calls_equal_one_step(batch):
    fused, split = model(), model()
    rng = np.random.default_rng(batch)
    for _ in range(4):
        x, t = rng.normal(size=(batch, 7)) + 1, rng.integers(0, 3, batch)
        objective = fused.step(x, t)
        split.forward(x, training=True)
        assert split.backward(t) == pytest.approx(objective, rel=1e-12)
        split.update()
    for name in ("params", "state", "optimizer_state"):
        one, other = getattr(fused, name), getattr(split, name)
        assert list(one) == list(other)
        for key in one:
            np.testing.assert_allclose(one[key], other[key], rtol=1e-12, atol=1e-15, err_msg=key)
    assert np.any(fused.state["logits.centre.mean"])
    assert np.any(fused.optimizer_state["logits.dense.W.seen"])


def test_fit_in_text_order_equals_steps():
    fitted, stepped = model(), model()
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(50, 7)), rng.integers(0, 3, 50)
    fitted.fit(x, t, epochs=2, batch=16, shuffle=False, progress=False)
    for _ in range(2):
        for start in range(0, 50, 16):
            stepped.step(x[start : start + 16], t[start : start + 16])
    np.testing.assert_allclose(fitted.params.flat, stepped.params.flat, rtol=1e-12)
