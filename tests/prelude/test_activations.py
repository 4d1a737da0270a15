"""Activations: values, slopes, limits and kinks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.prelude.harness import Net, net, slope
from tests.prelude.references.activations import (
    ACTIVATIONS,
    EXTREMES,
    INFINITE,
    KINKS,
    Activation,
)

CASES = [case for cases in ACTIVATIONS.values() for case in cases]
CALLS = [case.call for case in CASES]
ROWS = np.random.default_rng(1).normal(0, 2, (6, 5))


def network(call: str, size: int) -> Net:
    """A net whose output is the call, and whose loss weights the elements differently."""
    return net(
        f"""net T {{
          input z: [{size}]
          output y = {call}
          loss sum(y * (1 + sin(3 * z)))
          output c = 1 + sin(3 * z)
        }}"""
    )


@pytest.mark.parametrize("case", CASES, ids=CALLS)
def test_value(case: Activation) -> None:
    np.testing.assert_allclose(
        network(case.call, 5).output("y", z=ROWS), case.value(ROWS), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("case", CASES, ids=CALLS)
def test_gradient(case: Activation) -> None:
    unit = network(case.call, 5)
    z = ROWS.copy()
    for kink in case.kinks:
        z[np.abs(z - kink) < 1e-3] += 0.01
    assert unit.values.loss is not None
    found = unit.gradient(unit.values.loss, "input", "z", z=z)
    np.testing.assert_allclose(found, slope(lambda v: unit.loss(z=v), z), rtol=1e-7, atol=1e-8)


def test_every_elementwise_activation_has_limits() -> None:
    assert set(EXTREMES) == set(ACTIVATIONS) - {"softmax", "log_softmax"}


def plain_slope(call: str, points: list[float]) -> np.ndarray:
    unit = net(f"net T {{ input z: []; output y = {call}; loss y }}")
    assert unit.values.loss is not None
    return unit.gradient(unit.values.loss, "input", "z", z=np.array(points))


@pytest.mark.parametrize("name", EXTREMES)
def test_far_out_and_at_zero(name: str) -> None:
    values, slopes = EXTREMES[name]
    points = [-1e4, 0.0, 1e4]
    unit = net(f"net T {{ input z: []; output y = {name}(z) }}")
    found = unit.output("y", z=np.array(points))
    np.testing.assert_allclose(found, values, rtol=1e-14, atol=0)
    # 1 - |y| cancels in the slope of softsign: 1e4 ulps far out; all others are exact to rounding
    rtol = 1e-11 if name == "softsign" else 1e-14
    np.testing.assert_allclose(plain_slope(f"{name}(z)", points), slopes, rtol=rtol, atol=0)


@pytest.mark.parametrize("name", INFINITE)
def test_infinities(name: str) -> None:
    unit = net(f"net T {{ input z: [] missing; output y = {name}(z) }}")
    found = unit.output("y", z=np.array([-np.inf, np.inf]))
    np.testing.assert_allclose(found, INFINITE[name], rtol=1e-15)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"heaviside"}))
def test_nan_stays_nan(name: str) -> None:
    unit = net(f"net T {{ input z: [2] missing; output y = {name}(z) }}")
    assert np.isnan(unit.output("y", z=np.array([[np.nan, np.nan]]))).all()


@pytest.mark.parametrize(("call", "point", "expected"), KINKS)
def test_slope_at_kink(call: str, point: float, expected: float) -> None:
    assert plain_slope(call, [point])[0] == pytest.approx(expected, abs=1e-15)


def test_softmax_far_out() -> None:
    z = np.array([[1e4, 0, -1e4], [0, 0, 0], [-np.inf, 0, 0], [1e4, 1e4, 1e4]])
    unit = net(
        """net T {
          input z: [3] missing
          output p = softmax(z)
          output l = log_softmax(z)
          loss p[1]
        }"""
    )
    p, log_p = unit.output("p", z=z), unit.output("l", z=z)
    third = 1 / 3
    expected = [[1, 0, 0], [third] * 3, [0, 0.5, 0.5], [third] * 3]
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    np.testing.assert_allclose(log_p[0], [0, -1e4, -2e4])
    np.testing.assert_allclose(log_p[2], [-np.inf, np.log(0.5), np.log(0.5)])
    assert unit.values.loss is not None
    rows = expected[2]
    found = unit.gradient(unit.values.loss, "input", "z", z=z)
    np.testing.assert_allclose(found[2], [0, rows[1] * (1 - rows[1]), -rows[1] * rows[2]])
    assert np.isfinite(found).all()


def test_softmax_takes_the_last_axis() -> None:
    unit = net("net T { input z: [2, 3]; output p = softmax(z); output l = log_softmax(z) }")
    z = np.random.default_rng(2).normal(0, 2, (4, 2, 3))
    np.testing.assert_allclose(unit.output("p", z=z).sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(unit.output("l", z=z)).sum(-1), 1, rtol=1e-14)
