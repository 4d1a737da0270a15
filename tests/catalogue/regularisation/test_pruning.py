"""Pruning: what a deletion costs, Optimal Brain Damage, Optimal Brain Surgeon, masks that hold."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from netc.procedures import pruning
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import digits

LINEAR = """
const n = 2
net Linear {
  input  x: [n]
  target y: [1]
  output p = x |> masked_dense(1, bias=false)
  loss half_squared_error(p, y)
  output H = hessian(objective, params)
  output g = grad(objective, params)
}
train { optimizer = sgd(lr = 0.1) }
"""
"""With as many samples as weights, mean of (x w - y)^2 / 2: any Hessian there is."""

WEIGHTS = "p.masked_dense.W"


def quadratic(model: netc.Model, hessian: np.ndarray, minimum: np.ndarray) -> tuple:
    """Data whose loss has this Hessian and this minimum; the weights are put there."""
    x = np.sqrt(len(minimum)) * np.linalg.cholesky(hessian).T
    y = x @ minimum[:, None]
    model.state["p.masked_dense.mask"] = np.ones((len(minimum), 1))
    model.params.flat = minimum
    return x, y


@cache
def linear(n: int) -> netc.Model:
    return compiled(LINEAR, defines={"n": n})


def values_of(model: netc.Model, x: np.ndarray, y: np.ndarray) -> dict:
    """The loss, the Hessian and the gradient; a Hessian without targets in it is an output."""
    outputs = model.forward(x)
    return {**(outputs if isinstance(outputs, dict) else {}), **model.evaluate(x, y)}


def objective(model: netc.Model, x: np.ndarray, y: np.ndarray) -> float:
    model.forward(x, training=True)
    return model.backward(y)


def positive(n: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(n, n))
    return root @ root.T + 0.5 * np.eye(n)


BENT = """
net Bent {
  input  x: [3]
  target y: [1]
  h = x |> masked_dense(3, act=tanh)
  output p = h |> masked_dense(1)
  loss half_squared_error(p, y)
  penalty 0.01 * l2(weights)
  output H = hessian(objective, params)
  output g = grad(objective, params)
}
train { optimizer = rprop(); batch = 40; epochs = 1000 }
"""


@cache
def bent() -> tuple[netc.Model, np.ndarray, np.ndarray]:
    """A small net near its minimum on noisy data, and its data."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(40, 3))
    y = np.tanh(x @ [[1.0], [-0.5], [0]]) + 0.1 * draw.normal(size=(40, 1))
    model = compiled(BENT)
    model.fit(x, y, progress=False)
    return model, x, y


@experiment("X26", "000.8.7.1", where="`pruning.expected_increase`, `hessian(objective, params)`")
def test_x26_the_increase_of_a_quadratic_error_is_predicted_exactly() -> None:
    """At the minimum of a quadratic error ½ dwᵀ H dw is the true increase to 1e-12."""
    model, hessian = linear(4), positive(4, seed=0)
    minimum = np.array([1.0, -2, 0.5, 3])
    x, y = quadratic(model, hessian, minimum)
    change = np.array([0.3, -1, 2, 0.1])
    values = values_of(model, x, y)
    assert np.allclose(values["H"][0], hessian, atol=1e-12)
    assert np.allclose(values["g"][0], 0, atol=1e-12)
    model.params.flat = minimum + change
    predicted = pruning.expected_increase(change, values["H"][0])
    assert model.evaluate(x, y)["loss"] - values["loss"] == pytest.approx(predicted, rel=1e-12)
    assert predicted > 1


@experiment("X26", "000.8.7.1", where="`pruning.expected_increase`, `hessian(objective, params)`")
def test_x26_the_prediction_for_a_trained_net_is_off_by_the_third_order() -> None:
    """Near the minimum of a tanh net, halving dw divides the error of gᵀdw + ½ dwᵀ H dw by 8
    (7.5 to 8.5), and without the gradient's term the prediction is within 1 % for small dw."""
    model, x, y = bent()
    start, error = model.params.flat.copy(), objective(model, x, y)
    values = values_of(model, x, y)
    direction = np.random.default_rng(4).normal(size=start.size)
    off, plain = [], []
    for scale in (0.02, 0.01, 0.005):
        change = scale * direction
        model.params.flat = start + change
        true = objective(model, x, y) - error
        predicted = pruning.expected_increase(change, values["H"][0], values["g"][0])
        off.append(true - predicted)
        plain.append(pruning.expected_increase(change, values["H"][0]) / true)
    model.params.flat = start
    assert 7.5 < off[0] / off[1] < 8.5
    assert 7.5 < off[1] / off[2] < 8.5
    assert plain[-1] == pytest.approx(1, abs=0.01)


@experiment("X27", "000.8.7.2", where="`pruning.brain_damage`")
def test_x27_brain_damage_removes_the_least_h_times_w_squared() -> None:
    """Of H = diag(1, 4, 0.5, 2) and w = (1, 0.4, 1.5, -0.5) the last goes with h w² = 0.5, not the
    smallest weight; the others stay, and the increase is ½ h w² = 0.25, half of what is printed."""
    model, weights = linear(4), np.array([1.0, 0.4, 1.5, -0.5])
    x, y = quadratic(model, np.diag([1.0, 4, 0.5, 2]), weights)
    hessian = values_of(model, x, y)["H"][0]
    deletion = pruning.brain_damage(weights, np.diag(hessian))
    assert deletion.index == 3
    assert deletion.saliency == pytest.approx(0.25, rel=1e-12)
    pruning.remove(model, deletion.index, deletion.change)
    assert model.params.flat.tolist() == [1, 0.4, 1.5, 0]
    assert model.evaluate(x, y)["loss"] == pytest.approx(0.25, rel=1e-12)
    assert pruning.brain_damage(weights, np.diag(hessian), pruning.candidates(model)).index == 1


@experiment("X28", "000.8.7.2 000.8.7.3", where="`pruning.brain_surgeon`, `pruning.brain_damage`")
@pytest.mark.parametrize(
    ("ridge", "left", "surgeon", "damage"),
    [
        (1e-2, 0.9950495, 2.4876e-3, 0.12625),
        (1e-4, 0.99995, 2.49988e-5, 0.1250125),
        (1e-8, 1.0, 2.5e-9, 0.125),
    ],
)
def test_x28_two_weights_that_do_the_same_become_one(
    ridge: float, left: float, surgeon: float, damage: float
) -> None:
    """H = [[1, 1], [1, 1]] + e I, w = (½, ½): the surgeon leaves (0, 0.9950495), (0, 0.99995) and
    (0, 1) for e = 1e-2, 1e-4, 1e-8, at a cost of 2.4876e-3, 2.49988e-5 and 2.5e-9; damage leaves
    (0, ½) and costs 0.12625, 0.1250125 and 0.125."""
    model, weights = linear(2), np.array([0.5, 0.5])
    x, y = quadratic(model, np.ones((2, 2)) + ridge * np.eye(2), weights)
    hessian = values_of(model, x, y)["H"][0]
    deletion = pruning.brain_surgeon(weights, np.linalg.inv(hessian), among=[0])
    pruning.remove(model, 0, deletion.change)
    assert model.params.flat == pytest.approx([0, left], abs=6e-8)
    assert deletion.saliency == pytest.approx(surgeon, rel=1e-5)
    assert model.evaluate(x, y)["loss"] == pytest.approx(surgeon, rel=1e-4, abs=1e-15)
    x, y = quadratic(model, np.ones((2, 2)) + ridge * np.eye(2), weights)
    deletion = pruning.brain_damage(weights, np.diag(hessian))
    pruning.remove(model, deletion.index, deletion.change)
    assert model.params.flat.tolist() == [0, 0.5]
    assert model.evaluate(x, y)["loss"] == pytest.approx(damage, rel=1e-7)


@experiment("X28", "000.8.7.3", where="`pruning.brain_surgeon`")
@pytest.mark.parametrize("seed", range(3))
def test_x28_the_saliency_is_the_true_increase(seed: int) -> None:
    """For random positive definite Hessians ½ w_i² / (H⁻¹)_ii is positive and the true increase to
    1e-9, e_iᵀ dw + w_i = 0 to 1e-12, and damage to the same weight costs more."""
    model, hessian = linear(4), positive(4, seed)
    weights = np.random.default_rng(seed + 10).normal(size=4)
    x, y = quadratic(model, hessian, weights)
    deletion = pruning.brain_surgeon(weights, np.linalg.inv(hessian))
    i = deletion.index
    assert abs(deletion.change[i] + weights[i]) <= 1e-12
    model.params.flat = weights + deletion.change
    increase = model.evaluate(x, y)["loss"]
    assert increase == pytest.approx(deletion.saliency, rel=1e-9)
    model.params.flat = np.where(np.arange(4) == i, 0, weights)
    assert model.evaluate(x, y)["loss"] > 1.01 * increase > 0


@experiment("X29", "000.8.7.3h", where="`pruning.inverse_error`, `bounded`, `brain_surgery`")
def test_x29_the_surgeon_says_when_its_assumptions_fail() -> None:
    """A perturbed inverse has ‖I - H⁻¹H‖ above 0.1 (an exact one below 1e-10), a correction of 0.9
    is scaled to γ = 0.5, and the gradient of a net that is not at a minimum is reported."""
    hessian = positive(4, seed=1)
    inverse = np.linalg.inv(hessian)
    assert pruning.inverse_error(hessian, inverse) < 1e-10
    assert pruning.inverse_error(hessian, inverse + 0.05) > 0.1

    model, weights = linear(2), np.array([0.9, 1.0])
    x, y = quadratic(model, np.ones((2, 2)) + 1e-6 * np.eye(2), weights)
    found = pruning.brain_surgery(model, values_of(model, x, y)["H"][0])
    assert found.bounded
    assert model.params.flat == pytest.approx([0, 1.5], rel=1e-12)

    x, y = quadratic(model, positive(2, seed=2), weights)
    values = values_of(model, x, y + 1)
    found = pruning.brain_surgery(model, values["H"][0], gradient=values["g"][0])
    assert found.gradient == pytest.approx(np.linalg.norm(values["g"][0]), rel=1e-12)
    assert found.gradient > 0.5
    assert found.inverse_error < 1e-10


@experiment("X29", "000.8.7.3 000.8.7.3h", where="`pruning.brain_surgery` and `fit` in turn")
def test_x29_surgery_and_retraining_in_turn() -> None:
    """Half the weights of a trained tanh net are removed one by one with retraining after each, and
    the loss at the end is no more than 1 % above that of the start."""
    model, x, y = bent()
    start, loss = model.params.flat.copy(), model.evaluate(x, y)["loss"]
    count = len(pruning.candidates(model)) // 2
    removed = []
    for _ in range(count):
        values = values_of(model, x, y)
        step = pruning.brain_surgery(model, values["H"][0], gradient=values["g"][0], damping=1e-4)
        removed.append(step.deletion.index)
        model.fit(x, y, epochs=50, progress=False)
    assert len({*removed}) == count == 6
    assert (model.params.flat[removed] == 0).all()
    assert model.evaluate(x, y)["loss"] < 1.01 * loss
    model.params.flat = np.where(pruning.kept(model), start, 0)
    assert model.evaluate(x, y)["loss"] > 1.01 * loss, "without correction and retraining"
    for mask in model.state.values():
        mask[...] = 1
    model.params.flat = start


DIGITS = """
net Digits {
  input  image: [64]
  target digit: class[10]
  h = image |> masked_dense(32, act=tanh)
  logits = h |> masked_dense(10)
  output logits
  loss cross_entropy(logits, digit)
  penalty 1e-3 * l2(weights)
  metric accuracy = argmax(logits) == digit
}
train { optimizer = adam(lr = 0.01); batch = 50; epochs = 8 }
"""


@cache
def reader() -> netc.Model:
    model = netc.compile(source=DIGITS, seed=0, threads=1)
    model.fit(*digits("train"), progress=False)
    return model


@experiment("X30", "000.8.7a", where="`masked_dense`; `pruning.smallest`, `pruning.remove`")
def test_x30_half_the_weights_of_a_net_are_not_needed() -> None:
    """Half the weights of a digit net removed by size cost less than 5 points of accuracy and after
    four epochs more, less than 1; through Adam and decay they stay exactly 0, and what stands in
    their place does not change a bit of the outputs."""
    model = reader()
    before = model.evaluate(*digits("test"))["accuracy"]
    assert before > 0.88
    out = pruning.smallest(model, 0.5)
    pruning.remove(model, out)
    assert out.size == 32 * (64 + 10) // 2
    cut = model.evaluate(*digits("test"))["accuracy"]
    model.fit(*digits("train"), epochs=4, progress=False)
    after = model.evaluate(*digits("test"))["accuracy"]
    assert cut > before - 0.05
    assert after > before - 0.01
    assert (model.params.flat[out] == 0).all()
    assert (pruning.kept(model) == ~np.isin(np.arange(model.params.flat.size), out)).all()
    images = digits("test")[0]
    logits, held = model.forward(images), model.params.flat.copy()
    model.params.flat = np.where(pruning.kept(model), held, 7)
    assert model.forward(images).tobytes() == logits.tobytes()
    model.params.flat = held


@experiment("X30", "000.8.7b", where="`pruning.relevance`, `pruning.remove`")
def test_x30_units_and_inputs_without_influence_are_found_and_removed() -> None:
    """The pixels of the digits that are always 0 have relevance exactly 0, a unit that is silenced
    too; removing them leaves the outputs as they are to a bit, removing the most relevant unit
    costs what its relevance says."""
    model = compiled(DIGITS, precision="f32")
    model.params.flat = reader().params.flat
    x, t = digits("test")
    first, second = "h.masked_dense.W", "logits.masked_dense.W"
    model.params[second][5] = 0
    logits, loss = model.forward(x), model.evaluate(x, t)["loss"]
    inputs = pruning.relevance(model, first, x, t, axis=0)
    units = pruning.relevance(model, second, x, t, axis=0)
    assert (model.state["h.masked_dense.mask"] == 1).all()
    dead = np.flatnonzero((x == 0).all(axis=0))
    assert dead.size >= 2
    assert (inputs[dead] == 0).all()
    assert units[5] == 0
    every = np.arange(64 * 32).reshape(64, 32)
    pruning.remove(model, every[dead].ravel())
    pruning.remove(model, every[:, 5])
    assert model.forward(x).tobytes() == logits.tobytes()
    best = int(np.argmax(units))
    pruning.remove(model, 64 * 32 + 32 + 10 * best + np.arange(10))
    assert model.evaluate(x, t)["loss"] - loss == pytest.approx(units[best], rel=1e-5)
    with pytest.raises(netc.UsageError, match="no mask"):
        pruning.remove(model, 64 * 32)
    with pytest.raises(netc.UsageError, match="0 to"):
        pruning.remove(model, -1)
    with pytest.raises(netc.UsageError, match="no layer of this net has masks"):
        pruning.smallest(compiled(DIGITS.replace("masked_dense", "dense")), 0.5)
