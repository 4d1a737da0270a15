"""Growing nets: cascade correlation, and carrying what was learned into a larger net."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from netc.procedures.growing import CANDIDATES, carry, cascade_correlation
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, objective_differences

DRAW = np.random.default_rng(0)
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
XOR = np.array([[0], [1], [1], [0]], float)


@experiment("X24", "000.8.6.1", where="`growing.CANDIDATES`: a penalty of batch sums")
def test_x24_the_sign_of_the_correlation_stands_inside_the_sum() -> None:
    """With residuals that correlate in opposite directions the compiled gradient of C (8.22) is the
    finite difference and has each output's sign inside the sum; (8.24) as printed, with one sign
    before the sum, is wrong for either sign."""
    model = compiled(CANDIDATES, defines={"width": 3, "outputs": 2, "pool": 1}, seed=1)
    a = DRAW.normal(size=(12, 3))
    v = np.tanh(a @ model.params["v.dense.W"])[:, 0]
    e = np.stack([v, -0.5 * v], axis=1) + 0.2 * DRAW.normal(size=(12, 2))
    reached = model.evaluate(a, e)["C"][0]
    s, centred = v - v.mean(), e - e.mean(axis=0)
    assert reached == pytest.approx(np.abs(s @ centred).sum(), rel=1e-12)

    model.forward(a, training=True)
    assert model.backward(e) == pytest.approx(-reached[0], rel=1e-12)
    found = -model.grads["v.dense.W"][:, 0]
    by_output = (a * (1 - v**2)[:, None]).T @ centred
    signs = np.sign(s @ centred)
    assert {*signs} == {-1, 1}
    differences = -objective_differences(model, "v.dense.W", a, e)[:, 0]
    assert np.allclose(found, by_output @ signs, rtol=1e-9)
    assert np.allclose(found, differences, rtol=1e-6)
    for sign in (-1, 1):
        assert np.abs(sign * by_output.sum(axis=1) - differences).max() > 0.3


@experiment("X25", "000.8.6 000.8.6.1", where="`growing.cascade_correlation`")
def test_x25_one_unit_of_a_cascade_solves_xor() -> None:
    """The linear start predicts 0.5 everywhere with a mean squared error of 0.25; one tanh unit,
    its output solved for by least squares, leaves less than 1e-25."""
    start = cascade_correlation(CORNERS, XOR, units=0)
    assert np.allclose(start.model.predict(CORNERS)["p"], 0.5, atol=1e-12)
    assert start.errors == pytest.approx((0.25,), rel=1e-12)
    one = cascade_correlation(CORNERS, XOR, units=2, steps=50, tolerance=1e-25)
    assert len(one.errors) == 2
    assert one.errors[1] < 1e-25
    assert np.allclose(one.model.predict(CORNERS)["p"], XOR, atol=1e-12)


@experiment("X25", "000.8.6 000.8.6.1", where="`growing.cascade_correlation`")
def test_x25_units_of_a_cascade_are_frozen_and_read_by_later_ones() -> None:
    """The first unit of a cascade of two has bit for bit the weights of the cascade of one; the
    second reads the inputs and the first unit, and each unit lowers the training error."""
    x = DRAW.normal(size=(40, 2))
    y = np.stack([np.sin(2 * x[:, 0]), x[:, 0] * x[:, 1]], axis=1)
    one, two = (cascade_correlation(x, y, units=units, pool=4, steps=60) for units in (1, 2))
    first = "a.repeat_1.with_unit.dense."
    for name in (first + "W", first + "b"):
        assert one.model.params[name].tobytes() == two.model.params[name].tobytes()
    assert one.model.params[first + "W"].shape == (2, 1)
    assert two.model.params["a.repeat_2.with_unit.dense.W"].shape == (3, 1)
    assert two.errors[0] > 1.1 * two.errors[1] > 1.21 * two.errors[2]
    assert one.errors == two.errors[:2]
    linear = np.linalg.lstsq(np.c_[x, np.ones(40)], y, rcond=None)[0]
    errors = np.c_[x, np.ones(40)] @ linear - y
    pool = compiled(CANDIDATES, defines={"width": 2, "outputs": 2, "pool": 4})
    pool.fit(x, errors, epochs=60, batch=40, shuffle=False, progress=False)
    assert one.correlations[0] == pytest.approx(pool.evaluate(x, errors)["C"][0].max(), rel=1e-6)
    a, p = (two.model.predict(x)[name] for name in ("a", "p"))
    reads = np.hstack([x, a[:, 2:3]]) @ two.model.params["a.repeat_2.with_unit.dense.W"]
    bias = two.model.params["a.repeat_2.with_unit.dense.b"]
    assert np.allclose(a[:, 3:], np.tanh(reads + bias), atol=1e-12)
    residual = p - y
    assert np.allclose(a.T @ residual, 0, atol=1e-9), "the output layer solves least squares"


WIDER = """
const hidden = 3
net Wider {
  input  x: [2]
  target y: [1]
  h = x |> dense(hidden, act=tanh)
  p = h |> dense(1)
  output p
  loss squared_error(p, y)
}
"""


@experiment("X25", "000.8.6", where="`growing.carry`")
def test_x25_a_wider_net_starts_from_what_the_smaller_one_computes() -> None:
    """A layer of 3 units grown to 5, with outgoing weights of 0 for the new ones, computes the same
    as before to 1e-15, and the new units have a gradient to learn from."""
    small, large = (compiled(WIDER, defines={"hidden": hidden}) for hidden in (3, 5))
    assert carry(small, large) == []
    large.params["p.dense.W"][3:] = 0
    x = DRAW.normal(size=(7, 2))
    assert np.allclose(small.forward(x), large.forward(x), rtol=0, atol=1e-15)
    large.forward(x, training=True)
    large.backward(np.ones((7, 1)))
    assert np.abs(large.grads["p.dense.W"][3:]).min() > 0
    with pytest.raises(netc.UsageError, match="does not grow"):
        carry(large, small)
