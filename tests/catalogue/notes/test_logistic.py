"""Text 004, section 5.1: logistic regression."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.metrics import accuracy_score

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

SIGMOID = """
net Sigmoid {
  input a: []
  y = sigmoid(a)
  output y
  output slope = grad(y, a)
  output curve = hessian(y, a)
}
"""

LOGISTIC = """
const strength = 0.0
const share = 0  # of absolute values in the penalty
const squared = false
net Logistic {
  input  x: [2]
  target t: []
  phi = concat([1], x)
  param w: [3] = 0
  a = sum(w * phi)
  y = sigmoid(a)
  output a
  output y
  # as (5.10) and (5.13) print them
  loss if squared then 0.5 * (t - y)^2 else -(t * log(y) + (1 - t) * log(1 - y))
  penalty strength * elastic_net(w[1:], a = share)
  metric accuracy = (y > 0.5) == t
  metric error = zero_one(y > 0.5, t)
}
train { optimizer = sgd(lr = 1); batch = 1000 }
"""


@cache
def logistic(squared: bool = False) -> netc.Model:
    return compiled(LOGISTIC, defines={"squared": squared})


@cache
def separable() -> tuple[np.ndarray, np.ndarray]:
    """80 points with a gap around the line x₀ + x₁ = 0."""
    x = np.random.default_rng(0).normal(size=(200, 2))
    x = x[np.abs(x.sum(axis=1)) > 0.3][:80]
    return x, (x.sum(axis=1) > 0).astype(float)


@experiment("E11", "004.5.1.c", where="primitive `sigmoid`, `grad` and `hessian` of it")
def test_e11_the_sigmoid_and_its_slope() -> None:
    """At 401 places in ±20, σ(-a) = 1 - σ(a) and σ' = σ(1 - σ) to 1e-15, σ'' = σ'(1 - 2σ); the
    slope is largest at 0, where it is 0.25."""
    a = np.linspace(-20, 20, 401)
    model = compiled(SIGMOID)
    found = model.forward(a)
    y, slope = found["y"], found["slope"]
    np.testing.assert_allclose(y, expit(a), rtol=1e-13)
    np.testing.assert_allclose(y[::-1], 1 - y, atol=1e-15)
    np.testing.assert_allclose(slope, y * (1 - y), atol=1e-15)
    np.testing.assert_allclose(found["curve"], y * (1 - y) * (1 - 2 * y), atol=1e-15)
    at = differences(lambda x: model.forward(x)["y"], a[180:221])
    np.testing.assert_allclose(slope[180:221], np.diag(at), atol=1e-9)
    assert slope.argmax() == 200
    assert slope[200] == 0.25


@experiment(
    "E12",
    "004.5.1.a 004.5.1.d 004.5.1.f 004.5.1.h",
    where="`sigmoid` of a weighted sum, the loss as in the text; `examples/logistic.net`",
)
def test_e12_logistic_regression_separates_and_decides_at_any_threshold() -> None:
    """80 separable points of the plane: accuracy 1 after 200 steps and 0-1 loss 0; the decision
    σ > p₀ is w·φ > ln(p₀/(1 - p₀)) for p₀ = 0.1, 0.5 and 0.9."""
    x, t = separable()
    model = logistic()
    model.params["w"] = np.zeros(3)
    model.fit(x, t, epochs=200, progress=False)
    scores = model.evaluate(x, t)
    assert scores["accuracy"] == 1
    assert scores["error"] == 0
    assert accuracy_score(t, model.forward(x)["y"] > 0.5) == 1
    grid = np.random.default_rng(1).uniform(-3, 3, (2000, 2))
    found, w = model.forward(grid), np.array(model.params["w"])
    for p0 in (0.1, 0.5, 0.9):
        decision = np.c_[np.ones(2000), grid] @ w > logit(p0)
        np.testing.assert_array_equal(found["y"] > p0, decision)
        assert 0.1 < decision.mean() < 0.9


@experiment("E12", "004.5.1.f", where="`model.grads`; formulas are stabilised before derivation")
def test_e12_the_gradient_of_the_cross_entropy_is_sigma_minus_t() -> None:
    """The gradient of (5.13) as printed there is (1/N)Σ(σ - t)φ, to 1e-14 and to differences, where
    (5.14) has the other sign; it stays exact at a = ±700, where 1 - σ and σ are 0 or nearly so."""
    x, t = separable()
    t = np.where(np.arange(80) % 7 == 0, 1 - t, t)
    model = logistic()
    model.params["w"] = [0.3, -1, 2]
    found = model.forward(x, training=True)
    model.backward(t)
    phi = np.c_[np.ones(80), x]
    formula = (found["y"] - t) @ phi / 80
    np.testing.assert_allclose(model.grads["w"], formula, atol=1e-14)
    np.testing.assert_allclose(formula, objective_differences(model, "w", x, t), atol=1e-8)
    assert np.abs(model.grads["w"] + formula).max() > 0.1
    for a, target in ((700, 0), (-700, 1), (700, 1), (-700, 0)):
        model.params["w"] = [a, 0, 0]
        model.forward([[0, 0]], training=True)
        objective = model.backward([target])
        assert objective == pytest.approx(700 if (a > 0) != target else 0, abs=1e-9)
        assert model.grads["w"][0] == pytest.approx(expit(a) - target, abs=1e-15)


@experiment("E12", "004.5.1.b", where="`logistic` net fitted by `model.fit`; densities of SciPy")
def test_e12_the_posterior_of_two_normal_classes_is_a_sigmoid_of_the_log_odds() -> None:
    """For classes N(±1, 1) with priors 0.7 and 0.3 the posterior (5.3) is σ(a) with
    a = ln(p₁/p₂) = 2x + ln(7/3), to 1e-12; without the logarithm, as (5.4) is printed, it is not.
    4,000 samples give a logistic net those weights to 4 standard errors."""
    x = np.linspace(-4, 4, 81)
    one, two = 0.7 * norm.pdf(x, 1), 0.3 * norm.pdf(x, -1)
    model = logistic()
    model.params["w"] = [np.log(7 / 3), 2, 0]
    posterior = model.forward(np.c_[x, 0 * x])["y"]
    np.testing.assert_allclose(posterior, one / (one + two), rtol=1e-12)
    assert np.abs(expit(one / two) - posterior).max() > 0.4
    random = np.random.default_rng(2)
    t = (random.uniform(size=4000) < 0.7).astype(float)
    data = np.c_[random.normal(2 * t - 1, 1), np.zeros(4000)]
    model.params["w"] = np.zeros(3)
    model.fit(data, t, batch=4000, epochs=600, lr=2, progress=False)
    y, phi = model.forward(data)["y"], np.c_[np.ones(4000), data[:, 0]]
    error = np.sqrt(np.diag(np.linalg.inv(phi.T @ (phi * (y * (1 - y))[:, None]))))
    assert (np.abs(model.params["w"][:2] - [np.log(7 / 3), 2]) < 4 * error).all()


@experiment("E13", "004.5.1.e", where="`loss 0.5 * (t - sigmoid(a))^2` beside the cross-entropy")
def test_e13_a_saturated_wrong_unit_learns_with_the_cross_entropy_only() -> None:
    """At a = -10 with t = 1 the slope of the squared loss, (σ - t)σ', is 4.5e-5 in size and that of
    the cross-entropy 1; after 40 steps of rate 1 the latter has σ > 0.9, the former still
    σ < 1e-4. (5.11) prints the gradient with the wrong sign."""
    size, reached = {}, {}
    for squared in (True, False):
        model = logistic(squared)
        model.params["w"] = [-10, 0, 0]
        y = model.forward([[0, 0]], training=True)["y"][0]
        model.backward([1])
        slope = model.grads["w"][0]
        formula = (y - 1) * y * (1 - y) if squared else y - 1
        assert slope == pytest.approx(formula, rel=1e-12)
        assert slope < 0
        size[squared] = -slope
        model.fit([[0, 0]], [1], epochs=40, progress=False)
        reached[squared] = model.forward([[0, 0]])["y"][0]
    assert size[True] == pytest.approx(4.54e-5, rel=1e-3)
    assert size[False] == pytest.approx(1, rel=1e-4)
    assert reached[False] > 0.9
    assert reached[True] < 1e-4


@experiment("E14", "004.5.1.g", where="`penalty strength * elastic_net(w[1:])`")
def test_e14_on_separable_data_weights_grow_for_ever_unless_penalised() -> None:
    """On separable data |w| grows from each of 30, 300, 3,000 and 30,000 steps to the next by more
    than 1.5; under a penalty of squares, of absolute values or half of each, of strength 0.01, it
    is the same at the last two to 1e-7. σ(λz) tends to the step for λ → ∞ and to 1/2 for λ → 0,
    the limit that (5.15) prints."""
    x, t = separable()
    lengths = {}
    for share in (None, 0, 0.5, 1):
        penalty = {} if share is None else {"strength": 0.01, "share": share}
        model = compiled(LOGISTIC, defines=penalty) if penalty else logistic()
        model.params["w"], done, found = np.zeros(3), 0, []
        for steps in (30, 300, 3000, 30000):
            model.fit(x, t, epochs=steps - done, progress=False)
            done = steps
            found.append(np.linalg.norm(model.params["w"]))
        lengths[share] = np.array(found)
    assert (np.diff(lengths.pop(None)) > 1.5).all()
    for found in lengths.values():
        assert abs(np.diff(found)[-1]) < 1e-7
    model = logistic()
    z = np.array([-2, -0.1, 0.1, 2.0])
    for scale, limit in ((1e4, [0, 0, 1, 1]), (1e-9, [0.5] * 4)):
        model.params["w"] = [0, scale, 0]
        y = model.forward(np.c_[z, 0 * z])["y"]
        np.testing.assert_allclose(y, limit, atol=1e-8)
