"""Linear neurons: least squares in closed form, by Newton's method and by gradient descent."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from netc.procedures import newton
from tests.catalogue.architectures.support import gradients
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

REGRESSION = """
const d = 5
net Regression {
  input  x: [d]
  target y: []
  param  w: [d] = normal(0, 1)
  a = x @ w
  output a
  output alpha = a - y
  output H = hessian(objective, params)
  loss batch_size * half_squared_error(a, y)
}
train { optimizer = sgd() }
"""
"""S(w), half the sum of the squared residuals, over a full batch."""


@cache
def regression():
    """The net with five weights, 50 samples, and the solution of the normal equations."""
    random = np.random.default_rng(1)
    X, y = random.normal(size=(50, 5)), random.normal(size=50)
    return compiled(REGRESSION), X, y, np.linalg.inv(X.T @ X) @ X.T @ y


@experiment(
    "000.4.1d", "000.1a 000.4.1d", where="`hessian(objective, params)`, `netc.procedures.newton`"
)
def test_000_4_1d_one_newton_step_is_the_least_squares_estimator():
    """From any w, one step with the compiled Hessian XᵀX ends at (XᵀX)⁻¹Xᵀy; there the gradient is
    0 to 1e-12, and the pseudo-inverse times X is I₅, not the I₅₀ that an index m would mean."""
    model, X, y, closed = regression()
    model.params["w"] = np.random.default_rng(2).normal(size=5)
    H = newton.curvature(model, X, y)
    np.testing.assert_allclose(H, X.T @ X, rtol=1e-12)
    newton.minimise(model, X, y, steps=1)
    np.testing.assert_allclose(model.params["w"], closed, rtol=1e-10)
    assert np.max(np.abs(model.grads["w"])) < 1e-12
    np.testing.assert_allclose(np.linalg.inv(H) @ X.T @ X, np.eye(5), atol=1e-12)
    with pytest.raises(netc.UsageError, match="no output `G` of shape"):
        newton.minimise(model, X, y, hessian="G", tolerance=0)


@experiment("000.4.1c", where="`batch_size * half_squared_error(a, y)`: a sum, with the half")
def test_000_4_1c_residual_sum_of_squares_and_its_gradient():
    """S = ½ Σ (y - wᵀx)² = ½ (y - Xw)ᵀ(y - Xw) has the gradient Xᵀ(Xw - y), by formula and by
    differences; at the minimum with a constant feature total = explained + residual squares."""
    model, X, y, _ = regression()
    X = np.column_stack([X[:, :4], np.ones(50)])
    model.params["w"] = w = np.random.default_rng(3).normal(size=5)
    objective, slope = gradients(model, X, y)
    assert objective == pytest.approx(0.5 * np.sum((y - X @ w) ** 2), rel=1e-12)
    np.testing.assert_allclose(slope["w"], X.T @ (X @ w - y), rtol=1e-11)
    np.testing.assert_allclose(slope["w"], objective_differences(model, "w", X, y), rtol=1e-7)
    residual = 2 * newton.minimise(model, X, y)[-1]
    explained = np.sum((model.forward(X)["a"] - y.mean()) ** 2)
    assert explained + residual == pytest.approx(np.sum((y - y.mean()) ** 2), rel=1e-12)


@experiment("000.4.1e", "000.1b 000.4.1e", where="`sgd` with a full batch")
def test_000_4_1e_gradient_descent_reaches_the_closed_form():
    """w ← w - η Xᵀ(Xw - y) with η = 0.02 ends at the closed form to 1e-9; one step of a single
    sample is -η (wᵀx - y) x; η just above 2 / λmax(XᵀX) diverges, just below it converges."""
    model, X, y, closed = regression()
    start = np.random.default_rng(4).normal(size=5)
    model.params["w"] = start
    model.fit(X, y, lr=0.02, batch=50, epochs=300, progress=False)
    np.testing.assert_allclose(model.params["w"], closed, atol=1e-9)
    model.params["w"] = start
    model.fit(X[:1], y[:1], lr=0.02, batch=1, epochs=1, progress=False)
    step = -0.02 * (X[0] @ start - y[0]) * X[0]
    np.testing.assert_allclose(model.params["w"] - start, step, rtol=1e-11)
    limit = 2 / np.linalg.eigvalsh(X.T @ X).max()
    for factor, grows in ((0.98, False), (1.02, True)):
        model.params["w"] = start
        model.fit(X, y, lr=factor * limit, batch=50, epochs=300, progress=False)
        distance = np.linalg.norm(model.params["w"] - closed)
        assert (distance > np.linalg.norm(start - closed)) == grows


@experiment("000.4.1f", where="an `output` that depends on the target, from `model.evaluate`")
def test_000_4_1f_samples_pull_in_proportion_to_their_residuals():
    """The compiled gradient is Σ αⁿ xⁿ with the named value αⁿ = wᵀxⁿ - yⁿ, and moving one label
    by 1000 makes that sample's |α| the largest and turns the gradient to its x (cosine > 0.99)."""
    model, X, y, _ = regression()
    model.params["w"] = np.random.default_rng(5).normal(size=5)
    far = y.copy()
    far[7] += 1000
    for labels in (y, far):
        alpha = model.evaluate(X, labels)["alpha"]
        g = gradients(model, X, labels)[1]["w"]
        np.testing.assert_allclose(g, sum(a * x for a, x in zip(alpha, X, strict=True)), rtol=1e-11)
    assert np.argmax(np.abs(alpha)) == 7
    assert -g @ X[7] / np.linalg.norm(g) / np.linalg.norm(X[7]) > 0.99


@experiment("000.4.1a", "000.4.1a 000.4.1b", where="`x |> dense(1)`, the bias being w₀")
def test_000_4_1a_a_noisy_line_is_recovered():
    """200 points of 1.5 - 0.7 x with noise of standard deviation 0.2 give w₀ and w₁ within four
    standard errors; the net with a bias and the linear neuron wᵀx with a constant feature agree."""
    random = np.random.default_rng(6)
    x = random.uniform(-2, 2, 200)
    y = 1.5 - 0.7 * x + random.normal(0, 0.2, 200)
    line = compiled("""
    net Line {
      input x: [1]
      target y: [1]
      a = x |> dense(1)
      output a
      loss half_squared_error(a, y)
    }
    train { optimizer = sgd(lr=0.5) }""")
    line.fit(x, y, batch=200, epochs=200, progress=False)
    fitted = np.array([line.params["a.dense.b"][0], line.params["a.dense.W"][0, 0]])
    neuron = compiled(REGRESSION, defines={"d": 2})
    features = np.column_stack([np.ones(200), x])
    newton.minimise(neuron, features, y)
    np.testing.assert_allclose(fitted, neuron.params["w"], atol=1e-9)
    errors = 0.2 * np.sqrt(np.diag(np.linalg.inv(features.T @ features)))
    assert np.all(np.abs(fitted - [1.5, -0.7]) < 4 * errors)


@experiment("000.4.1g", where="`x |> dense(3, bias=false)`")
def test_000_4_1g_three_tasks_are_three_regressions():
    """K = 3 linear outputs with Gaussian noise in the model learn the same weights as three single
    regressions, to 1e-9; inference adds the noise only where the text says so."""
    _, X, _, _ = regression()
    Y = np.random.default_rng(7).normal(size=(50, 3))
    tasks = compiled("""
    net Tasks {
      input x: [5]
      target y: [3]
      a = x |> dense(3, bias=false)
      noisy = a + normal(0, 0.5, [3])
      output a
      output noisy
      output H = hessian(objective, params)
      loss batch_size * half_squared_error(a, y)
    }
    train { optimizer = sgd(lr=0.02) }""")
    tasks.fit(X, Y, batch=50, epochs=300, progress=False)
    single, _, _, _ = regression()
    for k in range(3):
        single.params["w"] = np.zeros(5)
        single.fit(X, Y[:, k], lr=0.02, batch=50, epochs=300, progress=False)
        np.testing.assert_allclose(tasks.params["a.dense.W"][:, k], single.params["w"], atol=1e-9)
    out = tasks.forward(np.tile(X, (100, 1)))
    noise = out["noisy"] - out["a"]
    assert abs(noise.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * noise.size)
