"""Schedules over the whole run, by step and by epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.prelude.harness import net
from tests.prelude.references.schedules import SCHEDULES

CASES = [case for cases in SCHEDULES.values() for case in cases]


@pytest.mark.parametrize(("call", "value"), CASES, ids=[call for call, _ in CASES])
def test_values(call: str, value) -> None:
    unit = net(f"net T {{ input x: [1]; output y = x * {call} }}")
    steps, epochs = 40, 8
    for step in range(1, steps + 1):
        epoch = (step - 1) // (steps // epochs) + 1
        clock = {"epoch": epoch, "steps": steps, "epochs": epochs}
        found = replace(unit, step=step, clock=clock).output("y", x=np.ones((1, 1)))[0, 0]
        expected = value((step, epoch, steps, epochs))
        assert found == pytest.approx(expected, rel=1e-12), (step, epoch)


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
