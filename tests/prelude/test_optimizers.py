"""Optimizers: ten steps with given gradients."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from tests.prelude.harness import model, stored
from tests.prelude.references.optimizers import OPTIMIZERS, trajectory

START = np.array([0.5, -1.0, 2.0, 0.0, 1e-3, -3.0, 0.25])


def slopes() -> list[np.ndarray]:
    """Ten gradients: noisy, growing, shrinking, changing sign, zero for a while, tiny, small."""
    random = np.random.default_rng(4)
    rows = []
    for k in range(1, 11):
        noise = random.normal()
        later = 0.0 if k < 4 else 0.3 * k
        small = 0.01 * 1.4**k
        rows.append(np.array([noise, 1.5**k, -(0.6**k), (-1.0) ** k, later, 1e-12 * noise, small]))
    return rows


def run(name: str, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """The parameter after each step of the elaborated optimizer."""
    text = f"""
    net T {{ input x: [7]; param w: [7] = 0; loss sum(w * x) }}
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
    found = run(name, [np.zeros(7)] * 3)
    kept = START * (1 - 1e-5) ** 3 if name == "adamw" else START
    np.testing.assert_allclose(found[-1], kept, rtol=1e-15)


@pytest.mark.parametrize("name", ["rprop", "rprop_backtracking"])
def test_step_sizes_stay_within_their_bounds(name: str) -> None:
    """Up from 0.01 by 1.2 to 50 takes 47 steps, down by 0.5 to 1e-6 takes 14."""
    path = [np.array([1.0, (-1.0) ** k, 1, 1, 1, 1, 1]) for k in range(60)]
    path[40:] = [np.sign(g) * (-1.0) ** (k * (np.arange(7) == 2)) for k, g in enumerate(path[40:])]
    found, expected = run(name, path), trajectory(name, START, path)
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-12)
    moves = np.abs(np.diff(np.array(found), axis=0))
    assert moves.max() == 50
    assert moves[moves > 0].min() == pytest.approx(1e-6, rel=1e-9)


def test_delta_bar_delta_averages_with_theta() -> None:
    """The running mean of 1 and -0.705 is negative for theta 0.7, and positive for a larger one."""
    path = [np.full(7, g) for g in (1.0, -0.705, -1.0, 0.5)]
    found, expected = run("delta_bar_delta", path), trajectory("delta_bar_delta", START, path)
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-12)


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
