"""Batch normalisation as the text writes it: what it computes, its gradients, its training."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward.networks import redraw
from tests.catalogue.tools import compiled, objective_differences

EPS = 1e-6
NORMALISE = """
const unbiased = false
const eps = 1e-6
const start = 1

## v = a (z - mean) / sqrt(variance + eps) - theta, with running statistics for the test.
layer normalise(z: [n]) {
  param a: [n] = start
  param theta: [n] = 0
  state mean_s: [n] = 0
  state square_s: [n] = eps
  m = batch_mean(z)
  square = eps + batch_sum((z - m)^2) / (if unbiased then batch_size - 1 else batch_size)
  mean_s <- 0.95 * mean_s + 0.05 * m
  square_s <- 0.95 * square_s + 0.05 * square
  unit = if training then (z - m) * rsqrt(square) else (z - mean_s) * rsqrt(square_s)
  return a * unit - theta
}
"""
ONE = (
    NORMALISE
    + """
net One {
  input z: [4]
  output v = z |> normalise
  loss sum(v)
}
train { optimizer = sgd() }
"""
)


def statistics(z, unbiased=False):
    """The mean and S^2 = eps + sigma^2 over the batch."""
    return z.mean(0), EPS + z.var(0, ddof=int(unbiased))


@experiment(
    "A26",
    "001.65.9-1 001.65.9-2 001.65.9-3",
    where="a `layer` of `batch_mean`, `batch_sum`, `batch_size` and `state`; `batch_norm` of the "
    "prelude has 1/B and β = -θ",
)
@pytest.mark.parametrize("unbiased", [False, True])
def test_a26_normalised_values_and_running_statistics(unbiased):
    """z' has mean 0 and variance σ²/(σ² + ε), with 1/B and with 1/(B - 1); a = sqrt(σ² + ε) and
    θ = -z̄ give z back, (65.178). After two minibatches the running statistics are those of
    (65.175) and (65.176) with λ = 0.95, not of the listing's λS² + (1 - λ)S² (E-14), and at test
    time they replace those of the batch."""
    model = compiled(ONE, defines={"unbiased": unbiased})
    draw = np.random.default_rng(0)
    batches = [draw.normal(2, 1.5, size=(8, 4)) for _ in range(2)]
    mean_s, square_s = np.zeros(4), np.full(4, EPS)
    for z in batches:
        m, square = statistics(z, unbiased)
        v = model.forward(z, training=True)
        np.testing.assert_allclose(v.mean(0), 0, atol=1e-14)
        np.testing.assert_allclose(v.var(0, ddof=int(unbiased)), 1 - EPS / square, rtol=1e-12)
        mean_s, square_s = 0.95 * mean_s + 0.05 * m, 0.95 * square_s + 0.05 * square
    np.testing.assert_allclose(model.state["v.normalise.mean_s"], mean_s, rtol=1e-12)
    np.testing.assert_allclose(model.state["v.normalise.square_s"], square_s, rtol=1e-12)
    assert np.all(square_s > 100 * EPS)
    tested = model.forward(batches[0][:1])
    np.testing.assert_allclose(tested, (batches[0][:1] - mean_s) / np.sqrt(square_s), rtol=1e-11)
    z = batches[0]
    m, square = statistics(z, unbiased)
    model.params["v.normalise.a"], model.params["v.normalise.theta"] = np.sqrt(square), -m
    np.testing.assert_allclose(model.forward(z, training=True), z, rtol=1e-12)


CHAIN = """
const unbiased = false
net Chain {
  input z: [3]
  input pick: [1]
  input gamma: [3]
  param a: [3] = 1
  param theta: [3] = 0
  m = batch_mean(z)
  square = 1e-6 + batch_sum((z - m)^2) / (if unbiased then batch_size - 1 else batch_size)
  unit = (z - m) * rsqrt(square)
  v = a * unit - theta
  total = batch_sum(sum((tanh(v) - gamma)^2))
  output c = grad(sum(pick * unit), z)
  output by_v = grad(total, v)
  output by_unit = grad(total, unit)
  output by_square = grad(total, square)
  output by_mean = grad(total, m)
  output by_z = grad(total, z)
  output by_a = grad(total, a)
  output by_theta = grad(total, theta)
  output square_by_z = grad(batch_sum(sum(pick * square)), z)
}
"""


def coefficients(z, unbiased=False):
    """c_(b,p)(j), the derivative of z'_b(j) by z_p(j), for all b and p: exact."""
    size, (m, square) = len(z), statistics(z, unbiased)
    d, xi = z - m, 1 / np.sqrt(square)
    inner = (np.eye(size) - 1 / size)[:, :, None]
    return xi * (inner - xi**2 * d[:, None] * d[None] / (size - int(unbiased)))


def printed_coefficients(z, unbiased=False):
    """The same as (65.221) prints them."""
    size, (m, square) = len(z), statistics(z, unbiased)
    d, xi = z - m, 1 / np.sqrt(square)
    c = -(1 / size) * xi * (1 + xi**2 * d[:, None] * d[None])
    own = (1 - 1 / size) * xi * (1 - xi**2 * d**2 / (size - 1))
    c[np.arange(size), np.arange(size)] = own
    return c


@experiment(
    "A26",
    "001.65.A 001.65.9-5",
    where="`grad(sum(pick * unit), z)`: derivatives between the samples of a batch",
)
@pytest.mark.parametrize("unbiased", [False, True])
def test_a26_derivatives_between_samples(unbiased):
    """The derivatives c_(b,p) of one sample's z' by another's z are those of (65.221) for the 1/B
    variance; with the 1/(B - 1) of the listing they are not (E-13), and the corrected ones hold."""
    draw = np.random.default_rng(1)
    z = draw.normal(size=(6, 3))
    model = compiled(CHAIN, defines={"unbiased": unbiased})
    found = [model.forward(z, np.eye(6)[:, [b]], z)["c"] for b in range(6)]
    np.testing.assert_allclose(found, coefficients(z, unbiased), rtol=1e-9, atol=1e-12)
    error = np.abs(found - printed_coefficients(z, unbiased)).max()
    assert error < 1e-12 if not unbiased else error > 1e-2
    size = 6
    m, square = statistics(z, unbiased)
    d, xi = z - m, 1 / np.sqrt(square)
    if unbiased:
        other = -(1 / size) * xi * (1 + size / (size - 1) * xi**2 * d[0] * d[1])
        own = (1 - 1 / size) * xi * (1 - size / (size - 1) ** 2 * xi**2 * d[0] ** 2)
        np.testing.assert_allclose(found[0][1], other, rtol=1e-9)
        np.testing.assert_allclose(found[0][0], own, rtol=1e-9)


@experiment(
    "A26", "001.65.9-5", where="`grad(total, m)`, `grad(total, square)` of named statistics"
)
@pytest.mark.parametrize("unbiased", [False, True])
def test_a26_chain_rule_identities(unbiased):
    """The seven identities of Problems 65.19 and 65.20 hold for the 1/B variance, and with
    2/(B - 1) in place of 2/B for the other."""
    draw = np.random.default_rng(2)
    z, gamma = draw.normal(size=(6, 3)), draw.normal(size=(6, 3))
    model = compiled(CHAIN, defines={"unbiased": unbiased})
    a = draw.normal(size=3)
    model.params["a"], model.params["theta"] = a, draw.normal(size=3)
    pick = np.eye(6)[:, [2]]
    found = model.forward(z, pick, gamma)
    size, share = 6, 2 / (6 - int(unbiased))
    m, square = statistics(z, unbiased)
    d, by_unit = z - m, a * found["by_v"]
    by_square = -0.5 * square**-1.5 * (by_unit * d).sum(0)
    by_mean = -(square**-0.5) * by_unit.sum(0) - share * by_square * d.sum(0)
    by_z = square**-0.5 * by_unit + share * d * by_square + by_mean / size
    expected = {
        "by_unit": by_unit,
        "by_square": by_square,
        "by_mean": by_mean,
        "by_z": by_z,
        "by_a": (found["by_v"] * d / np.sqrt(square)).sum(0),
        "by_theta": -found["by_v"].sum(0),
        "square_by_z": share * d,
    }
    for name, value in expected.items():
        shape = found[name].shape
        np.testing.assert_allclose(
            found[name], np.broadcast_to(value, shape), rtol=1e-9, atol=1e-12, err_msg=name
        )


NETWORK = (
    NORMALISE
    + """
const rho = 0
const widths = 6
net Normalised {
  input h: [4]
  target gamma: [3]
  param W_1: [4, widths] = lecun_normal()
  param W_2: [widths, widths] = lecun_normal()
  param W_3: [widths, 3] = lecun_normal()
  v_2 = h @ W_1 |> normalise
  v_3 = tanh(v_2) @ W_2 |> normalise
  v_4 = tanh(v_3) @ W_3 |> normalise
  output v_4
  loss squared_error(v_4, gamma)
  penalty rho * l2(weights)
}
train { optimizer = sgd(lr = 0.05); batch = 6; shuffle = false }
"""
)
LAYERS = (("W_1", "v_2"), ("W_2", "v_3"), ("W_3", "v_4"))


@cache
def normalised(unbiased=False, rho=0.0, start=1):
    return compiled(NETWORK, defines={"unbiased": unbiased, "rho": rho, "start": start})


def listed_gradients(model, h, gamma, unbiased, *, cross):
    """Gradients by (W, theta, a) of each layer; without `cross` as (65.187) prints them."""
    size, y, runs = len(h), h, []
    for name, layer in LAYERS:
        W, a = model.params[name], model.params[f"{layer}.normalise.a"]
        z = y @ W
        m, square = statistics(z, unbiased)
        unit = (z - m) / np.sqrt(square)
        v = a * unit - model.params[f"{layer}.normalise.theta"]
        runs.append((y, np.array(W), np.array(a), unit, coefficients(z, unbiased)))
        y = np.tanh(v)
    delta, found = 2 * (v - gamma), []
    for layer in (2, 1, 0):
        y, W, a, unit, c = runs[layer]
        by_w = np.einsum("bj,j,bpj,pi->ij", delta, a, c, y) / size
        found.insert(0, (by_w, -delta.mean(0), (delta * unit).mean(0)))
        own = np.einsum("bbj->bj", c) * delta
        through = np.einsum("bpj,bj->pj", c, delta) if cross else own
        delta = (1 - y**2) * ((a * through) @ W.T)
    return found


@experiment(
    "A26",
    "001.65.9-4",
    where="`backward` through `batch_mean` couples the samples of a batch",
)
@pytest.mark.parametrize("unbiased", [False, True])
def test_a26_gradients_need_the_terms_between_samples(unbiased):
    """Gradients of an L = 4 net with batch normalisation are central differences and the listing
    with the sums over all samples' sensitivities. As (65.187) prints it, with c_(b,b) alone, it is
    right for the last layer and wrong before it by more than a tenth of the gradient (E-19)."""
    model = normalised(unbiased)
    draw = redraw(model, 3)
    h, gamma = draw.normal(size=(6, 4)), draw.normal(size=(6, 3))
    model.forward(h, training=True)
    model.backward(gamma)
    grads = {name: np.array(value) for name, value in model.grads.items()}
    exact = listed_gradients(model, h, gamma, unbiased, cross=True)
    printed = listed_gradients(model, h, gamma, unbiased, cross=False)
    for at, (name, layer) in enumerate(LAYERS):
        names = (name, f"{layer}.normalise.theta", f"{layer}.normalise.a")
        for parameter, right, wrong in zip(names, exact[at], printed[at], strict=True):
            found = grads[parameter]
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-11, err_msg=parameter)
            error = np.abs(wrong - found).max() / np.abs(found).max()
            assert error < 1e-9 if layer == "v_4" else error > 0.1, parameter
    for parameter in ("W_1", "v_3.normalise.a"):
        difference = objective_differences(model, parameter, h, gamma)
        np.testing.assert_allclose(grads[parameter], difference, rtol=1e-5, atol=1e-7)


@experiment("A26", "001.65.9-4", where="`penalty rho * l2(weights)`: the matrices, not a and θ")
def test_a26_one_step_of_training_with_batch_normalisation():
    """A step is W ← (1 - 2μρ)W - μ∂W, θ and a without the decay, with the gradients corrected for
    the terms between samples (E-19)."""
    model = normalised(unbiased=True, rho=0.02)
    draw = redraw(model, 4)
    h, gamma = draw.normal(size=(6, 4)), draw.normal(size=(6, 3))
    before = {name: np.array(value) for name, value in model.params.items()}
    moves = listed_gradients(model, h, gamma, True, cross=True)
    model.step(h, gamma)
    for (name, layer), (by_w, by_theta, by_a) in zip(LAYERS, moves, strict=True):
        expected = (1 - 2 * 0.05 * 0.02) * before[name] - 0.05 * by_w
        np.testing.assert_allclose(model.params[name], expected, rtol=1e-9)
        for part, move in (("theta", by_theta), ("a", by_a)):
            parameter = f"{layer}.normalise.{part}"
            expected = before[parameter] - 0.05 * move
            np.testing.assert_allclose(model.params[parameter], expected, rtol=1e-9)


@experiment("A27", "001.65.9-4", where="`param a: [n] = 1`; `batch_norm` starts gamma at 1")
def test_a27_scales_start_at_one():
    """Six samples, L = 4, μ = 0.05: from a = 1 on 1,000 updates bring the loss below 0.01;
    with the printed a = 0 no bit of W and a ever moves, only θ of the output does, and the loss
    stays at the variance of the targets (E-17)."""
    draw = np.random.default_rng(5)
    h, gamma = draw.normal(size=(6, 4)), draw.normal(size=(6, 3))
    model = normalised(unbiased=True)
    model.params.flat = compiled(NETWORK).params.flat
    assert model.fit(h, gamma, epochs=1000, progress=False)["loss"][-1] < 0.01
    model = normalised(unbiased=True, start=0)
    before = {name: np.array(value) for name, value in model.params.items()}
    history = model.fit(h, gamma, epochs=1000, progress=False)
    moved = [name for name, start in before.items() if np.any(model.params[name] != start)]
    assert moved == ["v_4.normalise.theta"]
    assert history["loss"][-1] == pytest.approx(gamma.var(0).sum(), rel=1e-9)
