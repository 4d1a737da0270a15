"""Text 004, section 6.1: threshold logical units, NAND, XOR, and staircases."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from scipy.optimize import linprog

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

CORNERS = np.array([*product((0.0, 1.0), repeat=2)])
NAND, XOR = [1, 1, 1, 0], [0, 1, 1, 0]

GATES = """
## A threshold logical unit: 1 where w.x + b >= 0, else 0.
layer tlu(x: [n]) {
  param w: [n] = 1
  param b = 0
  return heaviside(sum(w * x) + b)
}

net Gates {
  input x: [2]
  layer nand = tlu
  hidden = x |> tlu
  xor = concat(x, stack(hidden)) |> tlu
  n = nand(x)
  output nand_out = n
  output xor_out = xor
  # XOR of NAND units alone
  l = nand(stack(x[0], n))
  r = nand(stack(x[1], n))
  output universal = nand(stack(l, r))
}
"""

MLP = """
net Xor {
  input  x: [2]
  target t: []
  z = x |> dense(3, act=sigmoid, init=normal(0, 1)) |> dense(1)
  output p = sigmoid(z[0])
  loss binary_cross_entropy_with_logits(z[0], t)
}
train { optimizer = sgd(lr = 5); batch = 4; epochs = 1000; seed = 2 }
"""

STAIRCASE = """
const N = 8

## Edges 0 … N of the bins of [lo, hi].
fn edges(lo, hi, N) = lo + iota(N + 1) * (hi - lo) / N

net Staircase {
  input x: []
  param from = 0.3
  param to = 0.7
  param h = 2
  output bump = h * (heaviside(x - from) - heaviside(x - to))
  param heights: [N] = 0
  s = edges(-1, 1, N)
  step = heaviside(x - s)
  bumps = step[:-1] - step[1:]
  output f0 = sum(heights * bumps)
}
"""

STEPS = """
net Steps {
  input  x: [3]
  target t: [2]
  h = x |> dense(6, act=heaviside)
  y = h |> dense(2, act=heaviside)
  output y
  loss half_squared_error(y, t)
}
train { optimizer = sgd(lr = 1); batch = 100; epochs = 5 }
"""


@cache
def gates() -> netc.Model:
    model = compiled(GATES)
    model.params["nand.tlu.w"], model.params["nand.tlu.b"] = [-1, -1], 1.5
    model.params["hidden.tlu.b"] = -1.5
    model.params["xor.tlu.w"], model.params["xor.tlu.b"] = [1, 1, -2], -0.5
    return model


@experiment(
    "E16",
    "004.6.1.a 004.6.1.b 004.6.1.c 004.6.1.d",
    where="`heaviside` of the prelude in a `layer` of one's own; `concat` for connections",
)
def test_e16_threshold_units_compute_nand_and_xor() -> None:
    """One unit with w = (-1, -1), b = 1.5 gives NAND, 1, 1, 1, 0; XOR, 0, 1, 1, 0, is one hidden
    unit and a connection around it, or four NAND units. At its boundary a unit gives 1."""
    found = gates().forward(CORNERS)
    assert found["nand_out"].tolist() == NAND
    assert found["xor_out"].tolist() == XOR
    assert found["universal"].tolist() == XOR
    assert gates().forward([[0.75, 0.75]])["nand_out"].tolist() == [1]


@experiment("E16", "004.6.1.d 004.6.1.e", where="a net forwarded over a grid of the plane")
def test_e16_the_boundary_of_xor_is_two_lines_and_no_single_line() -> None:
    """On a grid of 2,500 points the XOR net is 1 exactly between the lines x₀ + x₁ = 0.5 and 1.5
    and again beyond 2.5, and NAND is 1 below 1.5; by linear programming a line that separates
    exists for NAND and none for XOR."""
    axis = (np.arange(50) + 0.5) / 20 - 0.7
    grid = np.array([*product(axis, axis + 0.01)])
    total, found = grid.sum(axis=1), gates().forward(grid)
    np.testing.assert_array_equal(found["nand_out"], total < 1.5)
    np.testing.assert_array_equal(found["xor_out"], (np.abs(total - 1) < 0.5) | (total > 2.5))
    sides = np.c_[CORNERS, np.ones(4)]
    for table, possible in ((NAND, True), (XOR, False)):
        sign = 2 * np.array(table) - 1
        found = linprog(np.zeros(3), -sign[:, None] * sides, -np.ones(4), bounds=(None, None))
        assert (found.status == 0) == possible


@experiment("E16", "004.6.1.d", where="`dense(3, act=sigmoid)` trained by `sgd`")
def test_e16_a_net_of_sigmoid_units_learns_xor() -> None:
    """3 hidden sigmoid units learn XOR in 1,000 steps of rate 5: all four probabilities are within
    0.02 of the table."""
    model = compiled(MLP)
    model.fit(CORNERS, XOR, progress=False)
    np.testing.assert_allclose(model.forward(CORNERS), XOR, atol=0.02)


@cache
def staircase(bins: int) -> netc.Model:
    return compiled(STAIRCASE, defines={"N": bins})


def largest_error(bins: int, function) -> float:
    """The distance of a staircase of that many bins from a function on [-1, 1)."""
    model, edges = staircase(bins), np.linspace(-1, 1, bins + 1)
    model.params["heights"] = function((edges[:-1] + edges[1:]) / 2)
    x = np.linspace(-1, 1, 6401)[:-1] + 1e-9
    return float(np.abs(model.predict(x)["f0"] - function(x)).max())


@experiment("E17", "004.6.1.f", where="differences of `heaviside` units, weighted and summed")
def test_e17_staircases_of_threshold_units_come_near_any_function() -> None:
    """A bump is h on [s₁, s₂) and 0 elsewhere; staircases of 8, 16 and 32 bins are within
    Lip·w/2 of sin 5x (Lip 5), |x| - x² (Lip 3) and 2x, and the error of 2x halves to 1 %."""
    x = np.linspace(-1, 1, 401)
    bump = staircase(8).forward(x)["bump"]
    np.testing.assert_array_equal(bump, 2.0 * ((x >= 0.3) & (x < 0.7)))
    functions = {
        "sine": (lambda x: np.sin(5 * x), 5),
        "kink": (lambda x: np.abs(x) - x**2, 3),
        "line": (lambda x: 2 * x, 2),
    }
    for function, lipschitz in functions.values():
        errors = np.array([largest_error(bins, function) for bins in (8, 16, 32)])
        assert (errors <= lipschitz / np.array([8, 16, 32]) + 1e-8).all()
        assert (errors[:-1] / errors[1:] > 1.7).all()
    np.testing.assert_allclose(errors, 2 / np.array([8, 16, 32]), rtol=0.01)


@experiment("E18", "004.6.1.g", where="the slope of `heaviside` is 0 everywhere")
def test_e18_nets_of_step_units_get_no_gradient() -> None:
    """All gradients of a net of step units are exactly 0, as differences of the objective are, and
    5 epochs change nothing; yet moving one weight far enough makes the output jump by 1."""
    random = np.random.default_rng(0)
    x, t = random.normal(size=(50, 3)), random.normal(size=(50, 2))
    model = compiled(STEPS)
    before = model.params.flat
    model.forward(x, training=True)
    model.backward(t)
    assert not model.grads.flat.any()

    def objective(w: np.ndarray) -> float:
        model.params.flat = w
        return model.evaluate(x, t)["loss"]

    assert not differences(objective, before).any()
    model.params.flat = before
    model.fit(x, t, progress=False)
    np.testing.assert_array_equal(model.params.flat, before)
    outputs = []
    for shift in np.linspace(-3, 3, 61):
        model.params["y.dense.b"] = np.array([shift, 0])
        outputs.append(model.forward(x[:1])[0, 0])
    assert sorted(set(outputs)) == [0, 1]
    assert np.count_nonzero(np.diff(outputs)) == 1
