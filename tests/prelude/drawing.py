"""The checks of initialisers: what is drawn, from which names and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.prelude.harness import model, stored
from tests.prelude.references.initialisers import INITIALISERS

if TYPE_CHECKING:
    from tests.prelude.references.initialisers import Law


@dataclass(frozen=True)
class Drawing:
    """One call of an initialiser, for two parameters of shape [300, 200]."""

    name: str
    law: Law

    def draw(self, seed: int = 0) -> dict[str, np.ndarray]:
        call = self.law.call
        text = (
            f"net T {{ input x: [1]; param a: [300, 200] = {call}; param b: [300, 200] = {call} }}"
        )
        return stored(model(text).parameters, seed)

    def values(self) -> int:
        """Moments and bounds; the same again for a seed, another draw for each name and seed."""
        return self.moments() + self.independence()

    def moments(self) -> int:
        law, values = self.law, self.draw()["a"]
        assert values.shape == (300, 200)
        assert values.mean() == pytest.approx(law.mean, abs=5 * law.std / np.sqrt(values.size))
        assert values.std() == pytest.approx(law.std, rel=0.02, abs=0)
        assert np.abs(values - law.mean).max() <= law.bound
        if np.isfinite(law.bound):
            assert np.abs(values - law.mean).max() >= 0.999 * law.bound
        return 3

    def independence(self) -> int:
        values, again = self.draw(), self.draw()
        assert (again["a"] == values["a"]).all()
        if self.law.std == 0:
            return 1
        other = self.draw(seed=1)["a"]
        for one in (values["b"], other):
            assert abs(np.corrcoef(values["a"].ravel(), one.ravel())[0, 1]) < 0.02
        return 3


def initialisers() -> list[Drawing]:
    return [Drawing(name, law) for name, laws in INITIALISERS.items() for law in laws]
