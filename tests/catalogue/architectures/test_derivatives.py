"""Jacobians, the Hessian and its Taylor model, inputs that maximise a unit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from netc.procedures.activation_maximisation import Ascent, maximise
from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences
from tests.end_to_end.data import digits

NET = """
net Small {
  input  x: [4]
  target y: [2]
  s1 = x |> dense(3)
  a1 = tanh(s1)
  s2 = a1 |> dense(2)
  a2 = sigmoid(s2)
  error = half_squared_error(a2, y)
  output a1
  output a2
  output whole  = jacobian(a2, x)
  output layer1 = jacobian(a1, x)
  output layer2 = jacobian(a2, a1)
  output across = jacobian(s2, s1)
  output slopes = jacobian(error, params)
  output slope  = grad(objective, params)
  output H      = hessian(objective, params)
  output Hv     = hvp(objective, params, iota(23) / 10)
  loss error
}
"""


@cache
def small():
    random = np.random.default_rng(1)
    model = compiled(NET)
    model.params.flat = random.normal(size=23)
    return model, random.normal(size=(6, 4)), random.uniform(size=(6, 2))


def at(model, w, call):
    """What `call` gives with other parameters."""
    before = np.array(model.params.flat)
    model.params.flat = w
    found = np.array(call())
    model.params.flat = before
    return found


@experiment("000.4.8a", where="`jacobian(error, params)`, `model.grads.flat`")
def test_000_4_8a_the_slope_of_the_loss_by_all_parameters():
    """∂L/∂w of each sample is a row of 23 numbers, one for each parameter in the order of
    declaration (W₁ row by row, b₁, W₂, b₂); it equals differences, and the mean over the samples
    is the gradient that training uses."""
    model, x, y = small()
    found = model.evaluate(x, y)
    assert found["slopes"].shape == (6, 23)
    assert [v.shape for v in model.params.values()] == [(4, 3), (3,), (3, 2), (2,)]

    def errors(w):
        a = at(model, w, lambda: model.forward(x)["a2"])
        return 0.5 * np.sum((a - y) ** 2, axis=1)

    by_differences = differences(errors, model.params.flat)
    np.testing.assert_allclose(found["slopes"], by_differences, rtol=1e-6, atol=1e-9)
    slopes = gradients(model, x, y)[1]
    flat = np.concatenate([v.ravel() for v in slopes.values()])
    np.testing.assert_allclose(found["slopes"].mean(0), flat, rtol=1e-10, atol=1e-15)


@experiment("000.4.8b", "000.1b 000.4.8b", where="`jacobian(a2, x)`")
def test_000_4_8b_the_jacobian_of_outputs_by_inputs():
    """∂ŷ/∂x has shape K×D = 2×4 for each sample (the 2 of the printed D² is a footnote's mark),
    equals differences to 1e-9 and is, by the chain rule, the product of those of the layers."""
    model, x, _ = small()
    found = model.forward(x)
    assert found["whole"].shape == (6, 2, 4)
    for n in range(6):
        by_differences = differences(lambda v: model.forward(v[None])["a2"][0], x[n])
        np.testing.assert_allclose(found["whole"][n], by_differences, atol=1e-9)
    product = found["layer2"] @ found["layer1"]
    np.testing.assert_allclose(found["whole"], product, rtol=1e-11, atol=1e-15)


@experiment("000.4.8c", where="`jacobian(a1, x)`, `jacobian(s2, s1)`")
def test_000_4_8c_the_jacobian_of_one_layer():
    """∂a/∂x = diag(f'(Wx)) W; that of pre-activations, W diag(f'(s)), is another matrix with the
    same name in the text: both hold, and they differ."""
    model, x, _ = small()
    found = model.forward(x)
    W1, W2 = (np.array(model.params[f"s{k}.dense.W"]).T for k in (1, 2))
    slope1, slope2 = 1 - found["a1"] ** 2, found["a2"] * (1 - found["a2"])
    np.testing.assert_allclose(found["layer1"], slope1[:, :, None] * W1, rtol=1e-12)
    np.testing.assert_allclose(found["layer2"], slope2[:, :, None] * W2, rtol=1e-12)
    np.testing.assert_allclose(found["across"], W2 * slope1[:, None, :], rtol=1e-12)
    assert np.max(np.abs(found["across"] - found["layer2"])) > 0.1


@experiment("000.4.9a", where="`hessian(objective, params)`, `hvp(objective, params, v)`")
def test_000_4_9a_the_hessian_of_all_parameters():
    """H is 23×23 for 23 parameters (not for the Q units), symmetric to rounding, equals differences
    of the gradient to 1e-8, and H v without H is its product with v."""
    model, x, y = small()
    found = model.evaluate(x, y)
    H = found["H"][0]
    assert H.shape == (23, 23)
    np.testing.assert_allclose(H, H.T, atol=1e-15)
    w = np.array(model.params.flat)
    by_differences = differences(
        lambda v: at(model, v, lambda: model.evaluate(x, y)["slope"][0]), w
    )
    np.testing.assert_allclose(H, by_differences, atol=1e-8)
    np.testing.assert_allclose(found["Hv"][0], H @ (np.arange(23) / 10), rtol=1e-11, atol=1e-14)


@experiment("000.4.9b", where="`hessian`, `grad`")
def test_000_4_9b_the_error_of_the_taylor_model_is_of_third_order():
    """R(w₀) + gᵀd + ½ dᵀHd misses R(w₀ + d) by a third power: halving d divides the error by 8 (7.5
    to 8.5), without H by 4."""
    model, x, y = small()
    found = model.evaluate(x, y)
    w, g, H = np.array(model.params.flat), found["slope"][0], found["H"][0]
    direction = np.random.default_rng(2).normal(size=23)
    second, first = [], []
    for size in (0.02, 0.01, 0.005):
        d = size * direction
        moved = float(at(model, w + d, lambda: model.evaluate(x, y)["loss"]))
        first.append(abs(moved - found["loss"] - g @ d))
        second.append(abs(moved - found["loss"] - g @ d - 0.5 * d @ H @ d))
    for k in range(2):
        assert 7.5 < second[k] / second[k + 1] < 8.5
        assert 3.5 < first[k] / first[k + 1] < 4.5


DIGITS = """
net Digits {
  input  image: [8, 8]
  target digit: class[10]
  y = image |> flatten |> dense(24, act=tanh) |> dense(10)
  output y
  output J = jacobian(y, image)
  loss cross_entropy(y, digit)
}
train { optimizer = adam(lr=0.01); batch = 50; epochs = 8 }
"""


@experiment("000.4.8d", where="`netc.procedures.activation_maximisation`")
def test_000_4_8d_deep_dream_makes_a_unit_as_active_as_it_can():
    """From a grey image, 60 small steps along a row of the Jacobian raise the logit of each digit
    in every step and end in that class, with no weight changed; the pixels leave [0, 1]. With
    bounds and decay they stay and the class is reached too; with jitter of one pixel the logit
    averaged over nine shifts is more than 1 higher and the lowest at least twice as high."""
    images, labels = digits("train")
    model = netc.compile(source=DIGITS, threads=1)
    model.fit(images.reshape(-1, 8, 8), labels, progress=False)
    before = np.array(model.params.flat)
    start, classes = np.full((10, 8, 8), 0.5), np.arange(10)
    plain = maximise(model, start, classes, Ascent(steps=60, rate=0.02))
    assert np.all(np.diff(plain.values, axis=0) > 0)
    np.testing.assert_array_equal(model.forward(plain.inputs)["y"].argmax(1), classes)
    np.testing.assert_array_equal(model.params.flat, before)
    assert plain.inputs.min() < 0
    assert plain.inputs.max() > 1
    steady = []
    for jitter in (0, 1):
        kept = Ascent(200, 0.02, normalised=True, decay=0.01, jitter=jitter, low=0, high=1)
        found = maximise(model, start, classes, kept).inputs
        assert found.min() >= 0
        assert found.max() <= 1
        np.testing.assert_array_equal(model.forward(found)["y"].argmax(1), classes)
        shifts = [np.roll(found, (a, b), axis=(1, 2)) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        answers = [model.forward(image)["y"][classes, classes].mean() for image in shifts]
        steady.append((np.mean(answers), min(answers)))
    assert steady[1][0] > steady[0][0] + 1
    assert steady[1][1] > 2 * steady[0][1]
    shift = np.random.default_rng(2).integers(-1, 2, 2)
    assert np.all(shift)
    step = maximise(model, found, 3, Ascent(1, 0.5, jitter=1), seed=2).inputs - found
    slope = model.forward(np.roll(found, shift, axis=(1, 2)))["J"][:, 3]
    np.testing.assert_allclose(step, 0.5 * np.roll(slope, -shift, axis=(1, 2)), atol=1e-6)
    with pytest.raises(netc.UsageError, match="no output `p`"):
        maximise(model, start, 0, output="p")
