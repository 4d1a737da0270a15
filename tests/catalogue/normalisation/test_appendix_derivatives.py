"""Appendix B: the rules of matrix derivatives, and appendix C: linear models are convex."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import softmax

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

RULES = """
net Rules {
  input t: []
  input x: [3]
  input a: [3]
  param W: [2, 3]
  param V: [3, 2]
  A = W * t + W^2
  B = sin(V * t)
  output inner = grad(sum(x * a), x)
  output inner_row = jacobian([sum(x * a)], x)
  output product = jacobian(A @ B, t)
  output apart = jacobian(A, t) @ B + A @ jacobian(B, t)
  g = tanh(V' @ tanh(x))
  f = W' @ g^2
  output chain = jacobian(f, x)
  output links = jacobian(f, g) @ jacobian(g, x)
  output columns = jacobian(W @ tanh(x), x)
}
"""


@experiment("X8", "000.B.0", where="`jacobian`, `grad` of tensor expressions")
def test_x8_rules_of_matrix_derivatives() -> None:
    """d(xᵀa)/dx = a, as a Jacobian the row aᵀ; d(AB)/dt = A'B + AB'; a chain is the product of its
    Jacobians; d(W f(x))/dx = W diag(f'(x)) (B.6 to B.18), all to 1e-12."""
    model = compiled(RULES)
    draw = np.random.default_rng(0)
    t, x, a = draw.normal(size=4), draw.normal(size=(4, 3)), draw.normal(size=(4, 3))
    found, w, v = model.forward(t, x, a), model.params["W"], model.params["V"]
    assert (found["inner"] == a).all()
    assert (found["inner_row"] == a[:, None, :]).all()
    assert np.allclose(found["product"], found["apart"], rtol=1e-12)
    by_hand = w @ np.sin(v * t[0]) + (w * t[0] + w**2) @ (v * np.cos(v * t[0]))
    assert np.allclose(found["product"][0], by_hand, rtol=1e-12)
    assert np.allclose(found["chain"], found["links"], rtol=1e-12)
    assert np.allclose(found["columns"], w * (1 - np.tanh(x) ** 2)[:, None, :], rtol=1e-12)
    g = np.tanh(v.T @ np.tanh(x[0]))
    steps = (w.T * (2 * g)) @ np.diag(1 - g**2) @ (v.T * (1 - np.tanh(x[0]) ** 2))
    assert np.allclose(found["chain"][0], steps, rtol=1e-12)


LINEAR = """
const decay = 0
net Linear {{
  input  x: [3]
  target y: {target}
  param w: {shape}
  output g = {model}
  e = {loss}
  loss e
  R = batch_sum(e) + decay / 2 * sum(w^2)
  output gradient = grad(R, w)
  output H = hessian(R, w)
}}
train {{ optimizer = sgd(lr = 0.3) }}
"""


@cache
def linear(loss: str, shape: str, target: str, decay: float) -> netc.Model:
    model = "w @ x" if "," in shape else "[sum(w * x)]"
    text = LINEAR.format(loss=loss, shape=shape, target=target, model=model)
    return compiled(text, defines={"decay": decay})


def analysed(model: netc.Model, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian of the sum over the samples, the weights as one vector."""
    outputs = model.forward(x)
    found = {**(outputs if isinstance(outputs, dict) else {}), **model.evaluate(x, y)}
    size = model.params["w"].size
    return found["gradient"][0].ravel(), found["H"][0].reshape(size, size)


DRAW = np.random.default_rng(1)
X = DRAW.normal(size=(20, 3))


@experiment("X9", "000.C.1", where="`half_squared_error`, `hessian`")
def test_x9_linear_regression_is_convex() -> None:
    """Of ½ Σ (y - wᵀx)² the gradient is Xᵀ(Xw - y) and the Hessian XᵀX to 1e-10, with no negative
    eigenvalue; gradient descent ends at the solution of the normal equations (1e-9)."""
    model = linear("half_squared_error(g, y)", "[3]", "[1]", 0)
    y = DRAW.normal(size=(20, 1))
    w = np.array([0.5, -1, 2])
    model.params["w"] = w
    gradient, hessian = analysed(model, X, y)
    assert np.allclose(gradient, X.T @ (X @ w - y[:, 0]), rtol=1e-12)
    assert np.abs(hessian - X.T @ X).max() < 1e-10
    assert np.linalg.eigvalsh(hessian).min() >= -1e-10
    model.fit(X, y, epochs=400, batch=20, progress=False)
    assert np.allclose(model.params["w"], np.linalg.solve(X.T @ X, X.T @ y[:, 0]), atol=1e-9)


@experiment("X10", "000.C.2", where="`logistic`, `hessian`")
def test_x10_logistic_regression_is_convex() -> None:
    """With labels ±1 gradient and Hessian are -Σ y x (1 - p) and Σ x xᵀ p (1 - p) (1e-12) and
    finite differences; at w = 0 they are -½ Σ y x and ¼ XᵀX. The Hessian has no negative eigenvalue
    but may have 0 ones, so it is strictly convex only with ½ wᵀw: then all are at least 1."""
    loss = "logistic(g, y)"
    y = np.sign(DRAW.normal(size=(20, 1)))
    model = linear(loss, "[3]", "[1]", 0)
    for w in (np.zeros(3), np.array([0.5, -1, 2])):
        model.params["w"] = w
        gradient, hessian = analysed(model, X, y)
        p = 1 / (1 + np.exp(-y[:, 0] * (X @ w)))
        assert np.allclose(gradient, -X.T @ (y[:, 0] * (1 - p)), rtol=1e-12)
        assert np.allclose(hessian, (X.T * p * (1 - p)) @ X, rtol=1e-12)
        if not w.any():
            assert np.allclose(gradient, -0.5 * X.T @ y[:, 0], rtol=1e-12)
            assert np.allclose(hessian, X.T @ X / 4, rtol=1e-12)
        assert np.linalg.eigvalsh(hessian).min() >= 0

    def slope(at: np.ndarray) -> np.ndarray:
        model.params["w"] = at
        return analysed(model, X, y)[0]

    assert np.allclose(differences(slope, w), hessian, rtol=1e-6)
    flat = X * [1, 1, 0]
    assert np.linalg.eigvalsh(analysed(model, flat, y)[1])[0] == 0
    decayed = linear(loss, "[3]", "[1]", 1)
    assert np.linalg.eigvalsh(analysed(decayed, flat, y)[1]).min() >= 1 - 1e-12


@experiment("X11", "000.C.2.1", where="`cross_entropy`, `hessian`, `jacobian`")
def test_x11_softmax_regression_is_convex() -> None:
    """For K = 4, D = 3, N = 7 the gradient is (P - Y)ᵀX, the Hessian Σ x x p_k ([k = v] - p_v) and
    the finite difference (1e-8), with D = 3 eigenvalues of 0; ½ Σ wᵀw lifts all to 1 or more."""
    loss = "cross_entropy(g, y)"
    x, y = X[:7], np.array([0, 1, 2, 3, 0, 1, 1])
    model = linear(loss, "[4, 3]", "class[4]", 0)
    w = DRAW.normal(size=(4, 3))
    model.params["w"] = w
    gradient, hessian = analysed(model, x, y)
    p = softmax(x @ w.T, axis=1)
    assert np.allclose(gradient, ((p - np.eye(4)[y]).T @ x).ravel(), rtol=1e-12)
    spread = np.eye(4) * p[:, :, None] - p[:, :, None] * p[:, None, :]
    expected = np.einsum("ikv,im,in->kmvn", spread, x, x).reshape(12, 12)
    assert np.allclose(hessian, expected, rtol=0, atol=1e-12)

    def slope(at: np.ndarray) -> np.ndarray:
        model.params["w"] = at.reshape(4, 3)
        return analysed(model, x, y)[0]

    assert np.allclose(differences(slope, w.ravel()), hessian, atol=1e-8)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert (np.abs(eigenvalues[:3]) < 1e-12).all()
    assert eigenvalues[3] > 1e-3
    decayed = linear(loss, "[4, 3]", "class[4]", 1)
    decayed.params["w"] = w
    assert np.linalg.eigvalsh(analysed(decayed, x, y)[1]).min() >= 1 - 1e-12


CLASSES = """
net Classes {
  input x: [3]
  param W: [4, 3] = normal(0, 1)
  p = softmax(W @ x)
  output p
  output J = jacobian(p, W)
}
"""


@experiment("X11", "000.C.2.1", where="`jacobian(softmax(W @ x), W)`")
def test_x11_a_class_takes_from_the_others() -> None:
    """dp_k / dw_vm = x_m p_k ([k = v] - p_v): minus x p p for k ≠ v, so that the sum over k is 0
    within 1e-15; with the plus sign of (C.13) it is not."""
    model = compiled(CLASSES)
    found = model.forward(X)
    p, jacobian = found["p"], found["J"]
    spread = np.eye(4) * p[:, :, None] - p[:, :, None] * p[:, None, :]
    assert np.allclose(jacobian, np.einsum("ikv,im->ikvm", spread, X), rtol=0, atol=1e-14)
    assert np.allclose(jacobian.sum(axis=1), 0, atol=1e-15)
    printed = np.einsum("ikv,im->ikvm", np.abs(spread), X)
    assert np.abs(printed.sum(axis=1)).max() > 0.1
