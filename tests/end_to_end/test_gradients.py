"""Compiled gradients of every example against finite differences, in f64, in random directions."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from tests.end_to_end.data import EXAMPLES, SMALLER, Arrays, random_batch

NAMES = sorted(path.name for path in EXAMPLES.glob("*.net"))
STEPS = (1e-5, 1e-6, 1e-7)
"""A long step crosses kinks of rectifiers and pools, a short one loses digits: one must agree."""


def objective(model: netc.Model, data: Arrays) -> float:
    """The objective in training mode; the draws are the same until the next update."""
    ports = model.manifest
    model.forward(*(data[port.name] for port in ports.inputs), training=True)
    return model.backward(*(data[port.name] for port in ports.targets))


@pytest.mark.parametrize("samples", [1, 7, 32])
@pytest.mark.parametrize("name", NAMES)
def test_directional_derivatives(name: str, samples: int) -> None:
    file = str(EXAMPLES / name)
    model = netc.compile(file, precision="f64", seed=5, defines=SMALLER.get(name))
    data = random_batch(model.manifest, samples)
    random = np.random.default_rng(2)
    start = {k: np.array(v) + random.normal(0, 0.05, v.shape) for k, v in model.params.items()}
    directions = [{k: random.normal(0, 1, v.shape) for k, v in start.items()} for _ in range(3)]

    def at(shift: float, direction: dict[str, np.ndarray]) -> float:
        for key, value in model.params.items():
            value[...] = start[key] + shift * direction[key]
        return objective(model, data)

    for direction in directions:
        length = np.sqrt(sum((d**2).sum() for d in direction.values()))
        unit = {k: d / length for k, d in direction.items()}
        at(0, unit)
        found = sum(float((model.grads[k] * d).sum()) for k, d in unit.items())
        changes = [(at(h, unit) - at(-h, unit)) / (2 * h) for h in STEPS]
        assert any(found == pytest.approx(c, rel=1e-6, abs=1e-9) for c in changes), (found, changes)
