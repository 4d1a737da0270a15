"""Text 004, sections 4.1 and 4.2: gradient descent, minibatches, gradient flow."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

BOWL = """
net Bowl {
  input k: []
  param w = 3
  loss 0.5 * k * w^2
}
train { optimizer = sgd(lr = 0.1) }
"""

VISITS = """
const N = 23
net Visits {
  input which: class[N]
  param seen: [N] = 0
  loss -batch_size * seen[which]
}
train { optimizer = sgd(lr = 1) }
"""
"""The gradient by `seen` counts the samples of a minibatch, so that a step of rate 1 adds them."""

LINE = """
net Line {
  input  x: []
  target t: []
  param w: [2] = 0
  loss 0.5 * (w[0] + w[1] * x - t)^2
}
train { optimizer = sgd(lr = 0.1) }
"""


@cache
def bowl() -> netc.Model:
    return compiled(BOWL)


def descend(k: float, rate: float, steps: int) -> np.ndarray:
    """The points of gradient descent on the bowl, from w = 3."""
    model = bowl()
    model.params["w"] = 3.0
    model.scalars["lr"] = rate
    path = [3.0]
    for _ in range(steps):
        model.step([k])
        path.append(float(model.params["w"]))
    return np.array(path)


@experiment("E8", "004.4.1", where="`sgd` of the prelude")
@pytest.mark.parametrize("eta_k", [0.01, 0.5, 1, 1.99, 2.01, 3])
def test_e8_descent_in_a_bowl_is_a_power_of_one_minus_eta_k(eta_k: float) -> None:
    """On E = (k/2)w² each of 30 steps multiplies w by 1 - ηk, to 1e-12: it converges below η = 2/k
    and diverges above it."""
    k = 2.5
    path = descend(k, eta_k / k, 30)
    np.testing.assert_allclose(path, 3 * (1 - eta_k) ** np.arange(31), rtol=1e-12, atol=1e-15)
    assert (abs(path[-1]) < 3) == (eta_k < 2)


@pytest.mark.parametrize("batch", [1, 5, 23])
@experiment("E9", "004.4.1.1", where="`batch`, `epochs` and `shuffle` of the train block")
def test_e9_an_epoch_visits_every_datum_once(batch: int) -> None:
    """With minibatches of 1, 5 and 23 of 23 data, each datum has been seen 3 times after 3 epochs
    and none twice in one epoch."""
    model = visits()
    for epochs in (1, 3):
        model.params["seen"] = np.zeros(23)
        model.fit(np.arange(23), batch=batch, epochs=epochs, progress=False)
        assert (model.params["seen"] == epochs).all()


@cache
def visits() -> netc.Model:
    return compiled(VISITS)


@experiment("E9", "004.4.1.1", where="`model.fit(batch=…)` and `sgd`")
def test_e9_full_batches_are_gradient_descent_and_single_samples_keep_moving() -> None:
    """A batch of all 200 data follows (4.6) to 1e-12 for 400 steps and ends within 1e-11 of the
    minimum; with one datum a step, at the same rate, the distance in the last 20 epochs stays
    between 0.01 and 1, and the minibatch gradient at the minimum is not 0."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, 200)
    t = 1 - 2 * x + random.normal(size=200)
    design = np.stack([np.ones(200), x], axis=1)
    best = np.linalg.lstsq(design, t)[0]
    model = compiled(LINE)
    model.fit(x, t, batch=200, epochs=400, lr=0.2, progress=False)
    w = np.zeros(2)
    for _ in range(400):
        w -= 0.2 * (design @ w - t) @ design / 200
    np.testing.assert_allclose(model.params["w"], w, rtol=1e-12)
    assert np.abs(model.params["w"] - best).max() < 1e-11
    model.forward(x[:5], training=True)
    model.backward(t[:5])
    assert np.abs(model.grads["w"]).max() > 0.1
    distances = []
    for epoch in range(1, 21):
        model.fit(x, t, batch=1, epochs=epoch, resume=epoch > 1, lr=0.2, progress=False)
        distances.append(np.linalg.norm(model.params["w"] - best))
    assert min(distances) > 0.01
    assert max(distances) < 1


@experiment("E10", "004.4.2", where="`model.grads` as the right-hand side of `solve_ivp`; `sgd`")
def test_e10_descent_follows_the_gradient_flow_to_first_order_in_the_rate() -> None:
    """On E = (k/2)w² the flow dW/dt = -∇E, integrated from the compiled gradient, is w₀exp(-kt) to
    1e-8; descent with rates 0.1 … 0.00625 is off by an amount that halves with the rate (ratios
    1.9 to 2.2)."""
    model, k = bowl(), 0.8

    def velocity(_: float, w: np.ndarray) -> np.ndarray:
        model.params["w"] = w[0]
        model.forward([k], training=True)
        model.backward()
        return np.array([-model.grads["w"]])

    times = np.linspace(0, 2, 6)
    flow = solve_ivp(velocity, (0, 2), [3.0], t_eval=times, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(flow.y[0], 3 * np.exp(-k * times), atol=1e-8)
    rates = 0.1 / 2 ** np.arange(5)
    errors = [descend(k, rate, round(2 / rate))[-1] - 3 * np.exp(-2 * k) for rate in rates]
    ratios = np.divide(errors[:-1], errors[1:])
    assert (ratios > 1.9).all()
    assert (ratios < 2.2).all()
