"""Initialisers: moments, bounds, and independence of names and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.prelude.harness import model, stored
from tests.prelude.references.initialisers import INITIALISERS, Law

CASES = [law for laws in INITIALISERS.values() for law in laws]


def draw(call: str, seed: int = 0) -> dict[str, np.ndarray]:
    text = f"net T {{ input x: [1]; param a: [300, 200] = {call}; param b: [300, 200] = {call} }}"
    return stored(model(text).parameters, seed)


@pytest.mark.parametrize("law", CASES, ids=lambda law: law.call)
def test_moments_and_bounds(law: Law) -> None:
    values = draw(law.call)["a"]
    assert values.shape == (300, 200)
    assert values.mean() == pytest.approx(law.mean, abs=5 * law.std / np.sqrt(values.size))
    assert values.std() == pytest.approx(law.std, rel=0.02, abs=0)
    assert np.abs(values - law.mean).max() <= law.bound
    if np.isfinite(law.bound):
        assert np.abs(values - law.mean).max() >= 0.999 * law.bound


@pytest.mark.parametrize("law", [c for c in CASES if c.std > 0], ids=lambda law: law.call)
def test_draws_depend_on_name_and_seed_only(law: Law) -> None:
    values = draw(law.call)
    assert abs(np.corrcoef(values["a"].ravel(), values["b"].ravel())[0, 1]) < 0.02
    assert (draw(law.call)["a"] == values["a"]).all()
    other = draw(law.call, seed=1)["a"]
    assert abs(np.corrcoef(values["a"].ravel(), other.ravel())[0, 1]) < 0.02
