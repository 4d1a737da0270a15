"""Text 004, section 7.4: the learning-rate range test, and schedules."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from netc.procedures.rates import range_test
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

LINEAR = """
net Linear {
  input  x: [5]
  target t: []
  y = sum(x |> dense(1, init=zeros))
  loss half_squared_error(y, t)
}
train { optimizer = momentum(lr = 0.01 * exponential_decay(0.5), beta = 0); batch = 16 }
"""

SCHEDULES = """
net Schedules {
  input x: []
  param one = 0
  param three = 0
  param grows = 0
  param power = 0
  param exponential = 0
  param steps_down = 0
  loss -(one + three + grows + power + exponential + steps_down)
}
train {
  optimizer("one")         = sgd(lr = 0.1 * one_cycle(last = 1e-5, over = 100))
  optimizer("three")       = sgd(lr = 0.1 * one_cycle(last = 1e-5, over = 100, cycles = 3))
  optimizer("grows")       = sgd(lr = range_test(growth = 1.3))
  optimizer("power")       = sgd(lr = 0.2 * power_decay(20, c = 2, t = step - 1))
  optimizer("exponential") = sgd(lr = 0.2 * exponential_decay(0.1, every = 20, t = step - 1))
  optimizer("steps_down")  = sgd(lr = piecewise([30, 70], [0.1, 0.01, 0.002], t = step))
}
"""
"""Every gradient is -1, so that a step adds its rate to the parameter."""


@cache
def linear() -> netc.Model:
    return compiled(LINEAR)


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 5)) * [1, 0.5, 2, 1, 0.7]
    return x, x @ [1, -1, 0.5, 2, 0] + 0.5 * random.normal(size=300)


def steepest(x: np.ndarray) -> float:
    """The largest eigenvalue of the Hessian of half the mean squared error, bias included."""
    design = np.c_[np.ones(len(x)), x]
    return float(np.linalg.eigvalsh(design.T @ design / len(x))[-1])


@experiment("E28", "004.7.4.a", where="`netc.procedures.rates.range_test`")
@pytest.mark.parametrize("batch", [300, 16])
def test_e28_the_range_test_finds_where_a_linear_net_diverges(batch: int) -> None:
    """For linear regression on 300 data the critical rate in minibatches of 16 is between 1/3 and 2
    times 2/λ_max, in full batches, which converge first and so diverge late, between 1 and 5 times;
    the rates are 1e-6 · 1.05ⁱ. A tenth of it trains to within 1 % of the least loss, 3 times
    2/λ_max diverges."""
    x, t = data()
    model, bound = linear(), 2 / steepest(x)
    model.params.flat = np.zeros(6)
    found = range_test(model, x, t, batch=batch, memory=0 if batch == 300 else 0.9)
    np.testing.assert_allclose(found.rates, 1e-6 * 1.05 ** np.arange(len(found.rates)), rtol=1e-12)
    low, high = (1, 5) if batch == 300 else (1 / 3, 2)
    assert low < found.critical / bound < high
    assert found.suggested == found.critical / 10
    assert found.losses.argmin() > len(found.losses) / 2
    epochs = 200 if batch == 300 else 30
    model.fit(x, t, batch=batch, epochs=epochs, lr=found.suggested, progress=False)
    design = np.c_[np.ones(300), x]
    least = np.mean((design @ np.linalg.lstsq(design, t)[0] - t) ** 2) / 2
    assert model.evaluate(x, t)["loss"] < 1.01 * least
    model.params.flat = np.zeros(6)
    model.fit(x, t, batch=batch, epochs=20, lr=3 * bound, progress=False)
    assert not model.evaluate(x, t)["loss"] < 1000


@experiment("E28", "004.7.4.a", where="`netc.procedures.rates.range_test`")
def test_e28_the_range_test_leaves_the_model_as_it_was() -> None:
    """After a range test parameters, optimizer states, step counter and rate are what they were:
    the next 5 steps are bit for bit those of a model that had none. Without divergence there is no
    critical rate; rates out of range are errors."""
    x, t = data()
    model, other = linear(), compiled(LINEAR)
    model.params.flat = other.params.flat
    range_test(model, x, t)
    for _ in range(5):
        assert model.step(x, t) == other.step(x, t)
    np.testing.assert_array_equal(model.params.flat, other.params.flat)
    np.testing.assert_array_equal(model.optimizer_state.flat, other.optimizer_state.flat)
    short = range_test(model, x, t, most=1e-4)
    assert short.critical is None
    assert short.suggested is None
    assert len(short.rates) == 95
    for wrong in ({"growth": 1.0}, {"start": -1.0}, {"number": "rate"}, {"memory": 1.0}):
        with pytest.raises(netc.UsageError):
            range_test(model, x, t, **wrong)


@cache
def rates() -> dict[str, np.ndarray]:
    """The rates of steps 1 … 100 of every schedule."""
    model = compiled(SCHEDULES)
    path = []
    for _ in range(101):
        path.append(model.params.flat)
        model.step([0.0])
    return dict(zip(model.params, np.diff(path, axis=0).T, strict=True))


@experiment("E29", "004.7.4.b", where="`one_cycle` of the prelude")
def test_e29_cycles_rise_to_the_largest_rate_and_end_far_below() -> None:
    """With η_max = 0.1 over 100 steps one cycle starts near 0.01, peaks at 0.1 in step 45, is back
    at 0.01 in step 90 and ends at 1e-6; three cycles have three peaks, in steps 15, 45 and 75. The
    ramps are straight."""
    one, three = rates()["one"], rates()["three"]
    np.testing.assert_allclose(one[[44, 89, 99]], [0.1, 0.01, 1e-6], rtol=1e-9)
    assert one[0] == pytest.approx(0.01 + 0.09 / 45, rel=1e-9)
    np.testing.assert_allclose(np.diff(one[:45]), 0.09 / 45, rtol=1e-6)
    np.testing.assert_allclose(np.diff(one[44:90]), -0.09 / 45, rtol=1e-6)
    peaks = 1 + np.flatnonzero((three[1:-1] > three[:-2]) & (three[1:-1] > three[2:])) + 1
    assert peaks.tolist() == [15, 45, 75]
    np.testing.assert_allclose(three[peaks - 1], 0.1, rtol=1e-9)
    np.testing.assert_allclose(three[[29, 59, 89, 99]], [0.01, 0.01, 0.01, 1e-6], rtol=1e-9)


@experiment(
    "E30",
    "004.7.4.c 004.7.4.d 004.7.4.e",
    where="`power_decay`, `exponential_decay`, `piecewise` of the prelude, "
    "[drawn](reference/schedules.md)",
)
def test_e30_power_exponential_and_piecewise_rates() -> None:
    """Power scheduling has η(0) = η₀ and η(s) = η₀/2ᶜ, exponential scheduling η(s) = η₀/10, both
    equal (7.25) and (7.26) at 100 steps to 1e-9; the piecewise rate changes exactly in steps 30 and
    70."""
    t = np.arange(100)
    power, exponential = rates()["power"], rates()["exponential"]
    np.testing.assert_allclose(power, 0.2 / (1 + t / 20) ** 2, rtol=1e-9)
    np.testing.assert_allclose(power[[0, 20]], [0.2, 0.2 / 4], rtol=1e-9)
    np.testing.assert_allclose(exponential, 0.2 * 0.1 ** (t / 20), rtol=1e-8)
    np.testing.assert_allclose(exponential[[0, 20, 40]], [0.2, 0.02, 0.002], rtol=1e-9)
    expected = np.repeat([0.1, 0.01, 0.002], [29, 40, 31])
    np.testing.assert_allclose(rates()["steps_down"], expected, rtol=1e-9)


@experiment("E28", "004.7.4.a", where="`range_test` of the prelude, as a rate")
def test_e28_the_rate_of_a_range_test_as_a_schedule() -> None:
    """The schedule `range_test(growth = 1.3)` has the rates 1e-6 · 1.3ⁱ for 100 steps, to 1e-9."""
    np.testing.assert_allclose(rates()["grows"], 1e-6 * 1.3 ** np.arange(100), rtol=1e-9)
