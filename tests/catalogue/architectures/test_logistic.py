"""Logistic and softmax regression: likelihoods, gradients, Newton's method and its Hessian."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netc.procedures import newton
from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

LOGISTIC = """
net Logistic {
  input  x: [3]
  target y: []
  param  w: [3] = normal(0, 1)
  s = x @ w
  a = sigmoid(s)
  output a
  output H = hessian(objective, params)
  loss batch_size * binary_cross_entropy_with_logits(s, y)
}
train { optimizer = sgd(lr=0.01) }
"""

SOFTMAX = """
const D = 2
const K = 3
net Softmax {
  input  x: [D]
  target y: class[K]
  s = x |> dense(K, bias=false)
  a = softmax(s)
  output a
  output code = one_hot(y, K)
  output label = argmax(one_hot(y, K))
  loss batch_size * cross_entropy(s, y)
  assert count(params) == K * D
}
train { optimizer = sgd(lr=0.05) }
"""


@cache
def logistic():
    """The net, and 80 samples of two overlapping classes with a constant feature."""
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 80).astype(float)
    X = np.column_stack([random.normal(size=(80, 2)) + y[:, None], np.ones(80)])
    return compiled(LOGISTIC), X, y


@cache
def softmax():
    """The net, and 90 samples of three separated clusters."""
    random = np.random.default_rng(2)
    y = np.arange(90) % 3
    centres = np.array([[4, 0], [-2, 3.5], [-2, -3.5]])
    return compiled(SOFTMAX), centres[y] + random.normal(0, 0.5, (90, 2)), y


@experiment("000.4.3a", where="`sigmoid`, `heaviside`")
def test_000_4_3a_the_sigmoid_is_a_smooth_step():
    """σ(0) = 0.5, σ'(0) = 0.25, σ'(±3) = 0.0451767, σ(x) + σ(-x) = 1; σ' = σ(1 - σ) equals
    differences; σ(50 x) is within 1e-10 of the step function half a unit away from 0."""
    model = compiled("""
    net Sigmoid {
      input x: []
      output f = sigmoid(x)
      output slope = grad(f, x)
      output steep = sigmoid(50 * x)
      output step = heaviside(x)
    }""")
    x = np.array([0.0, 3, -3, 0.5, -0.5, 1.7])
    found = model.forward(x)
    f, slope = found["f"], found["slope"]
    assert f[0] == 0.5
    np.testing.assert_allclose(slope[:3], [0.25, 0.0451767, 0.0451767], atol=5e-8)
    np.testing.assert_allclose(f + model.forward(-x)["f"], 1, rtol=1e-15)
    np.testing.assert_allclose(slope, f * (1 - f), rtol=1e-12)
    by_differences = np.diag(differences(lambda v: model.forward(v)["f"], x))
    np.testing.assert_allclose(slope, by_differences, atol=1e-9)
    np.testing.assert_allclose(found["steep"][1:], found["step"][1:], atol=1e-10)


@experiment("000.4.3b", where="`sigmoid(x @ w)`")
def test_000_4_3b_logistic_regression_is_a_probability():
    """For 1000 random x and w the output lies in (0, 1) and is above 0.5 exactly where wᵀx > 0."""
    model, _, _ = logistic()
    random = np.random.default_rng(3)
    model.params["w"] = w = random.normal(size=3)
    x = random.normal(0, 3, size=(1000, 3))
    a = model.forward(x)["a"]
    assert np.all((a > 0) & (a < 1))
    np.testing.assert_array_equal(a > 0.5, x @ w > 0)


@experiment("000.4.3c", where="`binary_cross_entropy`, `binary_cross_entropy_with_logits`")
def test_000_4_3c_the_cross_entropy_is_minus_the_log_likelihood():
    """At a = 0.5 it is ln 2 = 0.693147, for data -log Π aʸ(1-a)¹⁻ʸ, from logits and from
    probabilities; the likelihood itself is not it; sum and mean have one minimum."""
    model, X, y = logistic()
    model.params["w"] = np.zeros(3)
    assert gradients(model, X[:1], y[:1])[0] == pytest.approx(0.693147, abs=5e-7)
    model.params["w"] = [0.5, -1.0, 0.3]
    objective, _ = gradients(model, X, y)
    a = model.forward(X)["a"]
    likelihood = np.prod(a**y * (1 - a) ** (1 - y))
    assert objective == pytest.approx(-np.log(likelihood), rel=1e-12)
    assert abs(objective - likelihood) > 1
    mean = compiled(LOGISTIC.replace("batch_size * ", "").replace("_with_logits(s", "(a"))
    mean.params["w"] = [0.5, -1.0, 0.3]
    assert gradients(mean, X, y)[0] * 80 == pytest.approx(objective, rel=1e-12)
    newton.minimise(model, X, y)
    newton.minimise(mean, X, y, tolerance=1e-13)
    np.testing.assert_allclose(model.params["w"], mean.params["w"], rtol=1e-9)


@experiment("000.4.3d", where="`sgd` on `binary_cross_entropy_with_logits`")
def test_000_4_3d_the_gradient_is_output_minus_label_times_input():
    """The compiled gradient is Xᵀ(a - y), by formula and by differences; the objective falls with
    each of 200 steps of η = 0.01; on separable data |w| grows without end: no finite optimum."""
    model, X, y = logistic()
    model.params["w"] = w = np.array([0.5, -1.0, 0.3])
    _, slope = gradients(model, X, y)
    a = model.forward(X)["a"]
    np.testing.assert_allclose(slope["w"], X.T @ (a - y), rtol=1e-11)
    np.testing.assert_allclose(slope["w"], objective_differences(model, "w", X, y), rtol=1e-6)
    one = gradients(model, X[:1], y[:1])[1]["w"]
    np.testing.assert_allclose(one, (a[0] - y[0]) * X[0], rtol=1e-12)
    np.testing.assert_array_equal(model.params["w"], w)
    history = model.fit(X, y, batch=80, epochs=200, progress=False)
    assert np.all(np.diff(history["objective"]) < 0)
    lengths = []
    for _ in range(3):
        model.fit(X, X[:, 0] > X[:, 1], batch=80, epochs=1000, progress=False)
        lengths.append(np.linalg.norm(model.params["w"]))
    assert lengths[0] + 0.5 < lengths[1] < lengths[2] - 0.2


@experiment(
    "000.4.3f", "000.4.3e 000.4.3f", where="`hessian(objective, params)`, `netc.procedures.newton`"
)
def test_000_4_3f_newton_steps_are_reweighted_least_squares():
    """H = XᵀRX with R = diag(a(1 - a)), all eigenvalues above 0; from w = 0, five IRLS steps
    w - (XᵀRX)⁻¹Xᵀ(a - y) agree with the compiled ones, square the gradient near the end and reach
    what 20 steps of gradient descent miss by 1e-3. A repeated column makes H singular."""
    model, X, y = logistic()
    model.params["w"] = w = np.zeros(3)
    sizes = []
    for _ in range(5):
        a = model.forward(X)["a"]
        H = newton.curvature(model, X, y)
        np.testing.assert_allclose(H, X.T @ ((a * (1 - a))[:, None] * X), rtol=1e-11)
        assert np.all(np.linalg.eigvalsh(H) > 0)
        w = w - np.linalg.solve(X.T @ ((a * (1 - a))[:, None] * X), X.T @ (a - y))
        newton.minimise(model, X, y, steps=1)
        np.testing.assert_allclose(model.params["w"], w, rtol=1e-9)
        sizes.append(np.max(np.abs(model.grads["w"])))
    assert sizes[-2] < 1e-3
    assert sizes[-1] < sizes[-2] ** 1.7
    model.params["w"] = np.zeros(3)
    model.fit(X, y, lr=0.03, batch=80, epochs=20, progress=False)
    assert np.max(np.abs(model.params["w"] - w)) > 1e-3
    model.fit(X, y, lr=0.03, batch=80, epochs=500, progress=False)
    np.testing.assert_allclose(model.params["w"], w, atol=1e-9)
    twin = X[:, [0, 0, 2]]
    assert np.linalg.eigvalsh(newton.curvature(model, twin, y))[0] < 1e-10


@experiment("000.4.4a", where="`one_hot`, `argmax`")
def test_000_4_4a_one_hot_codes_and_back():
    """Labels 0 … K-1 become rows of the unit matrix that sum to 1, all equally far from each other
    (√2), and `argmax` gives the labels back."""
    model, X, _ = softmax()
    found = model.evaluate(X[:3], [0, 1, 2])
    np.testing.assert_array_equal(found["code"], np.eye(3))
    np.testing.assert_array_equal(found["label"], [0, 1, 2])
    gaps = np.linalg.norm(found["code"][:, None] - found["code"], axis=2)
    np.testing.assert_allclose(gaps[np.triu_indices(3, 1)], np.sqrt(2), rtol=1e-15)


@experiment("000.4.4b", where="`softmax`")
def test_000_4_4b_softmax_is_a_distribution_without_an_origin():
    """Outputs sum to 1 and stay when any c is added to s; K = 2 is σ(s₁ - s₂). The printed middle
    component, with e^{s_K} as its numerator, makes the sum of three differ from 1."""
    model = compiled("""
    net Normalised {
      input s: [3]
      input c: []
      output a = softmax(s)
      output moved = softmax(s + c)
      output two = softmax(s[:2])
      output difference = sigmoid(s[0] - s[1])
      output printed = [a[0], exp(s[2]) / sum(exp(s)), a[2]]
    }""")
    s = np.random.default_rng(4).normal(0, 3, (100, 3))
    found = model.forward(s, np.linspace(-1e3, 1e3, 100))
    np.testing.assert_allclose(found["a"].sum(1), 1, rtol=1e-14)
    np.testing.assert_allclose(found["moved"], found["a"], rtol=1e-11)
    np.testing.assert_allclose(found["two"][:, 0], found["difference"], rtol=1e-13)
    np.testing.assert_allclose(found["a"], np.exp(s) / np.exp(s).sum(1, keepdims=True), rtol=1e-13)
    assert np.mean(np.abs(found["printed"].sum(1) - 1) > 1e-3) > 0.9


@experiment("000.4.4c", where="`x |> dense(K, bias=false)`, `softmax`")
def test_000_4_4c_softmax_regression_separates_clusters():
    """K·D weights, rows of probabilities that sum to 1, and all of 90 points of three separated
    clusters right after 200 steps. One vector added to all rows of W changes nothing: the minimum
    is not unique."""
    model, X, y = softmax()
    model.params["s.dense.W"] = np.random.default_rng(5).normal(size=(2, 3))
    model.fit(X, y, batch=90, epochs=200, lr=0.01, progress=False)
    a = model.forward(X)
    np.testing.assert_allclose(a.sum(1), 1, rtol=1e-14)
    assert np.all(a.argmax(1) == y)
    before = model.evaluate(X, y)["loss"]
    model.params["s.dense.W"] = model.params["s.dense.W"] + [[3.0], [-2.0]]
    assert model.evaluate(X, y)["loss"] == pytest.approx(before, rel=1e-9)


@experiment("000.4.4d", "000.4.4d 000.4.4e", where="`cross_entropy`, `categorical_cross_entropy`")
def test_000_4_4d_the_gradient_of_the_categorical_cross_entropy():
    """R = -log Π a_k^{y_k} has the gradient Σ (a - y) xᵀ, by formula and by differences, from
    logits and from probabilities."""
    model, X, y = softmax()
    model.params["s.dense.W"] = W = np.random.default_rng(6).normal(size=(2, 3))
    objective, slope = gradients(model, X, y)
    a, code = model.forward(X), np.eye(3)[y]
    assert objective == pytest.approx(-np.sum(np.log(np.prod(a**code, axis=1))), rel=1e-12)
    np.testing.assert_allclose(slope["s.dense.W"], X.T @ (a - code), rtol=1e-10, atol=1e-12)
    by_differences = objective_differences(model, "s.dense.W", X, y)
    np.testing.assert_allclose(slope["s.dense.W"], by_differences, rtol=1e-6, atol=1e-8)
    loss = "categorical_cross_entropy(a, one_hot(y, K))"
    other = compiled(SOFTMAX.replace("cross_entropy(s, y)", loss))
    other.params["s.dense.W"] = W
    again, same = gradients(other, X, y)
    assert again == pytest.approx(objective, rel=1e-12)
    np.testing.assert_allclose(same["s.dense.W"], slope["s.dense.W"], rtol=1e-9, atol=1e-12)
