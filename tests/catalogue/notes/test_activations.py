"""Text 004, sections 7.1.2 and 7.2: activations, and gradients of one sign."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

import netc
from netc.procedures.probe import probe
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

ACTIVATIONS = """
const elu_alpha = 1.0
net Activations {
  input z: []
  one = relu(z)
  two = leaky_relu(z, alpha=0.3)
  three = elu(z, alpha=elu_alpha)
  four = tanh(z)
  five = sigmoid(z)
  output y = stack(one, two, three, four, five)
  output slope = stack(grad(one, z), grad(two, z), grad(three, z), grad(four, z), grad(five, z))
}
"""

LEARNED = """
net Learned {
  input  z: [8]
  target t: [8]
  y = z |> prelu
  output y
  loss half_squared_error(y, t)
}
train { optimizer = sgd(lr = 0.2); batch = 100; epochs = 200 }
"""

RANDOM = """
net Random {
  input z: [50]
  output y = z |> rrelu
}
train { seed = 4 }
"""

DYING = """
net Dying {
  input  x: [2]
  target t: []
  h = x |> dense(3, act=relu, init=normal(0, 1))
  y = sum(h |> dense(1))
  output h
  loss (y - t)^2
}
train { optimizer = sgd(lr = 0.05); batch = 50; epochs = 30; seed = 1 }
"""


def reference(z: np.ndarray, alpha: float = 1) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of the five functions, [places, 5]."""
    up, s = z > 0, 1 / (1 + np.exp(-z))
    y = (up * z, np.where(up, z, 0.3 * z), np.where(up, z, alpha * np.expm1(z)), np.tanh(z), s)
    slope = (up, np.where(up, 1, 0.3), np.where(up, 1, alpha * np.exp(z)))
    slope += (1 - np.tanh(z) ** 2, s * (1 - s))
    return np.stack(y, axis=1), np.stack(slope, axis=1)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@experiment(
    "E25",
    "004.7.1.2.a 004.7.1.2.c 004.7.1.2.f 004.7.1.2.g",
    where="`relu`, `leaky_relu(alpha=0.3)`, `elu`, `tanh`, `sigmoid`; "
    "[drawn with their slopes](reference/activations.md)",
)
def test_e25_activations_and_their_slopes(alpha: float) -> None:
    """ReLU, leaky ReLU of 0.3, ELU, tanh and sigmoid and their slopes at 200 places in ±5 are those
    of the text to 1e-14, also by differences; the slope of ELU jumps at 0 by 1 - α, so that it is
    differentiable there for α = 1 only; tanh'(0) = 1."""
    z = np.linspace(-5, 5, 200)
    model = compiled(ACTIVATIONS, defines={"elu_alpha": alpha})
    found = model.forward(z)
    y, slope = reference(z, alpha)
    np.testing.assert_allclose(found["y"], y, atol=1e-14)
    np.testing.assert_allclose(found["slope"], slope, atol=1e-14)
    columns = differences(lambda at: model.forward(z + at)["y"], 0.0)
    np.testing.assert_allclose(slope, columns, atol=1e-9)
    around = model.forward([-1e-9, 1e-9, 0.0])["slope"]
    assert around[1, 2] - around[0, 2] == pytest.approx(1 - alpha, abs=1e-8)
    assert around[2, 3] == 1


@experiment(
    "E25", "004.7.1.2.h", where="[pages drawn by](reference/activations.md) `docs/plots.py`"
)
def test_e25_which_activations_saturate_and_which_are_centred() -> None:
    """At ±20 the slopes of sigmoid and tanh are below 1e-8; to the right the other slopes are 1, to
    the left only the leaky one stays; sigmoid's slope is nowhere above 0.25 while all others reach
    1. Of z ~ N(0, 1) only tanh has mean 0: ReLU has 0.4, against the caption of Fig. 12."""
    model = compiled(ACTIVATIONS)
    left, right = model.forward([-20.0, 20.0])["slope"]
    np.testing.assert_allclose(left, [0, 0.3, 0, 0, 0], atol=1e-8)
    np.testing.assert_allclose(right, [1, 1, 1, 0, 0], atol=1e-8)
    found = model.forward(np.random.default_rng(0).normal(size=40_000))
    assert found["slope"][:, 4].max() <= 0.25
    assert (found["slope"][:, :4].max(axis=0) > 0.99).all()
    expected = [0.39894, 0.7 * 0.39894, 0.39894 - 0.23842, 0, 0.5]
    np.testing.assert_allclose(found["y"].mean(axis=0), expected, atol=0.02)


@experiment("E25", "004.7.1.2.e", where="`prelu` of the prelude")
def test_e25_prelu_learns_its_slope() -> None:
    """From data of slope 0.1 for negative z the parameter α goes from 0.25 to 0.1 within 1e-9."""
    z = np.random.default_rng(0).normal(size=(100, 8))
    model = compiled(LEARNED)
    (name,) = model.params
    assert model.params[name] == 0.25
    model.fit(z, np.where(z > 0, z, 0.1 * z), progress=False)
    assert model.params[name] == pytest.approx(0.1, abs=1e-9)


@experiment("E25", "004.7.1.2.d", where="`rrelu` of the prelude; `if training`")
def test_e25_rrelu_is_random_in_training_and_a_mean_in_use() -> None:
    """In training the slopes of negative z are spread over (1/8, 1/3) with the mean 11/48 to 4
    standard errors and differ from call to call; in inference every slope is 11/48."""
    z = np.random.default_rng(0).normal(size=(100, 50))
    model = compiled(RANDOM)
    negative = z < 0
    drawn = model.forward(z, training=True)
    slopes = (drawn / z)[negative]
    assert slopes.min() > 1 / 8
    assert slopes.max() < 1 / 3
    error = (1 / 3 - 1 / 8) / np.sqrt(12 * slopes.size)
    assert slopes.mean() == pytest.approx(11 / 48, abs=4 * error)
    np.testing.assert_array_equal(drawn[~negative], z[~negative])
    model.seed = 5
    assert (model.forward(z, training=True)[negative] != drawn[negative]).mean() > 0.99
    for _ in range(2):
        used = model.forward(z)
        np.testing.assert_allclose(used[negative], 11 / 48 * z[negative], rtol=1e-14)


@experiment("E25", "004.7.1.2.b", where="`dead` of `netc.procedures.probe`")
def test_e25_a_dead_rectifier_gets_no_update() -> None:
    """A unit whose bias is -100 is 0 for all 50 data, and `probe` counts 1 dead unit of 3; in 30
    epochs its weights stay bit for bit as they were while those of the two others move."""
    random = np.random.default_rng(0)
    x, t = random.normal(size=(50, 2)), random.normal(size=50)
    model = compiled(DYING)
    model.params["h.dense.b"] = np.array([0, -100, 0.5])
    seen = next(found for found in probe(model, x, t) if found.name == "h")
    assert (seen.value.dead, seen.value.units) == (1, 3)
    before = np.array(model.params["h.dense.W"])
    model.fit(x, t, progress=False)
    moved = np.array(model.params["h.dense.W"]) != before
    np.testing.assert_array_equal(moved.all(axis=0), [True, False, True])
    assert not moved[:, 1].any()


NEURON = """
const act = "sigmoid"
const n = 3
net Neuron {
  input  x: [4]
  input  w: [n]
  target t: []
  features = x |> dense(n, init=normal(0, 1))
  z = if act == "sigmoid" then sigmoid(features) else tanh(features)
  y = sum(w * z)
  error = half_squared_error(y, t)
  output slope = grad(error, w)
  loss error
}
"""


@cache
def neuron(act: str, inputs: int) -> netc.Model:
    return compiled(NEURON, defines={"act": act, "n": inputs})


@experiment(
    "E26", "004.7.2.a 004.7.2.b", where="`grad(error, w)` for each datum; `sigmoid`, `tanh`"
)
@pytest.mark.parametrize("inputs", [2, 3])
def test_e26_behind_sigmoid_units_all_gradients_of_a_neuron_have_one_sign(inputs: int) -> None:
    """Over 4,000 data a neuron with 2 or 3 inputs from sigmoid units meets 2 of the 4 or 8 sign
    patterns of its gradient, the share 2^(1-n); behind tanh units, which are centred, it meets all,
    and so does the mean over minibatches of sigmoid data."""
    random = np.random.default_rng(0)
    x, w = random.normal(size=(4000, 4)), random.normal(size=(4000, inputs))
    t = random.normal(size=4000)
    every = {*product((-1.0, 1.0), repeat=inputs)}
    slope = neuron("sigmoid", inputs).evaluate(x, w, t)["slope"]
    found = {*map(tuple, np.sign(slope))}
    assert found == {(-1.0,) * inputs, (1.0,) * inputs}
    assert len(found) / len(every) == 2.0 ** (1 - inputs)
    minibatches = slope.reshape(400, 10, inputs).mean(axis=1)
    assert {*map(tuple, np.sign(minibatches))} == every
    centred = neuron("tanh", inputs).evaluate(x, w, t)["slope"]
    assert {*map(tuple, np.sign(centred))} == every


FIRST = """
const centred = true
net First {
  input  x: [3]
  target t: []
  param w: [3] = 1
  z = if centred then x |> standardize else x
  y = sum(w * z)
  output z
  output slope = grad(half_squared_error(y, t), y) * jacobian(y, w)
  loss half_squared_error(y, t)
}
train { optimizer = sgd(lr = 0) }
"""


@experiment("E26", "004.7.2.b", where="`x |> standardize`")
def test_e26_centred_inputs_free_the_signs_of_the_first_layer() -> None:
    """Of positive inputs the first layer meets 2 of 8 sign patterns, of the same inputs behind
    `standardize`, which have mean 0 to 1e-13, all 8."""
    random = np.random.default_rng(1)
    x, t = random.uniform(1, 5, (2000, 3)), 9 + 5 * random.normal(size=2000)
    for centred, patterns in ((False, 2), (True, 8)):
        model = compiled(FIRST, defines={"centred": centred})
        model.fit(x, t, progress=False)
        assert (np.abs(model.forward(x).mean(axis=0)).max() < 1e-13) == centred
        slope = model.evaluate(x, t)["slope"]
        assert len({*map(tuple, np.sign(slope))}) == patterns
