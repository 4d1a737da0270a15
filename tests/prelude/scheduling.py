"""The check of schedules over a whole run, with the clock of the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.prelude.compiled import Compiled
from tests.prelude.references.schedules import SCHEDULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prelude.compiled import Clock

STEPS, EPOCHS = 40, 8


@dataclass(frozen=True)
class Scheduling:
    """One call of a schedule."""

    name: str
    call: str
    value: Callable[[Clock], float]

    def values(self) -> int:
        """The value at each step of a run."""
        text = f"net T {{ input x: []; y = x * {self.call}; output z = y; loss y }}"
        compiled, ones = Compiled(text), {"x": np.ones(1)}
        for step in range(1, STEPS + 1):
            clock = (step, (step - 1) // (STEPS // EPOCHS) + 1, STEPS, EPOCHS)
            found = compiled(ones, {}, clock)["z"][0]
            assert found == pytest.approx(self.value(clock), rel=1e-12, abs=1e-15), clock
        return STEPS


def schedules() -> list[Scheduling]:
    return [Scheduling(name, *case) for name, cases in SCHEDULES.items() for case in cases]
