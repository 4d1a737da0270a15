"""Text 004, sections 6.2 to 6.4: dense nets, back-propagation, minibatches as matrices."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from time import perf_counter

import numpy as np
import pytest
from scipy.special import expit, softmax

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

NET = """
net Mlp {
  input  x: [4]
  target t: OUTPUT
  a1 = x |> dense(5, init=normal(0, 1))
  z1 = HIDDEN1(a1)
  a2 = z1 |> dense(3, init=normal(0, 1))
  z2 = HIDDEN2(a2)
  a3 = z2 |> dense(2, init=normal(0, 1))
  y = LAST(a3)
  error = LOSS
  output y
  output a1
  output a2
  output d1 = grad(error, a1)
  output d2 = grad(error, a2)
  output d3 = grad(error, a3)
  loss error
}
"""
"""Three layers of different widths; d1, d2 and d3 are the errors of the layers."""

HEADS = {
    "identity": ("[2]", "identity", "half_squared_error(y, t)"),
    "sigmoid": ("[2]", "sigmoid", "binary_cross_entropy(y, t)"),
    "softmax": ("class[2]", "softmax", "cross_entropy(a3, t)"),
}
FUNCTIONS = {
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "sigmoid": (expit, lambda a: expit(a) * (1 - expit(a))),
    "softplus": (lambda a: np.logaddexp(0, a), expit),
    "elu": (lambda a: np.where(a > 0, a, np.expm1(a)), lambda a: np.where(a > 0, 1, np.exp(a))),
}
LAST = {"identity": lambda a: a, "sigmoid": expit, "softmax": lambda a: softmax(a, axis=1)}
HIDDEN = {
    "identity": ("tanh", "elu"),
    "sigmoid": ("sigmoid", "tanh"),
    "softmax": ("softplus", "sigmoid"),
}


@cache
def model_of(head: str) -> netc.Model:
    (kind, last, loss), (one, two) = HEADS[head], HIDDEN[head]
    text = NET.replace("OUTPUT", kind).replace("LAST", last).replace("LOSS", loss)
    return compiled(text.replace("HIDDEN1", one).replace("HIDDEN2", two))


def data(head: str, samples: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets as the net takes them, and as numbers for each output."""
    random = np.random.default_rng(0)
    x, code = random.normal(size=(samples, 4)), np.eye(2)[random.integers(0, 2, samples)]
    if head == "identity":
        code = random.normal(size=(samples, 2))
    return x, (code.argmax(1) if head == "softmax" else code), code


def weights(model: netc.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(model.params[f"a{i}.dense.W"], model.params[f"a{i}.dense.b"]) for i in (1, 2, 3)]


@pytest.mark.parametrize("head", HEADS)
@experiment(
    "E19",
    "004.6.2.a 004.6.2.b 004.6.3.c",
    where="`dense` of the prelude, an activation for each layer",
)
def test_e19_the_forward_pass_is_the_recursion(head: str) -> None:
    """Nets 4-5-3-2 with a different activation in each layer and identity, sigmoid and softmax
    outputs equal the recursion (6.12) to (6.15) to 1e-13, with the bias of unit k of each layer;
    the last layer is logistic regression on learned features. With the sum outside h, as (6.20) is
    printed, a sigmoid output is another."""
    model, (x, _, _) = model_of(head), data(head)
    z = x
    functions = [*(FUNCTIONS[name][0] for name in HIDDEN[head]), LAST[head]]
    for (w, b), h in zip(weights(model), functions, strict=True):
        features, z = z, h(z @ w + b)
    found = model.forward(x)
    np.testing.assert_allclose(found["y"], z, atol=1e-13)
    w, b = weights(model)[-1]
    np.testing.assert_allclose(found["y"], LAST[head](features @ w + b), atol=1e-13)
    if head == "sigmoid":
        printed = expit(features[:, :, None] * w).sum(axis=1) + expit(b)
        assert np.abs(found["y"] - printed).min() > 0.1


@pytest.mark.parametrize("head", HEADS)
@experiment(
    "E20",
    "004.6.3.a 004.6.3.b 004.6.3.d",
    where="`model.backward`, `model.grads`; errors of layers as `output grad(error, a)`",
)
def test_e20_back_propagation_is_what_differences_say(head: str) -> None:
    """For identity with half squares, sigmoid with binary and softmax with categorical
    cross-entropy the last error is y - t to 1e-13, the hidden ones are h'(a) Σₖ δₖwₖⱼ over
    k = 1 … n, and all gradients agree with differences to 1e-8."""
    model, (x, t, code) = model_of(head), data(head)
    found = model.forward(x, training=True)
    model.backward(t)
    grads = {name: np.array(model.grads[name]) for name in model.grads}
    deltas = model.evaluate(x, t)
    np.testing.assert_allclose(deltas["d3"], found["y"] - code, atol=1e-13)
    (_, (w2, _), (w3, _)) = weights(model)
    slopes = [FUNCTIONS[name][1] for name in HIDDEN[head]]
    d2 = slopes[1](found["a2"]) * (deltas["d3"] @ w3.T)
    np.testing.assert_allclose(deltas["d2"], d2, atol=1e-13)
    np.testing.assert_allclose(deltas["d1"], slopes[0](found["a1"]) * (d2 @ w2.T), atol=1e-13)
    for name, value in grads.items():
        np.testing.assert_allclose(value, objective_differences(model, name, x, t), atol=1e-8)


ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "sigmoid", "softplus", "identity", "swish")
LOSSES = ("squared_error(y, t)", "mean_squared_error(y, t)", "half_squared_error(y, t)")

SKIP = """
net Skip {
  input  x: [4]
  target t: [2]
  target label: class[2]
  h0 = x |> dense(3, init=normal(0, 1))
  ACTIVATIONS
  # every unit sends to all later layers
  y = concat(x, concat(LAST, h0)) |> dense(2, init=normal(0, 1))
  output y
  output delta = grad(squared_error(y, t), y)
  loss 0.2 * (squared_error(y, t) + mean_squared_error(y, t) + absolute_error(y, t))
  loss 0.1 * (binary_cross_entropy_with_logits(y, t) + cross_entropy(y, label) + huber(y, t))
}
"""


@experiment("E20", "004.6.3.b 004.6.3.d", where="any graph of bindings; the other losses and kinks")
def test_e20_gradients_of_a_graph_with_connections_around_layers() -> None:
    """A net of 8 layers with 8 different activations, whose first layer and inputs also lead to the
    last one, under 6 losses at once: all gradients agree with differences to 1e-7, and the error of
    (6.21) as printed is 2(y - t)."""
    layers = [
        f"h{i} = h{i - 1} |> dense(3, act={name}, init=normal(0, 0.8))"
        for i, name in enumerate(ACTIVATIONS, 1)
    ]
    text = SKIP.replace("ACTIVATIONS", "\n  ".join(layers)).replace("LAST", f"h{len(layers)}")
    model = compiled(text, seed=1)
    random = np.random.default_rng(3)
    x, t, label = random.normal(size=(6, 4)), random.uniform(0, 1, (6, 2)), [0, 1, 1, 0, 1, 0]
    # no bias 0: behind a unit that is 0 the next one would stand on its kink
    model.params.flat = model.params.flat + 0.1 * random.normal(size=len(model.params.flat))
    y = model.forward(x, training=True)
    model.backward(t, label)
    grads = {name: np.array(model.grads[name]) for name in model.grads}
    delta = model.evaluate(x, t, label)["delta"]
    np.testing.assert_allclose(delta, 2 * (y - t), atol=1e-13)
    for name, value in grads.items():
        differences = objective_differences(model, name, x, t, label)
        np.testing.assert_allclose(value, differences, atol=1e-7)
        assert value.any()


@experiment(
    "E21",
    "004.6.4.a 004.6.4.b 004.6.4.c",
    where="the batch axis, which is never written; `*` is the Hadamard product",
)
def test_e21_gradients_of_a_minibatch_are_means_over_its_data() -> None:
    """For 64 data the gradients are (1/m) δzᵀ and (1/m) Σδ, with δ⁽ˡ⁾ = (Wᵀδ⁽ˡ⁺¹⁾) ∘ h'(a), to
    1e-14, and the means of 64 calls with one datum each, which together take at least 4 times as
    long."""
    model, (x, t, code) = model_of("identity"), data("identity", 64)
    found = model.forward(x, training=True)
    model.backward(t)
    grads = {name: np.array(model.grads[name]) for name in model.grads}
    (_, (w2, _), (w3, _)) = weights(model)
    one, two = (FUNCTIONS[name] for name in HIDDEN["identity"])
    d3 = found["y"] - code
    d2 = two[1](found["a2"]) * (d3 @ w3.T)
    d1 = one[1](found["a1"]) * (d2 @ w2.T)
    z = (x, one[0](found["a1"]), two[0](found["a2"]))
    for i, (before, delta) in enumerate(zip(z, (d1, d2, d3), strict=True), 1):
        np.testing.assert_allclose(grads[f"a{i}.dense.W"], before.T @ delta / 64, atol=1e-14)
        np.testing.assert_allclose(grads[f"a{i}.dense.b"], delta.mean(axis=0), atol=1e-14)
    total = dict.fromkeys(grads, 0.0)
    for a in range(64):
        model.forward(x[a : a + 1], training=True)
        model.backward(t[a : a + 1])
        total = {name: value + model.grads[name] / 64 for name, value in total.items()}
    for name, value in grads.items():
        np.testing.assert_allclose(value, total[name], atol=1e-14)
    assert seconds(model, x, t, 1) > 4 * seconds(model, x, t, 64)


def seconds(model: netc.Model, x: np.ndarray, t: np.ndarray, size: int) -> float:
    """The least time of five for the gradients of all data in minibatches of that size."""
    times = []
    for _ in range(5):
        start = perf_counter()
        for a, b in pairwise(range(0, len(x) + 1, size)):
            model.forward(x[a:b], training=True)
            model.backward(t[a:b])
        times.append(perf_counter() - start)
    return min(times)
