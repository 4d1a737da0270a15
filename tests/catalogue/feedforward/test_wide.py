"""Wide networks: what one hidden layer approximates, and the Gaussian process of its limit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kurtosis

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

SIGMA = np.array([[1.0, 0.3, 0], [0.3, 0.8, -0.2], [0, -0.2, 0.5]])
ROOT = np.linalg.cholesky(SIGMA)
DRAWS = 30_000
PROCESS = """
const K = 32
const theta = 0.2
const root = ROOT

## erf as the text prints it, with exp(-x^2 / 2) under the integral; its limit is sqrt(2).
fn printed_erf(z) = 1.4142135623730951 * erf(z / 1.4142135623730951)

fn outputs(h, r, w, offset) {
  z = concat([1], h) @ (root @ r)
  return [sum(w * erf(z)) - offset, sum(w * printed_erf(z)) - offset]
}

## One random network for each sample.
net Process {
  input h: [2]
  input other: [2]
  r = normal(0, 1, [3, K])
  w = normal(0, sqrt(0.7 / K), [K])
  offset = normal(0, theta, [])
  output at = outputs(h, r, w, offset)
  output of = outputs(other, r, w, offset)
}
"""


def process(root, **defines):
    text = PROCESS.replace("ROOT", str(root.tolist()))
    return compiled(text, defines=defines, precision="f32")


def covariance(h, other, sigma):
    """(65.197) with sigma_theta = 0.2 and sigma_w^2 = 0.7."""
    a, b = np.concatenate([[1], h]), np.concatenate([[1], other])
    scale = np.sqrt((1 + 2 * a @ sigma @ a) * (1 + 2 * b @ sigma @ b))
    return 0.04 + 2 * 0.7 / np.pi * np.arcsin(2 * a @ sigma @ b / scale)


def drawn(model, h, other):
    found = model.forward(np.tile(h, (DRAWS, 1)), np.tile(other, (DRAWS, 1)))
    return found["at"].astype(float), found["of"].astype(float)


def estimate(at, of):
    """The mean product and its standard error."""
    products = at * of
    return products.mean(), products.std() / np.sqrt(DRAWS)


@experiment(
    "A33",
    "001.65.10-4 001.65.1-13",
    where="`normal(0, 1, [3, K])` in a net: a network drawn anew for each sample",
)
def test_a33_a_wide_random_network_is_a_gaussian_process():
    """Over 30,000 random networks the covariance of the outputs at two inputs is the arcsine
    formula (65.197) within 4 standard errors with the usual erf, and not with the printed one
    (E-23). The excess kurtosis is above 1 at K = 1 and within its error of that / 32 at K = 32."""
    h, other = np.array([0.5, -1.0]), np.array([1.0, 0.25])
    wide = process(ROOT)
    at, of = drawn(wide, h, other)
    expected = covariance(h, other, SIGMA)
    mean, error = estimate(at[:, 0], of[:, 0])
    assert abs(mean - expected) < 4 * error < 0.2 * expected
    mean, error = estimate(at[:, 0], at[:, 0])
    assert abs(mean - covariance(h, h, SIGMA)) < 4 * error
    mean, error = estimate(at[:, 1], of[:, 1])
    assert abs(mean - expected) > 10 * error
    assert abs(at[:, 0].mean()) < 4 * at[:, 0].std() / np.sqrt(DRAWS)
    narrow, _ = drawn(process(ROOT, K=1, theta=0), h, other)
    single = kurtosis(narrow[:, 0])
    assert single > 1
    assert abs(kurtosis(at[:, 0])) < single / 32 + 4 * np.sqrt(24 / DRAWS)


@experiment(
    "A33", "001.P65.25", where="a network drawn anew for each sample, with Σ = diag{σ_α², σ_a² I_M}"
)
def test_a33_far_inputs_see_their_angle_only():
    """For long inputs the covariance is σ_θ² + σ_w²(1 - 2λ/π) of the angle λ, within 4 standard
    errors at 0°, 60° and 120°, whatever the lengths."""
    sigma = np.diag([0.5, 2, 2])
    model = process(np.sqrt(sigma))
    h = np.array([300.0, 0])
    for angle in (0, np.pi / 3, 2 * np.pi / 3):
        other = 500 * np.array([np.cos(angle), np.sin(angle)])
        mean, error = estimate(*(part[:, 0] for part in drawn(model, h, other)))
        limit = 0.04 + 0.7 * (1 - 2 * angle / np.pi)
        assert covariance(h, other, sigma) == pytest.approx(limit, abs=2e-3)
        assert abs(mean - limit) < 4 * error + 2e-3


UNIVERSAL = """
const K = 64
net Universal {
  input h: [1]
  param w: [1, K]
  param theta: [K] = 0
  param alpha: [K] = 0
  output g = sum(alpha * sigmoid(h @ w - theta))
}
"""


def target(h):
    """A continuous function from [-1, 1] to [0, 1]."""
    return 0.5 + 0.4 * np.sin(4 * h) - 0.1 * np.abs(h)


@experiment("A34", "001.65.10-2", where="`sum(alpha * sigmoid(h @ w - theta))`")
def test_a34_one_hidden_layer_approximates():
    """K logistic units as steep steps of the heights g(t_j) - g(t_(j-1)) come as close to a
    continuous g on an interval as one likes: the largest error over 2,001 points falls below 0.6 of
    itself with every doubling of K, from 8 to 64, and to less than 0.03."""
    model = compiled(UNIVERSAL)
    grid = np.linspace(-1, 1, 2001)
    errors = []
    for K in (8, 16, 32, 64):
        steps = -1 + 2 * (np.arange(K) - 0.5) / (K - 1)
        values = target(np.linspace(-1, 1, K))
        alpha, w = np.zeros(64), np.full(64, 3.0 * K)
        alpha[:K] = np.diff(values, prepend=0)
        steps[0] = -2
        model.params["w"], model.params["alpha"] = w[None], alpha
        model.params["theta"] = np.pad(steps, (0, 64 - K)) * w
        errors.append(np.abs(model.forward(grid[:, None]) - target(grid)).max())
    assert errors[-1] < 0.03
    for coarse, fine in pairwise(errors):
        assert fine < 0.6 * coarse


LESHNO = """
const K = 30
const square = false
net Leshno {
  input h: [1]
  target g: [1]
  z = h |> dense(K, init=normal(0, 3))
  output found = (if square then z^2 else relu(z)) |> dense(1)
  loss squared_error(found, g)
}
train { optimizer = adam(lr = 0.02); batch = 101 }
"""


@experiment("A34", "001.65.10-2", where="any `fn` as the activation: `relu(z)`, `z^2`")
def test_a34_polynomials_do_not_serve():
    """With 30 squares as units training comes to the error of the best parabola and not below; with
    30 rectifiers it comes to less than a fifth of it (Leshno et al.)."""
    h = np.linspace(-1, 1, 101)
    g = target(h)
    best = ((np.polyval(np.polyfit(h, g, 2), h) - g) ** 2).mean()
    losses = {}
    for square in (True, False):
        model = compiled(LESHNO, defines={"square": square})
        losses[square] = min(model.fit(h[:, None], g[:, None], epochs=1500, progress=False)["loss"])
    assert best * (1 - 1e-9) < losses[True] < 1.2 * best
    assert losses[False] < 0.2 * best
