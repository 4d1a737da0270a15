"""Schedules in Python, as functions of the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Clock = tuple[float, float, float, float]
"""step, epoch, steps, epochs"""


def _one_cycle(step: float, steps: float) -> float:
    knots = [0, 0.45 * steps, 0.9 * steps, steps]
    return float(np.interp(step, knots, [0.1, 1, 0.1, 1e-3]))


def _short_tail(step: float, steps: float) -> float:
    turn = 0.99 * steps
    return float(np.interp(step, [0, turn / 2, turn, turn + 1], [0.1, 1, 0.1, 0.02]))


SCHEDULES: dict[str, tuple[tuple[str, Callable[[Clock], float]], ...]] = {
    "linear_decay": (
        ("linear_decay()", lambda c: 1 - 0.99 * min(c[0] / c[2], 1)),
        (
            "linear_decay(0.5, over=4, t=epoch)",
            lambda c: float(np.interp(c[1], [0, 4], [1, 0.5])),
        ),
    ),
    "cosine_decay": (
        ("cosine_decay()", lambda c: np.cos(np.pi * min(c[0] / c[2], 1) / 2) ** 2),
        (
            "cosine_decay(0.1, over=5, t=epoch)",
            lambda c: 0.1 + 0.9 * np.cos(np.pi * min(c[1] / 5, 1) / 2) ** 2,
        ),
    ),
    "inverse_time": (("inverse_time(0.5)", lambda c: 1 / (1 + 0.5 * c[1])),),
    "power_decay": (
        ("power_decay(20)", lambda c: 20 / (20 + c[0])),
        ("power_decay(20, c=2, t=epoch)", lambda c: (20 / (20 + c[1])) ** 2),
    ),
    "exponential_decay": (
        ("exponential_decay(0.95)", lambda c: 0.95 ** c[1]),
        ("exponential_decay(0.1, every=30, t=step)", lambda c: 10 ** (-c[0] / 30)),
    ),
    "inverse_sqrt": (("inverse_sqrt()", lambda c: c[1] ** -0.5),),
    "piecewise": (
        (
            "piecewise([3, 5], [1, 0.1, 0.01])",
            lambda c: 1 if c[1] < 3 else 0.1 if c[1] < 5 else 0.01,
        ),
    ),
    "warmup": (("warmup(10)", lambda c: min(c[0], 10) / 10),),
    "one_cycle": (
        ("one_cycle()", lambda c: _one_cycle(c[0], c[2])),
        (
            "one_cycle(cycles=2, tail=0.2)",
            lambda c: float(
                np.interp(c[0] / c[2], [0, 0.2, 0.4, 0.6, 0.8, 1], [0.1, 1, 0.1, 1, 0.1, 1e-3])
            ),
        ),
        # the last leg is at least one step long
        ("one_cycle(tail=0.01, last=0.02)", lambda c: _short_tail(c[0], c[2])),
    ),
    "range_test": (
        ("range_test()", lambda c: 1e-6 * 1.05 ** (c[0] - 1)),
        ("range_test(1.1, start=1e-4)", lambda c: 1e-4 * 1.1 ** (c[0] - 1)),
    ),
}
