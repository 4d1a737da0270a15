"""Autoencoders: plain, tied, overcomplete, deep, denoising, and linear ones, which are PCA."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward.networks import AFFINE, CROSS_ENTROPY, network
from tests.catalogue.tools import compiled, objective_differences
from tests.end_to_end.data import digits


def curve(samples, seed=0, entries=5):
    """Vectors with entries in (0, 1) that lie on a surface of two dimensions."""
    draw = np.random.default_rng(seed)
    return expit(draw.normal(size=(samples, 2)) @ draw.normal(size=(2, entries)) * 1.5)


PLAIN = (
    AFFINE
    + """
const code = 3
const deep = false
net Autoencoder {
  input h: [5]
  before = if deep then h |> affine(8) |> tanh else h
  y = before |> affine(code) |> sigmoid
  after = if deep then y |> affine(8) |> tanh else y
  output h_hat = after |> affine(5) |> sigmoid
  loss squared_error(h_hat, h)
}
train { optimizer = adam(lr = 0.02); batch = 20 }
"""
)


@experiment(
    "A15",
    "001.Ex65.4-1 001.Ex65.4-3 001.Ex65.4-5",
    where="a net whose loss takes its input; widths are constants",
)
@pytest.mark.parametrize("shape", [{"code": 3}, {"code": 9}, {"code": 2, "deep": True}])
def test_a15_autoencoders_reconstruct(shape):
    """With M = 5, entries in (0, 1) and codes of 3, of 9 (overcomplete) and of 2 between hidden
    layers (deep), the error of unseen samples falls below 5 % of their variance."""
    h = curve(260)
    model = compiled(PLAIN, defines=shape)
    history = model.fit(h[:200], epochs=150, progress=False)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    error = ((model.predict(h[200:]) - h[200:]) ** 2).mean()
    assert error < 0.05 * h[200:].var(0).mean()


TIED = """
const rho = 0
net Tied {
  input h: [5]
  param W_1: [5, 3]
  param theta_1: [3] = normal(0, 1)
  param theta_2: [5] = normal(0, 1)
  y_2 = sigmoid(h @ W_1 - theta_1)
  z_3 = y_2 @ W_1' - theta_2
  output h_hat = sigmoid(z_3)
  loss binary_cross_entropy_with_logits(z_3, h)
  penalty rho * l2(W_1)
}
train { optimizer = sgd(lr = 0.5) }
"""


@experiment("A15", "001.Ex65.4-2", where="`y_2 @ W_1'`: one `param` in two places")
def test_a15_a_tied_weight_gathers_both_gradients():
    """With W_2 = W_1' and cross-entropy the gradient by W_1 is h δ₂' + δ₃ y₂' + 2ρW_1, that of
    the encoder alone is not; offsets have -δ. One step moves
    W_1 by both."""
    rho = 0.01
    model = compiled(TIED, defines={"rho": rho})
    h = curve(6, 1)
    W, theta_1 = (np.array(model.params[name]) for name in ("W_1", "theta_1"))
    h_hat = model.forward(h, training=True)
    model.backward()
    y_2 = expit(h @ W - theta_1)
    delta_3 = h_hat - h
    delta_2 = y_2 * (1 - y_2) * (delta_3 @ W)
    encoder = h.T @ delta_2 / 6 + 2 * rho * W
    gradient = encoder + delta_3.T @ y_2 / 6
    grads = {name: np.array(value) for name, value in model.grads.items()}
    np.testing.assert_allclose(grads["W_1"], gradient, rtol=1e-10)
    np.testing.assert_allclose(grads["theta_1"], -delta_2.mean(0), rtol=1e-10)
    np.testing.assert_allclose(grads["theta_2"], -delta_3.mean(0), rtol=1e-10)
    np.testing.assert_allclose(
        grads["W_1"], objective_differences(model, "W_1", h), rtol=1e-6, atol=1e-9
    )
    assert np.abs(encoder - gradient).max() > 1e-2
    model.step(h)
    np.testing.assert_allclose(model.params["W_1"], W - 0.5 * gradient, rtol=1e-11)


DENOISING = (
    AFFINE
    + """
const most = 0.5
net Denoising {
  input h: [8]
  kept = bernoulli(1 - most, [8])
  output corrupted = if training then kept * h else h
  y = corrupted |> affine(32) |> sigmoid
  output h_hat = y |> affine(8) |> sigmoid
  loss squared_error(h_hat, h)
}
train { optimizer = adam(lr = 0.02); batch = 25 }
"""
)


@experiment("A16", "001.Ex65.4-4", where="`if training then bernoulli(0.5, [8]) * h else h`")
def test_a16_denoising_sees_holes_and_learns_the_whole():
    """Half of the entries (within 4 standard errors) are zero in the training input, the rest
    untouched; the loss compares with the clean h. After training, entries that are hidden come back
    with less than 40 % of the error of their means; an autoencoder trained without holes, given
    the same ones, is worse."""
    h = curve(900, 2, 8)
    model = compiled(DENOISING)
    seen = model.forward(h, training=True)
    objective = model.backward()
    hidden = seen["corrupted"] == 0
    assert abs(hidden.mean() - 0.5) < 4 * 0.5 / np.sqrt(h.size)
    np.testing.assert_array_equal(seen["corrupted"][~hidden], h[~hidden])
    assert objective == pytest.approx(((seen["h_hat"] - h) ** 2).sum(1).mean(), rel=1e-12)
    np.testing.assert_array_equal(model.predict(h)["corrupted"], h)
    unseen, hole = h[800:], np.random.default_rng(0).random((100, 8)) < 0.5
    errors = []
    for net in (model, compiled(DENOISING, defines={"most": 0})):
        net.fit(h[:800], epochs=80, progress=False)
        restored = net.predict(np.where(hole, 0, unseen))["h_hat"]
        errors.append(((restored - unseen)[hole] ** 2).mean())
    plain = ((h[:800].mean(0) - unseen)[hole] ** 2).mean()
    assert errors[0] < 0.4 * plain
    assert errors[0] < 0.5 * errors[1]


LINEAR = """
const bent = false
net Linear {
  input h: [6]
  output x = h |> standardize
  param W_1: [6, 3]
  param W_2: [3, 6]
  code = if bent then tanh(x @ W_1) else x @ W_1
  output x_hat = code @ W_2
  loss squared_error(x_hat, x)
}
train { optimizer = rprop(lr = 0.01); batch = 50; epochs = 600 }
"""


@experiment(
    "A17",
    "001.Ex65.5-1 001.Ex65.5-2",
    where="`standardize`; two matrices and no activation; `np.linalg.svd` for comparison",
)
def test_a17_a_linear_autoencoder_is_pca():
    """Trained on 50 standardised vectors, N times the loss of a linear autoencoder with three codes
    comes down to Σ_(k>3) σ_k² of the singular values and never below; what it returns is H U₁U₁'.

    With a tanh encoder and a linear decoder the bound holds too.
    """
    draw = np.random.default_rng(3)
    h = 3 + draw.normal(size=(50, 3)) @ draw.normal(size=(3, 6)) + 0.5 * draw.normal(size=(50, 6))
    model = compiled(LINEAR)
    history = model.fit(h, progress=False)
    found = model.predict(h)
    H = (h - h.mean(0)) / h.std(0)
    np.testing.assert_allclose(found["x"], H, rtol=1e-10, atol=1e-12)
    _, sigma, basis = np.linalg.svd(H)
    bound = (sigma[3:] ** 2).sum() / 50
    assert min(history["loss"]) > bound * (1 - 1e-12)
    assert history["loss"][-1] == pytest.approx(bound, rel=1e-6)
    np.testing.assert_allclose(found["x_hat"], H @ basis[:3].T @ basis[:3], atol=2e-3)
    R_hat = H.T @ H / 49
    np.testing.assert_allclose(R_hat @ basis.T, basis.T * sigma**2 / 49, atol=1e-12)
    bent = compiled(LINEAR, defines={"bent": True})
    losses = bent.fit(h, epochs=300, progress=False)["loss"]
    assert bound < min(losses) < 1.1 * bound


CODER = (
    AFFINE
    + """
const n = 64
const code = 32
net Coder {
  input h: [n]
  y = h |> affine(code)
  output features = sigmoid(y)
  output h_hat = features |> affine(n)
  loss squared_error(h_hat, h)
}
train { optimizer = adam(lr = 0.01); batch = 50; epochs = 20 }
"""
)


@experiment(
    "001.Ex65.4-6",
    where="two autoencoders, the second on the features of the first; their parameters by name",
)
def test_001_ex65_4_6_stacked_autoencoders_give_initial_conditions():
    """A cascade of two autoencoders on the digits, trained one after the other, starts a classifier
    whose hidden layers return the cascade's features; after the same three passes it is wrong on
    fewer new digits than one from random values, by a quarter at least.

    The text names them only; of Boltzmann machines it has no more than the name.
    """
    images, names = digits("train")
    first = compiled(CODER, precision="f32")
    first.fit(images, progress=False)
    features = first.predict(images)["features"]
    second = compiled(CODER, precision="f32", defines={"n": 32, "code": 24})
    second.fit(features, progress=False)
    train = "optimizer = sgd(lr = 0.2); batch = 10"
    text = network((64, 32, 24, 10), "sigmoid", "softmax", CROSS_ENTROPY, train=train)
    text = text.replace("output gamma_hat", "output y = y_3\n  output gamma_hat")
    errors = []
    for stacked in (True, False):
        model = compiled(text, precision="f32")
        for part in ("W", "theta") if stacked else ():
            model.params[f"z_2.affine.{part}"] = first.params[f"y.affine.{part}"]
            model.params[f"z_3.affine.{part}"] = second.params[f"y.affine.{part}"]
        if stacked:
            cascade = second.predict(features)["features"]
            np.testing.assert_allclose(model.predict(images)["y"], cascade, atol=1e-5)
        model.fit(images, np.eye(10)[names], epochs=3, progress=False)
        chosen = model.predict(digits("test")[0])["gamma_hat"].argmax(1)
        errors.append((chosen != digits("test")[1]).mean())
    assert errors[0] < 0.75 * errors[1]
