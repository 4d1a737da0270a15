"""Penalties on the weights: decay in all its forms, their slopes, what they do to a minimum."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

ALONE = """
const rate = 1
net Alone {{
  input x: [1]
  param w: [4]
  output y = x * sum(w)
  loss 0 * sum(y)
  penalty {penalty}
}}
train {{ optimizer = sgd(lr = 0.1) }}
"""


@cache
def alone(penalty: str) -> netc.Model:
    """Four weights and a penalty; the data count nothing."""
    return compiled(ALONE.format(penalty=penalty))


def slope(model: netc.Model, w: np.ndarray) -> np.ndarray:
    """The compiled gradient of the penalty at w."""
    value(model, w)
    return np.array(model.grads["w"])


def value(model: netc.Model, w: np.ndarray) -> float:
    model.params["w"] = w
    model.forward([[1.0]], training=True)
    return model.backward()


W = np.array([1.5, -0.25, 0.75, -2])


@experiment("X13", "000.8.1 000.8.1a", where="`penalty`, `l2` of the prelude")
def test_x13_weights_decay_by_a_factor_each_step() -> None:
    """With (λ/2)‖w‖² alone the gradient is λ w, and ten steps with ηλ = 0.1 leave 0.3486784401 of
    each weight; beyond ηλ = 2 the weights grow instead."""
    model = alone("0.5 * l2(w)")
    assert np.allclose(slope(model, W), W, rtol=1e-15)
    model.fit([[1.0]], epochs=10, batch=1, progress=False)
    assert np.allclose(model.params["w"] / W, 0.3486784401, rtol=1e-12)
    model.params["w"] = W
    model.fit([[1.0]], epochs=10, batch=1, lr=2.5, progress=False)
    assert np.allclose(model.params["w"] / W, 1.5**10, rtol=1e-12)


@experiment("X13", "000.8.1", where="`loss` and `penalty`: objective = mean loss + penalties")
def test_x13_the_gradient_of_a_penalised_objective_is_a_sum() -> None:
    """∇(R_emp + λ Ω) = ∇R_emp + λ ∇Ω to 1e-12, for λ = 0.3 and Ω = ‖w‖²."""
    text = """
    const strength = 0.3
    net Fit {
      input x: [3]
      target y: [1]
      p = x |> dense(1)
      output p
      loss squared_error(p, y)
      penalty strength * l2(p.dense.W)
    }
    """
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(8, 3)), draw.normal(size=(8, 1))
    found = {}
    for strength in (0, 0.3):
        model = compiled(text, defines={"strength": strength})
        model.forward(x, training=True)
        model.backward(y)
        found[strength] = np.array(model.grads["p.dense.W"])
    assert np.allclose(found[0.3] - found[0], 0.6 * model.params["p.dense.W"], rtol=1e-12)


VALLEY = """
const decay = 1
net Valley {
  input x: [3]
  target y: [1]
  param w: [3]
  output p = [sum(w * x)]
  loss half_squared_error(p, y)
  penalty decay / 2 * l2(w)
  output H = hessian(objective, w)
}
train { optimizer = sgd(lr = 0.1) }
"""


def samples(hessian: np.ndarray, minimum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets whose mean of half squared errors has this Hessian and minimum."""
    x = np.sqrt(len(minimum)) * np.linalg.cholesky(hessian).T
    return x, x @ minimum[:, None]


@experiment("X14", "000.8.1b", where="`hessian(objective, w)`, `l2`, `sgd`")
def test_x14_decay_shrinks_a_minimum_along_the_flat_directions() -> None:
    """H = diag(1, 9, 4), λ = 1, w0 = (1, 1, 1): descent ends at λ_i / (λ_i + λ) = (0.5, 0.9, 0.8);
    a random H has its minimum at (H + λ I)⁻¹ H w0 = Q (Λ + λ I)⁻¹ Λ Qᵀ w0 (1e-10)."""
    model = compiled(VALLEY)
    x, y = samples(np.diag([1.0, 9, 4]), np.ones(3))
    model.fit(x, y, epochs=300, batch=3, progress=False)
    assert np.allclose(model.params["w"], [0.5, 0.9, 0.8], rtol=1e-10)

    root = np.random.default_rng(1).normal(size=(3, 3))
    hessian, minimum = root @ root.T + 0.1 * np.eye(3), np.array([1.0, -2, 0.5])
    x, y = samples(hessian, minimum)
    model.fit(x, y, epochs=1500, batch=3, progress=False)
    values, vectors = np.linalg.eigh(hessian)
    by_eigenvalues = vectors @ (values / (values + 1) * (vectors.T @ minimum))
    by_inverse = np.linalg.solve(hessian + np.eye(3), hessian @ minimum)
    assert np.allclose(model.params["w"], by_eigenvalues, atol=1e-10)
    assert np.allclose(by_inverse, by_eigenvalues, rtol=1e-12)
    assert np.allclose(model.forward(x)["H"][0], hessian + np.eye(3), atol=1e-12)


@experiment("X14", "000.8.1b", where="`l2`, `sgd`")
def test_x14_a_vanishing_decay_leaves_the_minimum() -> None:
    """With λ = 1e-8 descent ends at w0 = (1, 1, 1) to 1e-7."""
    model = compiled(VALLEY, defines={"decay": 1e-8})
    x, y = samples(np.diag([1.0, 9, 4]), np.ones(3))
    model.fit(x, y, epochs=300, batch=3, progress=False)
    assert np.allclose(model.params["w"], 1, atol=1e-7)


PENALTIES = {
    "0.7 * l1(w)": lambda w: 0.7 * np.sign(w),
    "cauchy(w)": lambda w: 2 * w / (1 + w @ w),
    "cauchy_each(w)": lambda w: 2 * w / (1 + w**2),
    "weight_elimination(w)": lambda w: 50 * w / (1 + 25 * w**2) ** 2,
}


@experiment("X15", "000.8.1c 000.8.1d", where="`l1`, `cauchy`, `cauchy_each`, `weight_elimination`")
@pytest.mark.parametrize("penalty", PENALTIES)
def test_x15_slopes_of_penalties(penalty: str) -> None:
    """The compiled gradients are λ sign(w_i) for L1, 2 w_i / (1 + wᵀw) for the printed Cauchy form,
    2 w_i / (1 + w_i²) for independent weights, and finite differences; L1 has slope 0 at 0."""
    model = alone(penalty)
    assert np.allclose(slope(model, W), PENALTIES[penalty](W), rtol=1e-12)
    model.params["w"] = W
    assert np.allclose(slope(model, W), objective_differences(model, "w", [[1.0]]), rtol=1e-6)
    assert (slope(model, np.zeros(4)) == 0).all()


CHOICE = """
net Choice {{
  input  x: [6]
  target y: [1]
  p = x |> dense(1, bias=false)
  output p
  loss half_squared_error(p, y)
  penalty 0.1 * {penalty}(weights)
}}
train {{ optimizer = sgd(lr = 0.02 * power_decay(200)); batch = 60; epochs = 3000 }}
"""


@experiment("X15", "000.8.1c", where="`l1` against `l2`")
def test_x15_l1_selects_inputs_and_l2_does_not() -> None:
    """Of six inputs one informs: with L1 the other five weights end below 1e-3, with L2 all stay
    above it; the informative one ends at 2 less what each penalty takes."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(60, 6))
    y = 2 * x[:, :1] + 0.3 * draw.normal(size=(60, 1))
    ends = {}
    for penalty in ("l1", "l2"):
        model = compiled(CHOICE.format(penalty=penalty))
        model.fit(x, y, progress=False)
        ends[penalty] = model.params["p.dense.W"][:, 0]
    assert (np.abs(ends["l1"][1:]) < 1e-3).all()
    assert (np.abs(ends["l2"][1:]) > 1e-3).all()
    ridge = np.linalg.solve(x.T @ x / 60 + 0.2 * np.eye(6), x.T @ y / 60)[:, 0]
    assert np.allclose(ends["l2"], ridge, atol=1e-3)
    assert 1.8 < ends["l1"][0] < 2


@experiment("X16", "000.8.1e", where="`weight_elimination`")
def test_x16_weight_elimination_counts_weights_beyond_a_threshold() -> None:
    """With w0 = 0.2 the penalty of 0.1, 0.2, 0.4 and 1 is 0.2, 0.5, 0.8 and 0.961538, its slope at
    w0 is 2.5; it stays below 1 for any weight, and 25 steps halve 0.1 but move 1 by under 5 %."""
    model = alone("weight_elimination(w, w0=0.2)")
    for w, expected in ((0.1, 0.2), (0.2, 0.5), (0.4, 0.8), (1, 0.961538)):
        assert value(model, np.array([w, 0, 0, 0])) == pytest.approx(expected, rel=1e-6)
    assert slope(model, np.array([0.2, 0, 0, 0]))[0] == pytest.approx(2.5, rel=1e-12)
    assert 3.999 < value(model, np.full(4, 100.0)) < 4
    model.params["w"] = [0.1, 1, 1, 1]
    model.fit([[1.0]], epochs=25, batch=1, lr=0.001, progress=False)
    assert model.params["w"][0] < 0.05
    assert (model.params["w"][1:] > 0.95).all()


LAYERS = """
net Layers {
  input  x: [3]
  target y: [1]
  h = x |> dense(4, act=tanh)
  p = h |> dense(1)
  output p
  loss half_squared_error(p, y)
  penalty 0.1 / 2 * l2(h.dense.W) + 3 / 2 * l2(params("p.*W"))
  R = batch_mean(half_squared_error(p, y))
  output g = grad(R, params)
}
"""


@experiment("X17", "000.8.1g", where='`l2(h.dense.W)`, groups such as `l2(params("p.*W"))`')
def test_x17_every_layer_has_a_decay_of_its_own() -> None:
    """With λ = 0.1 and 3 for two layers the penalty's gradients are 0.1 W1 and 3 W2, and 0 for the
    biases."""
    model = compiled(LAYERS)
    draw = np.random.default_rng(2)
    model.params.flat = draw.normal(size=model.params.flat.size)
    x, y = draw.normal(size=(5, 3)), draw.normal(size=(5, 1))
    model.forward(x, training=True)
    model.backward(y)
    penalty = model.grads.flat - model.evaluate(x, y)["g"][0]
    w = model.params
    expected = [0.1 * w["h.dense.W"], np.zeros(4), 3 * w["p.dense.W"], np.zeros(1)]
    assert np.allclose(penalty, np.concatenate([e.ravel() for e in expected]), atol=1e-12)


NORMALISED = """
const strength = 0.3
net Normalised {
  input  x: [3]
  target y: [1]
  h = x |> dense(4, act=tanh)
  p = h |> dense(1)
  output p
  R = batch_mean(half_squared_error(p, y))
  Ω = cauchy(params)
  gR = stop_gradient(grad(R, params))
  gΩ = stop_gradient(grad(Ω, params))
  length = sum(gΩ^2)
  share = where(length > 0, sqrt(sum(gR^2)) / sqrt(where(length > 0, length, 1)), 0)
  penalty strength * share * Ω
  loss half_squared_error(p, y)
  output g = gR
}
"""


@experiment("X17", "000.8.1f", where="`grad` and `stop_gradient` in a `penalty`")
def test_x17_a_penalty_whose_gradient_is_as_long_as_that_of_the_error() -> None:
    """λ ‖∇R‖ ∇Ω / ‖∇Ω‖ has the length λ ‖∇R‖ to 1e-12 and the direction of ∇Ω, at any batch; where
    ∇Ω = 0 it is 0."""
    model = compiled(NORMALISED)
    draw = np.random.default_rng(3)
    for scale in (1, 10):
        model.params.flat = scale * draw.normal(size=model.params.flat.size)
        x, y = draw.normal(size=(5, 3)), draw.normal(size=(5, 1))
        model.forward(x, training=True)
        model.backward(y)
        error = model.evaluate(x, y)["g"][0]
        penalty = model.grads.flat - error
        assert np.linalg.norm(penalty) == pytest.approx(0.3 * np.linalg.norm(error), rel=1e-12)
        w = model.params.flat
        assert penalty @ w == pytest.approx(np.linalg.norm(penalty) * np.linalg.norm(w), rel=1e-12)
    model.params.flat = np.zeros(model.params.flat.size)
    model.forward(x, training=True)
    model.backward(y)
    assert np.allclose(model.grads.flat, model.evaluate(x, y)["g"][0], rtol=1e-12)
