"""Activations: values, slopes, conventions at the kinks, and softmax with its Jacobian."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import erf, expit

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

NAMES = [
    "neuron",
    "sigmoid",
    "tanh",
    "stretched",
    "relu",
    "leaky_relu",
    "elu2",
    "softplus",
    "identity",
    "bent",
    "erf",
    "relu_one",
    "leaky_zero",
]
TEXT = (
    """
const a = 1.7159047085755392
fn neuron(z) = 1 / (1 + exp(-z))
fn stretched(z) = scaled_tanh(z, a=a)
fn elu2(z) = elu(z, alpha=2)
fn bent(z, alpha = -1) = max(0, z) + alpha * min(0, z)
fn relu_one(z) = max(z, 0) gradient(g) = g * (z >= 0)
fn leaky_zero(z) = leaky_relu(z) gradient(g) = g * where(z == 0, 0, where(z > 0, 1, 0.01))
net Activations {
  input z: [1]
"""
    + "".join(
        f"  output {name}_value = {name}(z)\n  output {name}_slope = grad(sum({name}_value), z)\n"
        for name in NAMES
    )
    + "}"
)


@cache
def model():
    return compiled(TEXT)


def values(z, name):
    """The values and slopes of one activation at an array of points."""
    found = model().forward(np.asarray(z, float)[:, None])
    return found[f"{name}_value"][:, 0], found[f"{name}_slope"][:, 0]


GRID = np.array([-30, -3, -1, -0.5, -1e-3, 1e-3, 0.5, 1, 2, 30])
BELOW = GRID < 0
FORMULAS = {
    "neuron": (expit(GRID), expit(GRID) * expit(-GRID)),
    "sigmoid": (expit(GRID), expit(GRID) * expit(-GRID)),
    "tanh": (np.tanh(GRID), 1 / np.cosh(GRID) ** 2),
    "stretched": (
        np.tanh(GRID * 2 / 3) / np.tanh(2 / 3),
        (1 - np.tanh(GRID * 2 / 3) ** 2) / np.tanh(2 / 3) * 2 / 3,
    ),
    "relu": (np.maximum(GRID, 0), 1.0 * ~BELOW),
    "leaky_relu": (np.where(BELOW, 0.01 * GRID, GRID), np.where(BELOW, 0.01, 1)),
    "elu2": (np.where(BELOW, 2 * np.expm1(GRID), GRID), np.where(BELOW, 2 * np.exp(GRID), 1)),
    "softplus": (np.logaddexp(0, GRID), expit(GRID)),
    "identity": (GRID, np.ones(10)),
    "bent": (np.abs(GRID), np.sign(GRID)),
    "erf": (erf(GRID), 2 / np.sqrt(np.pi) * np.exp(-(GRID**2))),
}


def check(name):
    """Values and slopes of an activation at the points of the grid."""
    value, slope = values(GRID, name)
    np.testing.assert_allclose(value, FORMULAS[name][0], rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(slope, FORMULAS[name][1], rtol=1e-12, atol=1e-14)


FAR = np.array([-800.0, 800.0])


@experiment("A1", "001.65.1-2", where="`sigmoid`")
def test_a1_sigmoid():
    """f' = f(1 - f), limits 0 and 1; f' is at most 1/4, at 0. Written as 1 / (1 + exp(-z)) it is
    the same, at -30 too."""
    check("sigmoid")
    check("neuron")
    grid = np.linspace(-8, 8, 161)
    slope = values(grid, "sigmoid")[1]
    assert slope.max() == slope[80] == 0.25
    np.testing.assert_array_equal(values(FAR, "sigmoid")[0], [0, 1])


@experiment("A1", "001.65.1-3", where="`tanh`")
def test_a1_tanh():
    """tanh(z/2) = 2 sigmoid(z) - 1; f' = 1/cosh² z is at most 1, at 0; limits ±1. The slope printed
    in (65.166), 1/cosh z, is off by up to 0.25 (E-16)."""
    check("tanh")
    grid = np.linspace(-8, 8, 161)
    sigmoid = values(grid, "sigmoid")[0]
    np.testing.assert_allclose(values(grid / 2, "tanh")[0], 2 * sigmoid - 1, atol=1e-15)
    slope = values(grid, "tanh")[1]
    assert slope.max() == slope[80] == 1
    assert np.abs(slope - 1 / np.cosh(grid)).max() == pytest.approx(0.25, abs=1e-3)
    np.testing.assert_array_equal(values(FAR, "tanh")[0], [-1, 1])


@experiment("A1", "001.65.1-4", where="`scaled_tanh(z, a, b)`")
def test_a1_scaled_tanh():
    """a tanh(2z/3) with a = 1/tanh(2/3) = 1.7159 is ±1 at ±1 and saturates at ±1.7159."""
    check("stretched")
    np.testing.assert_allclose(values([-1, 1], "stretched")[0], [-1, 1], rtol=1e-15)
    np.testing.assert_allclose(values(FAR, "stretched")[0], [-1.7159, 1.7159], atol=5e-5)


@experiment("A1", "001.65.1-7", where="`elu(z, alpha)`")
def test_a1_elu():
    """The slope of α(exp z - 1) is f + α, and the function tends to -α: -2 at -800 for α = 2."""
    check("elu2")
    assert values(FAR, "elu2")[0][0] == -2
    value, slope = values(GRID[BELOW], "elu2")
    np.testing.assert_allclose(slope, value + 2, rtol=1e-12, atol=1e-15)


@experiment("A1", "001.65.1-8", where="`softplus`")
def test_a1_softplus():
    """ln(1 + exp z) has the slope sigmoid(z), and is 0 at -800 and 800 at 800."""
    check("softplus")
    np.testing.assert_array_equal(values(FAR, "softplus")[0], [0, 800])


@experiment("A1", "001.65.1-5 001.65.1-6", where="`relu`, `leaky_relu`")
def test_a1_rectifiers():
    """max(0, z) and its leaky form with 0.01 z below 0, and their slopes beside the kink."""
    check("relu")
    check("leaky_relu")


@experiment("A1", "001.65.1-9", where="`identity`, or no activation")
def test_a1_identity():
    """f(z) = z with slope 1."""
    check("identity")


@experiment("A1", "001.65.1-10", where="`fn bent(z, alpha) = max(0, z) + alpha * min(0, z)`")
def test_a1_generalised_rectifier():
    """max(0, z) + α min(0, z) with α = -1 is |z|, with slope ±1."""
    check("bent")


@experiment("A1", "001.65.1-13", where="`erf`")
def test_a1_error_function():
    """erf is SciPy's, with slope 2 exp(-z²)/√π."""
    check("erf")


@experiment(
    "A2",
    "001.65.1-5 001.65.1-6",
    where="another slope at the kink is a `gradient(g)` clause of an `fn`",
)
def test_a2_slopes_at_the_kinks_are_chosen():
    """At 0 the slope of the rectifier is 0 and, with a clause of one's own, 1; that of the leaky
    rectifier is 0.01 and, with the clause, the 0 of (65.12), which is no subgradient (E-1)."""
    at = [-2.0, 0.0, 3.0]
    for name, slopes in {
        "relu": [0, 0, 1],
        "relu_one": [0, 1, 1],
        "leaky_relu": [0.01, 0.01, 1],
        "leaky_zero": [0.01, 0, 1],
    }.items():
        value, slope = values(at, name)
        np.testing.assert_array_equal(slope, slopes)
        np.testing.assert_array_equal(value, [0 if "relu" in name[:4] else -0.02, 0, 3])


NEURON = """
net Neuron {
  input h: [3]
  param w: [3]
  param theta: [] = 0
  z = sum(h * w) - theta
  output combiner = z
  output y = sigmoid(z)
  output perceptron = sign(z)
}
"""


@experiment(
    "001.65.1-1", "001.65.1-1 001.65.1-12", where="`z = sum(h * w) - theta`, then an `fn`; `sign`"
)
def test_001_65_1_1_neuron():
    """A neuron is f(h'w - θ): the linear combiner, the logistic unit and the Perceptron, which
    jumps from -1 to +1; sign(0) is 0 in netc, the text leaves it open."""
    net = compiled(NEURON)
    net.params["w"], net.params["theta"] = [1, -2, 0.5], 0.25
    h = np.array([[1, 1, 1], [1, 0, 0], [0.25, 0, 0]])
    found = net.forward(h)
    np.testing.assert_allclose(found["combiner"], [-0.75, 0.75, 0], rtol=1e-15)
    np.testing.assert_allclose(found["y"], expit([-0.75, 0.75, 0]), rtol=1e-15)
    np.testing.assert_array_equal(found["perceptron"], [-1, 1, 0])


SOFTMAX = """
net Softmax {
  input z: [3]
  output y = softmax(z)
  output shifted = softmax(z - max(z))
  output textbook = exp(z) / sum(exp(z))
  output J = jacobian(y, z)
  output log_J = jacobian(log(y), z)
}
"""


@experiment("A3", "001.65.1-11", where="`softmax`; `jacobian(softmax(z), z)`")
def test_a3_softmax_is_stable_and_its_jacobian_closed():
    """softmax(1000, 1001, 1002) = softmax(0, 1, 2) to 1e-13 and, with the shift of (65.14) written
    out, to the bit; the textbook quotient does not overflow. The Jacobian is diag(γ̂) - γ̂γ̂', its
    rows sum to 0, and that of ln γ̂ is I - 1γ̂'."""
    z = np.array([[1000.0, 1001, 1002], [0, 1, 2], [-3, 0.5, 0.25]])
    found = compiled(SOFTMAX).forward(z)
    y = found["y"]
    np.testing.assert_allclose(y[0], y[1], rtol=1e-13)
    np.testing.assert_array_equal(found["shifted"][0], found["shifted"][1])
    np.testing.assert_allclose(y[1], np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), rtol=1e-14)
    np.testing.assert_allclose(found["shifted"], y, rtol=1e-13)
    np.testing.assert_allclose(found["textbook"], y, rtol=1e-13)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-13)
    for b in range(3):
        J = np.diag(y[b]) - np.outer(y[b], y[b])
        np.testing.assert_allclose(found["J"][b], J, atol=1e-13)
        np.testing.assert_allclose(found["log_J"][b], np.eye(3) - y[b], atol=1e-13)
    np.testing.assert_allclose(found["J"].sum(2), 0, atol=1e-13)
