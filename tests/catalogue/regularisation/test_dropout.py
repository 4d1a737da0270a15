"""Dropout: masks, the two ways to scale, and averages over masks."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

WIDE = """
const rate = 0.5
layer unscaled(x, keep) {
  return if training then where(bernoulli(keep, shape(x)), x, 0) else x
}
net Wide {
  input x: [1000]
  output scaled = x |> dropout(rate)
  output unscaled = x |> unscaled(1 - rate)
}
"""


@experiment("X21", "000.8.4a 000.8.4c", where="`dropout`; `bernoulli(p, shape(x))`")
def test_x21_masks_keep_the_mean_and_raise_the_variance() -> None:
    """Of a million activations of 1 at p = 0.5 the masked mean is 0.5 ± 0.002; divided by p the
    mean is 1 ± 0.004 and the variance (1 - p) / p = 1 ± 0.01. Nothing happens in inference."""
    model = compiled(WIDE)
    ones = np.ones((1000, 1000))
    found = model.forward(ones, training=True)
    assert set(np.unique(found["unscaled"])) == {0, 1}
    assert found["unscaled"].mean() == pytest.approx(0.5, abs=0.002)
    assert found["scaled"].mean() == pytest.approx(1, abs=0.004)
    assert found["scaled"].var() == pytest.approx(1, abs=0.01)
    assert (model.forward(ones)["scaled"] == ones).all()


@experiment("X21", "000.8.4a 000.8.4c", where="`dropout(rate)` with a rate for each layer")
def test_x21_the_variance_of_a_rescaled_activation() -> None:
    """At p = 0.9 activations of mean 2 and variance 0.25 have mean 2 and variance
    ν / p + μ² (1 - p) / p = 0.7222 within 1 %."""
    model = compiled(WIDE, defines={"rate": 0.1})
    a = np.random.default_rng(0).normal(2, 0.5, (1000, 1000))
    found = model.forward(a, training=True)["scaled"]
    assert found.mean() == pytest.approx(2, abs=0.005)
    assert found.var() == pytest.approx(0.25 / 0.9 + 4 * 0.1 / 0.9, rel=0.01)


NEXT = """
const p = 0.75
## Dropout as it is printed: a mask in training, weights times p in inference.
layer printed(a, keep) {
  return if training then where(bernoulli(keep, shape(a)), a, 0) else keep * a
}
net Next {
  input  x: [3]
  target y: [2]
  h = x |> dense(4, act=tanh)
  output d = h |> printed(p)
  output s = d |> dense(2)
  loss sum((s - y)^2)
}
train { optimizer = sgd() }
"""


@cache
def next_layer() -> netc.Model:
    model = compiled(NEXT)
    draw = np.random.default_rng(1)
    model.params.flat = draw.normal(size=model.params.flat.size)
    return model


@experiment("X21", "000.8.4b", where="`if training then … else keep * a`")
def test_x21_weight_scaling_is_the_expectation_of_a_linear_layer() -> None:
    """In inference, with the weights times p, the next pre-activation is the mean over all 16 masks
    to 1e-12; without the factor it is not (8.19, 8.20)."""
    model, x = next_layer(), np.array([[0.3, -1, 2]])
    w = model.params
    a = np.tanh(x @ w["h.dense.W"] + w["h.dense.b"])[0]
    outputs = w["s.dense.W"]
    mean = w["s.dense.b"].copy()
    for mask in product((0, 1), repeat=4):
        chance = 0.75 ** sum(mask) * 0.25 ** (4 - sum(mask))
        mean += chance * (np.array(mask) * a) @ outputs
    assert np.allclose(model.forward(x)["s"][0], mean, rtol=1e-12)
    assert np.abs(a @ outputs + w["s.dense.b"] - mean).max() > 0.1


@experiment("X21", "000.8.4a", where="`dropout`: `backward` draws as `forward` did")
def test_x21_the_gradient_has_the_mask_of_the_forward_pass() -> None:
    """A dropped unit gets gradient 0 and a kept one the gradient with its mask, to 1e-12."""
    model, x, y = next_layer(), np.array([[0.3, -1, 2]]), np.array([[1.0, -1]])
    masks = set()
    for seed in range(6):
        model.seed = seed
        found = model.forward(x, training=True)
        model.backward(y)
        w = model.params
        a = np.tanh(x @ w["h.dense.W"] + w["h.dense.b"])
        mask = (found["d"] != 0).astype(float)
        above = 2 * (found["s"] - y) @ w["s.dense.W"].T
        assert np.allclose(found["d"], mask * a, rtol=1e-12)
        assert np.allclose(model.grads["h.dense.b"], (mask * above * (1 - a**2))[0], rtol=1e-12)
        assert (model.grads["h.dense.W"][:, mask[0] == 0] == 0).all()
        masks.add(tuple(mask[0]))
    assert len(masks) > 2
    model.seed = 0


@experiment("X22", "000.8.4d", where="`forward(x, training=True)` of a repeated sample")
def test_x22_monte_carlo_dropout_approaches_weight_scaling() -> None:
    """The mean of 1000 passes through a linear next layer is the weight-scaled output within 3
    standard errors, another seed gives another mean, and the variance of the mean of 100 passes is
    a quarter (0.2 to 0.3) of that of 25."""
    model, x = next_layer(), np.array([[0.3, -1, 2]])
    passes = np.repeat(x, 1000, axis=0)
    scaled, means = model.forward(x)["s"][0], []
    for seed in (0, 1):
        model.seed = seed
        found = model.forward(passes, training=True)["s"]
        means.append(found.mean(axis=0))
        error = found.std(axis=0) / np.sqrt(len(found))
        assert (np.abs(means[-1] - scaled) < 3 * error).all()
    assert (means[0] != means[1]).all()
    many = model.forward(np.repeat(x, 100_000, axis=0), training=True)["s"][:, 0]
    model.seed = 0
    spread = [many.reshape(-1, size).mean(axis=1).var() for size in (25, 100)]
    assert 0.2 < spread[1] / spread[0] < 0.3


THINNED = """
net Thinned {
  input x: [3]
  output s = x |> dense(40, act=tanh) |> dropout(0.5) |> dense(1) |> tanh
}
"""


@experiment("X22", "000.8.4d", where="`dropout`, `forward(x, training=True)`")
def test_x22_scaling_is_inexact_behind_a_bent_layer() -> None:
    """With a tanh behind the dropped layer, the mean over 100,000 masks differs from the output in
    inference by more than 10 standard errors, and by less than the spread of the masks."""
    model = compiled(THINNED, seed=1)
    model.params["s.dense_2.b"] = [1]
    x = np.array([[1.0, -1, 0.5]])
    found = model.forward(np.repeat(x, 100_000, axis=0), training=True)[:, 0]
    off = abs(found.mean() - model.forward(x)[0, 0])
    assert off > 10 * found.std() / np.sqrt(len(found))
    assert off < found.std()
