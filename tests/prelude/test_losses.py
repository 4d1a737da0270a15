"""Losses: values, gradients, and the points where a naive formula fails."""

from __future__ import annotations

import numpy as np
import pytest

from tests.prelude.harness import Net, net, slope
from tests.prelude.references.losses import LOSS_POINTS, LOSSES, LossCase, LossPoint

CASES = [case for cases in LOSSES.values() for case in cases]
IDS = [f"{case.call} {case.p} {case.t}" for case in CASES]


def network(call: str, p: str, t: str) -> Net:
    return net(f"net T {{ input p: {p} missing; target t: {t}; loss {call} }}")


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_value(case: LossCase) -> None:
    p, t = case.draws(4, 6)
    found = network(*case.at(4)).loss(p=p, t=t)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, case.value(p, t), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_gradient(case: LossCase) -> None:
    p, t = case.draws(4, 6)
    unit = network(*case.at(4))
    assert unit.values.loss is not None
    found = unit.gradient(unit.values.loss, "input", "p", p=p, t=t)
    expected = slope(lambda v: unit.loss(p=v, t=t), p)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("point", LOSS_POINTS, ids=lambda x: f"{x.call} {x.p} {x.t}")
def test_hard_points(point: LossPoint) -> None:
    p, t = np.array([point.p]), np.array([point.t])
    shape = f"[{len(point.p)}]"
    unit = network(point.call, shape, f"class{shape}" if isinstance(point.t, int) else shape)
    found = unit.loss(p=p, t=t)
    np.testing.assert_allclose(found, [point.value], rtol=1e-12, atol=1e-300)
    assert unit.values.loss is not None
    gradient = unit.gradient(unit.values.loss, "input", "p", p=p, t=t)
    if point.gradient is None:
        return
    np.testing.assert_allclose(gradient[0], point.gradient, rtol=1e-12, atol=1e-300)


def test_cosine_distance_of_a_zero_vector_has_a_finite_gradient() -> None:
    unit = network("cosine_distance(p, t)", "[2]", "[2]")
    assert unit.values.loss is not None
    p, t = np.zeros((1, 2)), np.array([[1.0, 2.0]])
    assert np.isfinite(unit.gradient(unit.values.loss, "input", "p", p=p, t=t)).all()
