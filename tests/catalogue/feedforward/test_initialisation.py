"""Initial values, and gradients that vanish in deep networks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward.networks import AFFINE, gradients, labels
from tests.catalogue.tools import compiled

UNITS = 1200
INITIAL = (
    AFFINE
    + """
net Initial {
  input y: [400]
  output normalised = y |> affine(1200)
  output plain = y |> affine(1200, init=normal(0, 1))
  output a = y |> dense(300, init=lecun_uniform(gain=1/3))
  output b = y |> dense(300, init=glorot_uniform)
  output c = y |> dense(300, init=glorot_uniform(gain=16))
}
"""
)


@experiment(
    "A11",
    "001.65.5-5 001.65.5-6",
    where="`lecun_normal()`, `normal(0, 1)`; `lecun_uniform(gain=1/3)`, `glorot_uniform`, "
    "`glorot_uniform(gain=16)`",
)
def test_a11_variances_and_ranges_of_initial_values():
    """At width 400 and input variance 0.49 pre-activations start with variance 1 + σ² = 1.49, and
    1 + 400 σ² = 197 without the normalisation; the three uniform laws have the ranges of (65.93).

    Within four standard errors over 1,200 nodes.
    """
    model = compiled(INITIAL, precision="f32")
    y = 0.7 * np.random.default_rng(0).normal(size=(60, 400))
    y *= np.sqrt(0.49 / (y**2).mean())
    found = model.forward(y)
    for name, expected in {"normalised": 1.49, "plain": 197}.items():
        squares = (found[name] ** 2).mean(0)
        error = squares.std() / np.sqrt(UNITS)
        assert abs(squares.mean() - expected) < 4 * error + 2e-3 * expected
        assert error < 0.04 * expected
    ends = {"a": 1 / 20, "b": np.sqrt(6 / 700), "c": 4 * np.sqrt(6 / 700)}
    for name, end in ends.items():
        w = np.array(model.params[f"{name}.dense.W"])
        assert 0.9999 * end < np.abs(w).max() <= end * (1 + 1e-6)
        assert (w**2).mean() == pytest.approx(end**2 / 3, rel=4 * np.sqrt(0.8 / w.size))
        assert abs(w.mean()) < 4 * end / np.sqrt(3 * w.size)


DEEP = (
    AFFINE
    + """
layer hidden(y, act: layer) { return y |> affine(50) |> act }
net Deep {
  input h: [50]
  target gamma: [50]
  z = h |> repeat(10, hidden(act=%s)) |> affine(50)
  output gamma_hat = softmax(z)
  loss categorical_cross_entropy(gamma_hat, gamma)
}
"""
)


def ratios(activation):
    """|delta_2| / |delta_L| of a 12-layer net of width 50 for 20 random starts."""
    model = compiled(DEEP % activation)
    draw = np.random.default_rng(4)
    found = []
    for _ in range(20):
        for name, value in model.params.items():
            scale = np.sqrt(1 / 50) if name.endswith("W") else 1
            model.params[name] = scale * draw.normal(size=value.shape)
        model.forward(draw.normal(size=(1, 50)), training=True)
        model.backward(labels(draw, 1, 50))
        _, deltas = gradients(model)
        found.append(np.linalg.norm(deltas[0]) / np.linalg.norm(deltas[-1]))
    return np.array(found)


@experiment("A25", "001.65.8-1", where='`model.grads` of `"*.theta"`, whose gradients are -δ')
def test_a25_vanishing_gradients():
    """Through ten hidden layers |δ₂| / |δ_L| falls to about 1e-7 with logistic units, 1e-2 with
    tanh and 4e-2 with rectifiers, means of 20 starts with a softmax output.

    The bound f' ≤ 1/4 alone makes 4⁻¹⁰ = 1e-6 of it; the rectifier loses by its inactive half.
    """
    sigmoid, tanh, relu = (ratios(name).mean() for name in ("sigmoid", "tanh", "relu"))
    assert sigmoid < 1e-3 * tanh
    assert tanh < 0.6 * relu
    assert 3e-8 < sigmoid < 4e-7 < 4.0**-10
    assert 3e-3 < tanh < 3e-2
    assert 1e-2 < relu < 1.2e-1
