"""Schedules over the whole run, by step and by epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.prelude.harness import net
from tests.prelude.scheduling import Scheduling, schedules


@pytest.mark.parametrize("schedule", schedules(), ids=lambda s: s.call)
def test_values_over_a_run(schedule: Scheduling) -> None:
    assert schedule.values() > 0


def test_a_schedule_drives_the_rate_of_an_optimizer() -> None:
    text = """
    net T { input x: [1]; param w = 0; loss w * x[0] }
    train { optimizer = sgd(lr = 0.5 * exponential_decay(0.5)) }
    """
    unit = net(text)
    (update,) = unit.model.updates
    clock = {"epoch": 3, "steps": 9, "epochs": 3}
    at = replace(unit, clock=clock, parameters={"w": np.float64(1.0)})
    env = at.environment(x=np.ones((1, 1)))
    values = {**env.values, ("gradient", "w"): np.float64(1.0)}
    from netc.compiler.ir.interpret import evaluate

    (new,) = evaluate([update.new], replace(env, values=values))
    assert new == pytest.approx(1 - 0.5 * 0.125, rel=1e-14)
