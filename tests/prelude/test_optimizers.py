"""Optimizers: ten steps with given gradients."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from tests.prelude.harness import model, stored
from tests.prelude.references.optimizers import OPTIMIZERS, trajectory

START = np.array([0.5, -1.0, 2.0, 0.0, 1e-3, -3.0])


def slopes() -> list[np.ndarray]:
    """Ten gradients: noisy, growing, shrinking, changing sign, zero for a while, tiny."""
    random = np.random.default_rng(4)
    rows = []
    for k in range(1, 11):
        noise = random.normal()
        later = 0.0 if k < 4 else 0.3 * k
        rows.append(np.array([noise, 1.5**k, -(0.6**k), (-1.0) ** k, later, 1e-12 * noise]))
    return rows


def run(name: str, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """The parameter after each step of the elaborated optimizer."""
    text = f"""
    net T {{ input x: [6]; param w: [6] = 0; loss sum(w * x) }}
    train {{ optimizer = {name}() }}
    """
    elaborated = model(text)
    (update,) = elaborated.updates
    w, states, path = START, stored(update.states), []
    for step, g in enumerate(gradients, start=1):
        values = {("parameter", "w"): w, ("gradient", "w"): g}
        values |= {("optimizer", k): v for k, v in states.items()}
        values |= {("scalar", s.name): np.float64(s.default) for s in elaborated.scalars}
        clock = {"epoch": 1, "steps": 10, "epochs": 1, "objective": 0}
        values |= {("scalar", k): np.float64(v) for k, v in clock.items()}
        env = Environment(values, step=step)
        w, *new = evaluate([update.new, *(n.node for n in update.next_states)], env)
        states |= {n.name: a for n, a in zip(update.next_states, new, strict=True)}
        path.append(w)
    return path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps(name: str) -> None:
    found, expected = run(name, slopes()), trajectory(name, START, slopes())
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zero_gradients_leave_the_parameter_but_for_decay(name: str) -> None:
    found = run(name, [np.zeros(6)] * 3)
    kept = START * (1 - 1e-5) ** 3 if name == "adamw" else START
    np.testing.assert_allclose(found[-1], kept, rtol=1e-15)


def test_quickprop_reaches_the_minimum_of_a_separable_quadratic() -> None:
    text = """
    net T { input x: [1]; param w: [2] = 0; penalty sum([1, 5] * w^2) }
    train { optimizer = quickprop(growth=100) }
    """
    elaborated = model(text)
    (update,) = elaborated.updates
    w, states = np.array([3.0, -2.0]), stored(update.states)
    path = []
    for step in (1, 2, 3):
        values = {("parameter", "w"): w, ("gradient", "w"): np.array([2.0, 10.0]) * w}
        values |= {("optimizer", k): v for k, v in states.items()}
        values |= {("scalar", s.name): np.float64(s.default) for s in elaborated.scalars}
        env = Environment(values, step=step)
        w, *new = evaluate([update.new, *(n.node for n in update.next_states)], env)
        states |= {n.name: a for n, a in zip(update.next_states, new, strict=True)}
        path.append(w)
    np.testing.assert_allclose(path[0], [2.94, -1.8], rtol=1e-14)
    np.testing.assert_allclose(path[1:], [[0, 0], [0, 0]], atol=1e-14)
