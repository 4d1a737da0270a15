"""Penalties of one parameter and of groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.prelude.harness import Net, net
from tests.prelude.references.penalties import PENALTIES

CASES = [case for cases in PENALTIES.values() for case in cases]
CALLS = [call for call, _ in CASES]


def single(call: str) -> Net:
    return net(f"net T {{ input x: [1]; param w: [2, 3] = normal(0, 0.5); penalty {call} }}")


def pair(call: str) -> Net:
    """The same of `weights`: two matrices, and a bias that does not count."""
    return net(f"net T {{ input x: [3]; y = x |> dense(4) |> dense(2); penalty {call} }}")


@pytest.mark.parametrize(("call", "value"), CASES, ids=CALLS)
def test_value(call: str, value) -> None:
    unit = single(call)
    assert unit.penalty() == pytest.approx(value(unit.parameters["w"].ravel()), rel=1e-13)


@pytest.mark.parametrize(("call", "value"), CASES, ids=CALLS)
def test_group_counts_as_one_vector(call: str, value) -> None:
    unit = pair(call.replace("(w", "(weights"))
    vector = np.concatenate([v.ravel() for v in unit.parameters.values() if v.ndim == 2])
    assert vector.size == 3 * 4 + 4 * 2
    assert unit.penalty() == pytest.approx(value(vector), rel=1e-13)


@pytest.mark.parametrize(("call", "value"), CASES, ids=CALLS)
def test_gradient(call: str, value) -> None:
    unit = single(call)
    w, assert_penalty = unit.parameters["w"], unit.values.penalty
    assert assert_penalty is not None
    found = unit.gradient(assert_penalty, "parameter", "w")
    for index in np.ndindex(w.shape):
        move = np.zeros_like(w)
        move[index] = 1e-6
        change = [replace(unit, parameters={"w": w + s * move}).penalty() for s in (1, -1)]
        assert found[index] == pytest.approx((change[0] - change[1]) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    "call", [c for c in CALLS if not c.startswith(("soft_weight_sharing", "flat_minimum"))]
)
def test_zero_and_large_weights(call: str) -> None:
    unit = single(call)
    penalty = unit.values.penalty
    assert penalty is not None
    for fill, sign in ((0.0, 0), (1e4, 1), (-1e4, -1)):
        at = replace(unit, parameters={"w": np.full((2, 3), fill)})
        slope = at.gradient(penalty, "parameter", "w")
        assert np.isfinite(at.penalty())
        assert np.isfinite(slope).all()
        assert (np.sign(slope) == sign).all()
        assert (at.penalty() == 0) == (fill == 0)


def test_flat_minimum_leaves_out_what_has_no_effect() -> None:
    def of(columns: str) -> float:
        return net(f"net T {{ input x: [1]; penalty flat_minimum({columns}, eps=1) }}").penalty()

    assert of("[[3, 0], [4, 0]]") == pytest.approx(np.log(5) + np.log(0.6**2 + 0.8**2), rel=1e-13)
