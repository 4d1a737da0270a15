"""Chapter 9: variances through layers, forwards and backwards, and the gains that keep them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

Array = NDArray[np.float64]

LINEAR = """
layer drawn(x: [n], gain) {
  return x @ (sqrt(gain / n) * normal(0, 1, [n, n], shared=true))
}
net Linear {
  param gain = 1
  input x: [512]
  input r: [512]
  y = x |> repeat(10, drawn(gain))
  output y
  output delta = grad(sum(y * r), x)
}
"""


@cache
def through_ten_layers() -> dict[float, tuple[float, float]]:
    """For J σ² = 0.9, 1, 1.1: the second moments after ten layers, forwards and backwards."""
    model = compiled(LINEAR, precision="f32", seed=3)
    draws = np.random.default_rng(0)
    x, r = draws.normal(size=(2, 128, 512))
    found = {}
    for gain in (0.9, 1.0, 1.1):
        model.params["gain"] = gain
        out = model.forward(x, r)
        forwards = (out["y"] ** 2).mean() / (x**2).mean()
        found[gain] = float(forwards), float((out["delta"] ** 2).mean() / (r**2).mean())
    return found


@experiment(
    "X41", "000.9.2.1a", where="`repeat(10, …)`; `normal(0, 1, [n, n], shared=true)` draws weights"
)
def test_x41_forward_variance() -> None:
    """A linear net of width 512 and depth 10 multiplies the variance by (J σ²)^10: 0.349 for 0.9,
    1 for 1, 2.594 for 1.1, within 15 percent.
    """
    for gain, (forwards, _) in through_ten_layers().items():
        assert forwards == pytest.approx(gain**10, rel=0.15)


@experiment("X41", "000.9.2.1a", where="`normal(0, 1, [n, n], shared=true)` draws weights")
def test_x41_inputs_with_a_mean() -> None:
    """Inputs of mean 2 and variance 1 count with E[X²] = σ² + μ² = 5; the footnote's E[X] = 2 is
    not what goes through.
    """
    text = """
    net Offset {
      input x: [1000]
      output s = x @ (normal(0, 1, [1000, 1000], shared=true) / sqrt(1000))
    }"""
    x = 2 + np.random.default_rng(1).normal(size=(20, 1000))
    s = compiled(text, precision="f32").forward(x)
    assert np.mean(s**2) == pytest.approx(5, rel=0.1)


@experiment("X41", "000.9.2.2a", where="`grad(e, x)`")
def test_x41_backward_variance() -> None:
    """The deltas of the same net grow by (I σ²)^10 on their way back, within 15 percent."""
    for gain, (_, backwards) in through_ten_layers().items():
        assert backwards == pytest.approx(gain**10, rel=0.15)


ACTIVATIONS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "elu", "selu")

CURVES = """
net Curves {
  input z: [1]
  OUTPUTS
}
"""


@cache
def curves() -> object:
    outputs = "\n".join(f"output {name}_of = {name}(z)" for name in ACTIVATIONS)
    return compiled(CURVES.replace("OUTPUTS", outputs))


@cache
def nodes() -> tuple[Array, Array]:
    """Gauss-Legendre quadrature of normal expectations, on both sides of the kink at 0."""
    at, weight = np.polynomial.legendre.leggauss(200)
    z = np.concatenate([6 * at - 6, 6 * at + 6])
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return z, np.tile(6 * weight, 2) * density


def second_moment(activation: str, q: float) -> float:
    """E[f(√q Z)²] by quadrature of the compiled activation."""
    z, weight = nodes()
    f = curves().forward(np.sqrt(q) * z[:, None])[f"{activation}_of"]
    return float(weight @ f[:, 0] ** 2)


WIDE = """
net Wide {
  input z: [2000]
  W = normal(0, std, [2000, 500], shared=true)
  OUTPUTS
}
const std = 0.05
"""


@experiment("X42", "000.9.3.1", where="activations of the prelude at the nodes of a quadrature")
def test_x42_the_propagation_function_agrees_with_simulation() -> None:
    """F(q) = J σ² E[f(√q Z)²] by quadrature is the second moment of a layer of 2000 inputs within 5
    percent, for ReLU, tanh, SELU and leaky ReLU; F of ReLU is J σ² q/2.
    """
    chosen = ("relu", "tanh", "selu", "leaky_relu")
    outputs = "\n".join(f"output {name}_of = {name}(z) @ W" for name in chosen)
    model = compiled(WIDE.replace("OUTPUTS", outputs), precision="f32", seed=1)
    draws = np.random.default_rng(1)
    factor = 2000 * 0.05**2
    for q in (0.3, 2.0):
        found = model.forward(np.sqrt(q) * draws.normal(size=(50, 2000)))
        for name in chosen:
            expected = factor * second_moment(name, q)
            assert np.mean(found[f"{name}_of"] ** 2) == pytest.approx(expected, rel=0.05)
        assert second_moment("relu", q) == pytest.approx(q / 2, abs=1e-12)


GAINS = {
    1.0: {
        "relu": 2.0,
        "leaky_relu": 1.99980002,
        "tanh": 2.536175433,
        "sigmoid": 3.408559842,
        "elu": 1.550518808,
        "selu": 1.0,
        "identity": 1.0,
    },
    0.01: {"tanh": 1.0198391, "elu": 1.0773264, "selu": 0.5331659, "relu": 2.0},
}


@experiment("X43", "000.9.3.2b", where="`gain=` of `glorot_*` and `lecun_*`")
def test_x43_gains_by_quadrature() -> None:
    """g = q / E[f(√q Z)²] is 2 for ReLU at any q; for tanh it is 2.536175 at q = 1 and 1.0198 at
    q = 0.01: the printed g = 1 is the limit of small pre-activations.
    """
    for q, gains in GAINS.items():
        for name, gain in gains.items():
            assert q / second_moment(name, q) == pytest.approx(gain, abs=1e-7)
    assert 1e-6 / second_moment("tanh", 1e-6) == pytest.approx(1, abs=1e-5)
    assert 1 / second_moment("tanh", 1) != pytest.approx(1, abs=1)
    text = "net N { input x: [400]; output y = x |> dense(300, init=lecun_normal(gain=2.536175)) }"
    weights = compiled(text).params["y.dense.W"]
    assert weights.var() == pytest.approx(2.536175 / 400, rel=0.02)


DEPTH = """
const std = 0.125
layer drawn(s: [n]) {
  W = normal(0, std, [n, n], shared=true)
  return relu(s) @ W
}
net Rectified {
  input s: [128]
  LAYERS
  output moments = [MOMENTS]
}
"""


@experiment("X43", "000.9.3.2a", where="`he_normal`; `normal(…, shared=true)` draws new weights")
def test_x43_he_keeps_the_second_moment_of_rectifiers() -> None:
    """ReLU, width 128, mean of 10 draws of the weights: with variance 2/J the second moment stays
    within a factor 2 to depth 10, with 1/J it halves in each layer.
    """
    depth = 10
    layers = "\n".join(f"s{i + 1} = s{i or ''} |> drawn" for i in range(depth))
    moments = ", ".join(f"mean(s{i + 1}^2)" for i in range(depth))
    text = DEPTH.replace("LAYERS", layers).replace("MOMENTS", moments)
    model = compiled(text, precision="f32")
    x = np.random.default_rng(4).normal(size=(50, 128))
    runs = []
    for seed in range(10):
        model.seed = seed
        runs.append(model.forward(x).mean(0))
    assert not np.array_equal(runs[0], runs[1])
    found = np.mean(runs, axis=0)
    assert (found > 0.5).all()
    assert (found < 2).all()
    # rectifiers are homogeneous: weights of variance 1/J halve every layer on top
    layer = "net N { input s: [128]; output y = relu(s) |> dense(128, bias=false, init=LAW) }"
    he, lecun = (
        np.mean(compiled(layer.replace("LAW", law), seed=1).forward(x) ** 2)
        for law in ("he_normal", "lecun_normal")
    )
    assert he == pytest.approx(1, rel=0.1)
    assert lecun == pytest.approx(he / 2, rel=1e-9)


FEEDBACK = """
## s = x W whose deltas go back through B in the place of W.
fn feedback(x: [n], W: [n, m], B: [n, m]) = x @ W
  gradient(g) = B @ g, einsum("i,j->ij", x, g)

net Feedback {
  input x: [5]
  target t: [2]
  param W: [5, 12] = glorot_uniform
  param V: [12, 2] = zeros
  param B: [12, 2] = normal(0, 0.4)
  h = tanh(x @ W)
  y = feedback(h, V, B)
  output y
  loss half_squared_error(y, t)
}
train { optimizer = sgd(lr=0.1); freeze("B") }
"""


@experiment("X41", "000.9.2.2d", where="an `fn` with a `gradient(g) = …` of its own")
def test_x41_random_weights_for_back_propagation() -> None:
    """Deltas that go back through fixed random weights instead of the transposed ones are
    independent of the weights, differ from the gradient, and the net learns with them.
    """
    draws = np.random.default_rng(2)
    x = draws.normal(size=(100, 5))
    t = x[:, :2] - x[:, 2:4]
    model = compiled(FEEDBACK, seed=1)
    h = np.tanh(x @ model.params["W"])
    y = model.forward(x, training=True)
    model.backward(t)
    delta = (y - t) @ model.params["B"].T * (1 - h**2)
    assert model.grads["W"] == pytest.approx(x.T @ delta / 100, abs=1e-12)
    assert objective_differences(model, "W", x, t) == pytest.approx(0, abs=1e-12), "V is 0"
    right = objective_differences(model, "V", x, t)
    model.forward(x, training=True)
    model.backward(t)
    assert model.grads["V"] == pytest.approx(right, abs=1e-7)
    start = model.step(x, t)
    for _ in range(300):
        end = model.step(x, t)
    assert end < 0.1 * start
