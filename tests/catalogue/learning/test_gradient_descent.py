"""Gradient descent with one rate, with a rate for each parameter, and with momentum."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.learning.paths import ELLIPSE, descent, ellipse, trained
from tests.catalogue.tools import compiled

ENDS = {
    0.05: (0.005154, 0),
    0.1: (0.000014, 0),
    0.19: (0, 0.005154),
    0.2: (0, 1),
    0.21: (0, 117.39),
}
"""Where 50 steps from (1, 1) end for each rate, as derived from the factors of a step."""


@experiment("000.7.1", "000.7.1 000.7.4b", where="`sgd` of the prelude")
@pytest.mark.parametrize("rate", ENDS)
def test_000_7_1_fifty_steps_of_gradient_descent_on_an_ellipse(rate: float) -> None:
    """w ← w - η g on w1² + 5 w2² multiplies w by (1 - 2η, 1 - 10η): 50 steps from (1, 1) end at
    (0.005154, 0), (0.000014, 0), (0, 0.005154), (0, 1), (0, 117.39) for η = 0.05, 0.1, 0.19, 0.2,
    0.21.
    """
    path = descent(f"sgd(lr={rate})", 50)
    factors = np.array([1 - 2 * rate, 1 - 10 * rate])
    np.testing.assert_allclose(path, factors ** np.arange(51)[:, None], rtol=1e-9, atol=1e-14)
    # the numbers have six decimals, the large one two
    np.testing.assert_allclose(path[-1], ENDS[rate], atol=0.005 if rate > 0.2 else 5e-7)


@experiment("000.7.1", where="`sgd` of the prelude")
def test_000_7_1_the_gradient_is_the_steepest_direction_only_nearby() -> None:
    """Of 200 directions of the same short length none descends more than -g; a step of 0.25 along
    -g, beyond 0.2, climbs.
    """
    model = compiled(f"{ELLIPSE[:-1]} output slope = grad(objective, w) }}")
    slope = model.forward()[0]
    np.testing.assert_allclose(slope, [2, 10], rtol=1e-12)

    def value(move: np.ndarray) -> float:
        model.params["w"] = 1 + move
        model.forward(training=True)
        return model.backward()

    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    around = 1e-4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    down = value(-1e-4 * slope / np.linalg.norm(slope))
    assert down < min(value(move) for move in around)
    assert down == pytest.approx(6 - 1e-4 * np.sqrt(104), abs=1e-7)
    assert value(-0.25 * slope) > 6


@experiment("000.7.4b", "000.7.4a 000.7.4b", where="a list as the rate: `sgd(lr=[0.5, 0.1])`")
def test_000_7_4b_a_rate_for_each_parameter_needs_one_step() -> None:
    """η = (0.5, 0.1) takes w1² + 5 w2² to (0, 0) in one step from anywhere; with one rate, 0.2
    oscillates in w2 with constant amplitude and 0.21 diverges.
    """
    for start in ((1, 1), (-3, 0.7)):
        np.testing.assert_allclose(descent("sgd(lr=[0.5, 0.1])", 1, start)[1], 0, atol=1e-15)
    swings = descent("sgd(lr=0.2)", 50)[:, 1]
    np.testing.assert_allclose(swings, (-1.0) ** np.arange(51), rtol=1e-12)
    assert np.all(np.diff(np.abs(descent("sgd(lr=0.21)", 50)[:, 1])) > 0)


@experiment("000.7.4a", where="a list as the rate: `sgd(lr=[0.5, 0.1])`")
def test_000_7_4a_small_positive_rates_descend_and_a_scalar_product_is_not_meant() -> None:
    """Three random vectors of rates η > 0: the step has slope -Σ η_i g_i² ≤ -η_min |g|², and the
    objective of a random quadratic falls in each of 30 steps, to below 0.01 after 2,000. With
    (7.33) as printed, without the element-wise product, η·g is one number for all weights: it stays
    above 1.
    """
    random = np.random.default_rng(3)
    net = f"""
    const A = {(np.eye(5) + 0.3 * random.normal(size=(5, 5))).tolist()}
    net Bowl {{ param w: [5] = [3, -1, 4, -1, -5]; penalty 0.5 * sum((A @ w)^2) }}
    """
    rated = """
    optimizer rated(lr) { w <- w - lr * g }
    optimizer printed(lr) { w <- w - sum(lr * g) }
    """
    for _ in range(3):
        rates = random.uniform(0.02, 0.1, 5)
        model = trained(net, f"rated(lr={rates.tolist()})", rated)
        values = []
        for _ in range(30):
            before = np.array(model.params["w"])
            model.forward(training=True)
            values.append(model.backward())
            g = np.array(model.grads["w"])
            model.update()
            slope = g @ (model.params["w"] - before)
            assert slope == pytest.approx(-np.sum(rates * g**2), rel=1e-12)
            assert slope <= -rates.min() * (g @ g)
        assert np.all(np.diff(values) < 0)
    wrong = trained(net, f"printed(lr={rates.tolist()})", rated)
    for _ in range(2000):
        right, printed = model.step(), wrong.step()
    assert right < 0.01
    assert printed > 1


OPTIMIZERS = {
    "sgd": "sgd(lr=0.1)",
    "rates": "sgd(lr=[0.5, 0.1])",
    "momentum": "momentum(lr=0.02, beta=0.9)",
    "averaged": "averaged_momentum(lr=0.2, beta=0.9)",
    "nesterov": "nesterov(lr=0.02, beta=0.9)",
    "delta": "delta_delta(lr=0.05, gamma=1e-4)",
    "bar": "delta_bar_delta(lr=0.02, kappa=0.005, phi=0.2)",
    "adagrad": "adagrad(lr=0.5)",
    "rmsprop": "rmsprop(lr=0.01, rho=0.9)",
    "adadelta": "adadelta()",
    "adam": "adam(lr=0.05)",
    "uncorrected": "adam_uncorrected(lr=0.02)",
    "quickprop": "quickprop(lr=0.01, growth=100)",
    "rprop": "rprop(lr=0.01)",
    "backtracking": "rprop_backtracking(lr=0.01)",
}
"""A setting of each method; the text gives none."""

BOUND = 500
"""Steps that each may take."""


@experiment(
    "all",
    "000.7.1 000.7.2 000.7.2.1 000.7.4a 000.7.4b 000.7.4.1a 000.7.4.1b 000.7.4.2 000.7.4.3a"
    " 000.7.4.3b 000.7.4.4 000.7.5.1 000.7.5.2",
    where="`optimizers.net` of the prelude",
)
def test_all_optimizers_reach_the_bottom_of_the_ellipse() -> None:
    """Fifteen optimizers in one net, each with its own copy of w1² + 5 w2² from (1, 1): all are
    below 1e-3 within 500 steps, with the settings that the test lists.
    """
    lines = [f"  param {name}: [2] = 1" for name in OPTIMIZERS]
    lines += [f"  penalty {name}[0]^2 + 5 * {name}[1]^2" for name in OPTIMIZERS]
    rules = [f'  optimizer("{name}") = {rule}' for name, rule in OPTIMIZERS.items()]
    body, chosen = "\n".join(lines), "\n".join(rules)
    model = compiled(f"net Race {{\n{body}\n}}\ntrain {{\n{chosen}\n}}")
    reached = {}
    for step in range(1, BOUND + 1):
        model.step()
        low = (name for name in OPTIMIZERS if ellipse(model.params[name]) < 1e-3)
        reached |= {name: step for name in low if name not in reached}
    assert reached.keys() == OPTIMIZERS.keys()
    assert reached["rates"] == 1
