"""Minima, convexity, closed forms, grids and populations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brute, differential_evolution

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

DOUBLE_WELL = """
## Every element is a start of its own.
net DoubleWell {
  param w: [200] = uniform(-2, 2)
  f = w^4 - 2 * w^2 + 0.3 * w
  output f
  penalty sum(f)
}
train { optimizer = sgd(lr=0.02) }
"""


@experiment(
    "S12", "002.4.1 003.7.0", where="`fit` of many starts at once, as elements of a `param`"
)
def test_s12_many_starts_on_a_double_well_end_in_its_two_minima() -> None:
    """200 starts end in two minima, f = -1.3054 and -0.7059; a single start may find the worse."""
    model = compiled(DOUBLE_WELL)
    first = model.params["w"].copy()
    for _ in range(2000):
        model.step()
    w, f = model.params["w"], model.forward()[0]
    roots = np.roots([4, 0, -4, 0.3]).real
    low, top, high = np.sort(roots)
    np.testing.assert_allclose(w, np.where(first < top, low, high), atol=1e-8)
    values = np.polyval([1, 0, -2, 0.3, 0], [low, high])
    np.testing.assert_allclose([f.min(), f.max()], values, rtol=1e-12)
    np.testing.assert_allclose(values, [-1.3054, -0.7059], atol=5e-5)
    assert np.isclose(f, values[1]).sum() in range(50, 150)


CONVEX = """
const hidden = 0
net Cost {
  input x: [2]
  target y: [1]
  h = if hidden > 0 then x |> dense(hidden, act=tanh) else x
  z = h |> dense(1)
  output z
  loss binary_cross_entropy_with_logits(z, y)
}
"""


@experiment("S12", "002.4.2 003.3.4 003.7.6", where="`params.flat`: all parameters as one vector")
def test_s12_the_logistic_cost_lies_below_its_chords_and_a_two_layer_cost_does_not() -> None:
    """300 random chords: none is crossed by logistic regression, some by a net with two layers."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(20, 2))
    y = (x.prod(1, keepdims=True) > 0) * 1.0
    worst = []
    for hidden in (0, 3):
        model = compiled(CONVEX, defines={"hidden": hidden})

        def cost(w: np.ndarray, model=model) -> float:
            model.params.flat = w
            return model.evaluate(x, y)["loss"]

        excess = []
        for _ in range(300):
            a, b = draw.normal(0, 2, (2, model.params.flat.size))
            t = draw.uniform()
            excess.append(cost(t * a + (1 - t) * b) - t * cost(a) - (1 - t) * cost(b))
        worst.append(max(excess))
    assert worst[0] < 1e-12
    assert worst[1] > 0.1


LEAST_SQUARES = """
net LeastSquares {
  input a: [4]
  target y: [1]
  param theta: [4] = 0
  p = sum(a * theta)
  output p
  loss squared_error(p, y)
}
train { optimizer = sgd(lr=0.2) }
"""


@experiment("S13", "002.4.3.1 002.4.3.4", where="`squared_error` of the prelude with `sgd`")
def test_s13_gradient_descent_ends_at_the_least_squares_solution() -> None:
    """The limit of gradient descent is (AᵀA)⁻¹Aᵀy to 1e-8."""
    draw = np.random.default_rng(1)
    a, y = draw.normal(size=(30, 4)), draw.normal(size=(30, 1))
    model = compiled(LEAST_SQUARES)
    for _ in range(500):
        model.step(a, y)
    np.testing.assert_allclose(
        model.params["theta"], np.linalg.solve(a.T @ a, a.T @ y)[:, 0], atol=1e-8
    )


BOWL = """
const n = 2
net Bowl {
  input theta: [n]
  output f = sum((1 + iota(n)) * (theta - 0.5)^2) + 0.1 * sum(1 - cos(8 * (theta - 0.5)))
}
"""


@experiment("S13", "002.4.3.2", where="`scipy.optimize.brute` calls the compiled net")
def test_s13_a_grid_costs_points_to_the_power_of_dimensions() -> None:
    """5 points for each of d axes are 5, 25, 125 evaluations, and the best is that of the grid."""
    for n in (1, 2, 3):
        model = compiled(BOWL, defines={"n": n})
        calls = 0

        def f(theta: np.ndarray, model=model, n=n) -> float:
            nonlocal calls
            calls += 1
            return float(model.forward(theta.reshape(1, n))[0])

        grid = (slice(-1, 1.1, 0.5),) * n
        found, least, _, values = brute(f, grid, full_output=True, finish=None)
        assert calls == np.size(values) == 5**n
        np.testing.assert_allclose(found, 0.5)
        assert least == pytest.approx(0, abs=1e-15)


EVOLVED = """
net Evolved {
  input theta: [10]
  param w: [10] = -1
  output f = sum((1 + iota(10)) * (theta - 0.3)^2)
  penalty sum((1 + iota(10)) * (w - 0.3)^2)
}
train { optimizer = sgd(lr=0.05) }
"""


@experiment(
    "S13",
    "002.4.3.3 002.4.3.4",
    where="`scipy.optimize.differential_evolution` over populations as batches",
)
def test_s13_evolution_finds_what_gradients_find_with_far_fewer_evaluations() -> None:
    """10 parameters: a population with mutation and crossover needs 50 times the evaluations."""
    model = compiled(EVOLVED)
    evaluations, generations = 0, []

    def costs(population: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += population.shape[1]
        f = model.forward(population.T)
        generations.append(f.min())
        return f

    found = differential_evolution(
        costs,
        [(-2, 2)] * 10,
        maxiter=120,
        popsize=8,
        seed=0,
        polish=False,
        vectorized=True,
        updating="deferred",
    )
    assert found.fun < 1e-2 * generations[0]
    steps = 0
    while model.step(np.zeros((1, 10))) > found.fun:
        steps += 1
    assert evaluations > 50 * 2 * steps
