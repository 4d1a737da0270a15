"""Flat minimum search: a penalty of first derivatives, trained with second ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences, objective_differences

LINEAR = """
net Linear {
  input x: [2]
  param w: [2]
  output a = [sum(w * x)]
  loss 0 * sum(a)
  penalty batch_mean(flat_minimum(jacobian(a, w), eps=0.1))
}
"""


@experiment("X32", "000.8.9", where="`flat_minimum`, `jacobian(a, w)`")
def test_x32_a_linear_output_is_equally_flat_everywhere() -> None:
    """For a = wᵀx with x = (1, 2) and ε = 0.1 the penalty is 4.382027 for any w, its gradient 0."""
    model = compiled(LINEAR)
    for w in ([0.3, -1], [5, 0]):
        model.params["w"] = w
        model.forward([[1, 2]], training=True)
        assert model.backward() == pytest.approx(4.382027, abs=5e-7)
        assert (model.grads["w"] == 0).all()


BENT = """
net Bent {
  input x: [2]
  h = x |> dense(2, act=tanh)
  output a = h |> dense(2, act=sigmoid)
  J = jacobian(a, params)
  Ω = flat_minimum(J, eps=0.1)
  loss Ω
  output J
  output Ω
  u = stop_gradient(grad(Ω, J))
  output u
  output first = hvp(a[0], params, batch_mean(u[0]))
  output second = hvp(a[1], params, batch_mean(u[1]))
  output H0 = hessian(a[0], params)
  output H1 = hessian(a[1], params)
}
"""


@experiment("X32", "000.8.9", where="`loss flat_minimum(jacobian(a, params))`, `hvp`, `hessian`")
def test_x32_the_penalty_of_a_bent_net_and_its_gradient() -> None:
    """For two sigmoid outputs of a tanh net the penalty is (8.43) with k' in the inner sum (1e-12),
    its compiled gradient is the finite difference (1e-6) and Σ_k H^k ∂Ω/∂(∂a_k/∂w), by products
    with the Hessians and by the explicit Hessians (8.45, 1e-10)."""
    model = compiled(BENT)
    draw = np.random.default_rng(0)
    model.params.flat = draw.normal(size=model.params.flat.size)
    x = draw.normal(size=(1, 2))
    found = model.forward(x)
    jacobian = found["J"][0]
    size = model.params.flat.size

    def flat(J: np.ndarray) -> float:
        lengths = (J**2).sum(axis=0)
        shares = np.abs(J / np.sqrt(lengths)).sum(axis=1)
        logs = -size * np.log(0.1) + np.log(lengths).sum() + size * np.log((shares**2).sum())
        return 0.5 * logs

    assert found["Ω"][0] == pytest.approx(flat(jacobian), rel=1e-12)
    assert np.allclose(found["u"][0], differences(flat, jacobian), rtol=1e-5, atol=1e-6)
    model.forward(x, training=True)
    model.backward()
    gradient = np.array(model.grads.flat)
    numeric = [objective_differences(model, name, x).ravel() for name in model.params]
    assert np.allclose(gradient, np.concatenate(numeric), rtol=1e-6, atol=1e-7)
    products = found["first"][0] + found["second"][0]
    explicit = sum(found[f"H{k}"][0] @ found["u"][0, k] for k in (0, 1))
    assert np.allclose(products, explicit, rtol=1e-10, atol=1e-12)
    assert np.allclose(gradient, products, rtol=1e-10, atol=1e-12)


SEARCH = """
const strength = 0
net Search {
  input  x: [2]
  target y: [1]
  h = x |> dense(6, act=tanh)
  p = h |> dense(1)
  output p
  loss squared_error(p, y)
  penalty strength * batch_mean(flat_minimum(jacobian(p, params)))
  output J = jacobian(p, params)
}
train { optimizer = adam(lr = 0.01); batch = 20; epochs = 2000 }
"""


@experiment("X32", "000.8.9", where="`penalty batch_mean(flat_minimum(…))`")
def test_x32_the_search_switches_weights_off_and_accepts_large_ones() -> None:
    """A net of 25 weights trained with the penalty still fits (mean squared error below 0.01), but
    the output hardly depends on at least 10 of them (root mean square of ∂a/∂w below 0.05; at most
    3 without the penalty), and, unlike with decay, some weights are larger than 5."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(20, 2))
    y = np.tanh(x[:, :1] - x[:, 1:])
    flat, largest = [], []
    for strength in (0, 1e-3):
        model = compiled(SEARCH, defines={"strength": strength})
        model.fit(x, y, progress=False)
        assert model.evaluate(x, y)["loss"] < 0.01
        influence = np.sqrt(np.mean(model.forward(x)["J"][:, 0] ** 2, axis=0))
        flat.append(int(np.sum(influence < 0.05)))
        largest.append(np.abs(model.params.flat).max())
    assert flat[0] <= 3, flat
    assert flat[1] >= 10, flat
    assert largest[0] < 5 < largest[1], largest
