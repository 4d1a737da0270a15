"""Training: Adam as the text writes it, early stopping, stopping rules, sampling of the data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import (
    CROSS_ENTROPY,
    gradients,
    labels,
    network,
    offsets,
    redraw,
    weights,
)
from tests.catalogue.tools import compiled

ADAM = """
## eps is added to the root of the uncorrected second moment.
optimizer text_adam(lr = 0.001, b1 = 0.9, b2 = 0.999, eps = 1e-8) {
  state mean = 0
  state square = 0
  mean <- b1 * mean + (1 - b1) * g
  square <- b2 * square + (1 - b2) * g^2
  w <- w - lr * sqrt(1 - b2^step) / (1 - b1^step) * mean / (eps + sqrt(square))
}
"""
MU, RHO = 0.05, 0.02


def text_adam(gradient, moments, m, *, eps, b1=0.9, b2=0.999):
    """(65.96) to (65.98) for iteration m = 0, 1, …: the change of one parameter."""
    moments[0] = b1 * moments[0] + (1 - b1) * gradient
    moments[1] = b2 * moments[1] + (1 - b2) * gradient**2
    factor = np.sqrt(1 - b2 ** (m + 1)) / (1 - b1 ** (m + 1))
    return -MU * factor * moments[0] / (eps + np.sqrt(moments[1]))


@experiment(
    "A12",
    "001.65.5-8",
    where="an `optimizer` of six lines; `adam` of the prelude with eps after the correction; "
    '`optimizer("*.theta") = …` for factors of their own',
)
def test_a12_adam_of_the_text():
    """Six steps are those of (65.95) to (65.98), with 2ρW inside G and other factors for the
    offsets; the first is -μ sign(G) for ε → 0.

    With the same ε = 0.01 the prelude's `adam`, which adds ε after the correction, moves elsewhere.
    """
    train = (
        "optimizer = text_adam(lr = 0.05, eps = 0.01); "
        'optimizer("*.theta") = text_adam(lr = 0.05, b1 = 0.8, b2 = 0.99, eps = 0.01)'
    )
    text = ADAM + network((3, 4, 2), "tanh", "softmax", CROSS_ENTROPY, train=train)
    model = compiled(text, defines={"rho": RHO})
    corrected = compiled(
        network((3, 4, 2), "tanh", "softmax", CROSS_ENTROPY, train="optimizer = adam(eps = 0.01)"),
        defines={"rho": RHO},
    )
    corrected.scalars["lr"] = MU
    draw = redraw(model, 1)
    corrected.params.flat = model.params.flat
    W, theta = weights(model), offsets(model)
    moments = [[0.0, 0.0] for _ in range(4)]
    kind = ("tanh", "softmax", CROSS_ENTROPY)
    for m in range(6):
        h, gamma = draw.normal(size=(3, 3)), labels(draw, 3, 2)
        model.step(h, gamma)
        corrected.step(h, gamma)
        by_w, by_theta = listings.risk_gradients(h, gamma, W, theta, kind, RHO)
        for at in range(2):
            W[at] = W[at] + text_adam(by_w[at], moments[at], m, eps=0.01)
            change = text_adam(by_theta[at], moments[2 + at], m, eps=0.01, b1=0.8, b2=0.99)
            theta[at] = theta[at] + change
        for found, expected in zip([*weights(model), *offsets(model)], [*W, *theta], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert np.abs(weights(corrected)[0] - W[0]).max() > 1e-3


@experiment("A12", "001.65.5-8", where="`adam`")
def test_a12_the_first_step_is_a_sign():
    """From zero moments the first step of `adam` is -μ sign(G) to 1e-4 of μ, and with its ε
    divided by sqrt(1 - β₂), 31.6 ε, it is the text's to the last digits."""
    draw = np.random.default_rng(3)
    h, gamma = draw.normal(size=(5, 3)), labels(draw, 5, 2)
    text = network((3, 4, 2), "tanh", "softmax", CROSS_ENTROPY, train="optimizer = adam(lr = 0.05)")
    model = compiled(text)
    start = weights(model)
    model.forward(h, training=True)
    model.backward(gamma)
    by_w, _ = gradients(model)
    model.update()
    for found, before, g in zip(weights(model), start, by_w, strict=True):
        assert np.abs(g).min() > 1e-4
        np.testing.assert_allclose(found - before, -MU * np.sign(g), rtol=1e-4)
    model, eps = compiled(text), 0.01
    model.scalars["eps"] = eps / np.sqrt(1 - 0.999)
    model.step(h, gamma)
    for found, before, g in zip(weights(model), start, by_w, strict=True):
        move = text_adam(g, [0.0, 0.0], 0, eps=eps)
        np.testing.assert_allclose(found - before, move, rtol=1e-9)


EARLY = """
net Early {
  input x: [1]
  param w: [] = 0
  risk = 3 + abs(w - 3)
  loss -w + 0 * sum(x)
  metric risk = risk
}
train { optimizer = sgd(lr = 1); shuffle = false; batch = 4; monitor = "-risk" }
"""


@experiment(
    "A13",
    "001.65.5-7",
    where="`monitor`, `restore_best`, `patience` and `validation` of the train block or of `fit`",
)
def test_a13_the_pocket_keeps_the_best():
    """Validation errors 5, 4, 3, 4, 5 leave the parameters of the 3; with `patience = 1` training
    ends after the first 4, and without `restore_best` the last parameters stay."""
    x = np.zeros((4, 1))
    model = compiled(EARLY)
    history = model.fit(x, validation=(x[:2],), epochs=5, restore_best=True, progress=False)
    np.testing.assert_array_equal(history["validation.risk"], [5, 4, 3, 4, 5])
    assert model.params["w"] == 3
    model = compiled(EARLY)
    history = model.fit(
        x, validation=(x[:2],), epochs=9, patience=1, restore_best=True, progress=False
    )
    assert history.stopped == "patience"
    assert len(history.epochs) == 4
    assert model.params["w"] == 3
    model.fit(x, validation=(x[:2],), epochs=2, restore_best=False, progress=False)
    assert model.params["w"] == 5


@experiment(
    "A13",
    "001.65.5-7",
    where="`fit(x, t, validation=(xv, tv), restore_best=True)`; an epoch is the N_T iterations",
)
def test_a13_validation_error_falls_then_rises():
    """Thirty units trained on 10 noisy points of a line: the training error keeps falling, the
    validation error falls and rises again, and the pocket holds the parameters of its minimum."""
    draw = np.random.default_rng(0)
    x = draw.uniform(-1, 1, size=(110, 1))
    y = 0.8 * x + 0.5 * draw.normal(size=x.shape)
    text = network((1, 30, 1), "tanh", "identity", train="optimizer = adam(lr = 0.05); batch = 10")
    model = compiled(text, seed=1)
    history = model.fit(
        x[:10],
        y[:10],
        validation=(x[10:], y[10:]),
        monitor="loss",
        epochs=500,
        restore_best=True,
        progress=False,
    )
    training, validation = history["loss"], history["validation.loss"]
    best = int(np.argmin(validation))
    assert 0 < best < 499
    assert validation[0] > 1.5 * validation[best]
    assert validation[-1] > 1.5 * validation[best]
    assert np.mean(training[-20:]) < 0.2 * np.mean(training[best : best + 20])
    assert model.evaluate(x[10:], y[10:])["loss"] == pytest.approx(validation[best], rel=1e-12)


STOPPING = """
net Bowl {
  input x: [1]
  param w: [] = 4
  loss w^2 + 0 * sum(x)
}
train { optimizer = sgd(lr = 0.1) }
"""


@experiment("A14", "001.65.5-3", where="`stop_change`, `max_steps`; `history.stopped`")
def test_a14_stopping_rules():
    """P_m = 16 · 0.64^m stops at the first |P_m - P_(m-1)| ≤ ε, a constant risk at once, and M_iter
    at exactly that many iterations."""
    x = np.zeros((1, 1))
    model = compiled(STOPPING)
    history = model.fit(x, epochs=1000, stop_change=1e-3, progress=False)
    risks = 16 * 0.64 ** np.arange(100)
    first = 1 + int(np.argmax(-np.diff(risks) <= 1e-3))
    assert history.stopped == "stop_change"
    np.testing.assert_allclose(history["objective"], risks[: first + 1], rtol=1e-12)
    model.params["w"] = 0
    assert len(model.fit(x, epochs=1000, stop_change=1e-3, progress=False).epochs) == 2
    model.params["w"] = 4
    history = model.fit(x, epochs=1000, max_steps=7, progress=False)
    assert history.stopped == "max_steps"
    assert model.params["w"] == pytest.approx(4 * 0.8**7, rel=1e-14)


COUNTING = """
net Counting {
  input sample: class[40]
  param seen: [40] = 0
  loss -seen[sample]
}
train { optimizer = sgd(lr = 1); batch = 1 }
"""


@experiment("001.65.5-9", where='`shuffle = true`, `shuffle = "with_replacement"`')
def test_001_65_5_9_passes_and_random_pairs():
    """Over three passes every sample counts three times, in an order drawn anew each time; with
    replacement 40 draws of 40 samples miss about e⁻¹ of them."""
    x = np.arange(40)
    model = compiled(COUNTING)
    model.fit(x, epochs=3, progress=False)
    np.testing.assert_array_equal(model.params["seen"], 3)
    missed = []
    for _ in range(10):
        model.params["seen"][...] = 0
        model.fit(x, epochs=1, shuffle="with_replacement", progress=False)
        counts = np.array(model.params["seen"])
        assert counts.sum() == 40
        missed.append((counts == 0).mean())
    assert abs(np.mean(missed) - (1 - 1 / 40) ** 40) < 4 * 0.05 / np.sqrt(10)
