"""Compiled gradients of every example against finite differences, in f64, in random directions."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from tests.end_to_end.data import EXAMPLES

Batch = tuple[np.ndarray, np.ndarray | None]
NAMES = ("xor.net", "digits.net", "logistic.net", "autoencoder.net", "mnist_mlp.net")
STEP = 1e-5


def batch(name: str, samples: int) -> Batch:
    random = np.random.default_rng(1)
    match name:
        case "xor.net":
            return random.normal(0, 1, (samples, 2)), random.integers(0, 2, (samples, 1))
        case "autoencoder.net":
            return random.uniform(0, 1, (samples, 64)), None
        case "mnist_mlp.net":
            return random.uniform(0, 1, (samples, 784)), random.integers(0, 10, samples)
        case _:
            return random.uniform(0, 1, (samples, 64)), random.integers(0, 10, samples)


def objective(model: netc.Model, data: Batch) -> float:
    """The objective in training mode; the draws are the same until the next update."""
    x, t = data
    model.forward(x, training=True)
    return model.backward(*(() if t is None else (t,)))


@pytest.mark.parametrize("samples", [1, 7, 32])
@pytest.mark.parametrize("name", NAMES)
def test_directional_derivatives(name: str, samples: int) -> None:
    model = netc.compile(str(EXAMPLES / name), precision="f64", seed=5)
    data = batch(name, samples)
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
        change = (at(STEP, unit) - at(-STEP, unit)) / (2 * STEP)
        assert found == pytest.approx(change, rel=1e-6, abs=1e-9)
