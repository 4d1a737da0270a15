"""Recurrent layers in NumPy, step by step and gate by gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from tests.prelude.references.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prelude.references.layers import Array

    Step = Callable[[tuple[Array, ...], Array], tuple[Array, ...]]


def _run(step: Step, states: int, units: int, x: Array, *, every: bool) -> Array:
    """The last state of the last step, or of all steps, from zeros."""
    now = tuple(np.zeros((len(x), units)) for _ in range(states))
    found = []
    for i in range(x.shape[1]):
        now = step(now, x[:, i])
        found.append(now[-1])
    return np.stack(found, 1) if every else found[-1]


def _rnn(w: dict[str, Array], x: Array, *, every: bool = False, act: object = np.tanh) -> Array:
    def step(now: tuple[Array, ...], at: Array) -> tuple[Array, ...]:
        return (act(at @ w["W"] + now[0] @ w["U"] + w["b"]),)

    return _run(step, 1, len(w["U"]), x, every=every)


def _lstm_step(
    now: tuple[Array, ...],
    z: Array,
    U: Array,
) -> tuple[Array, ...]:
    cell, hidden = now
    entry, forget, new, out = np.split(z + hidden @ U, 4, axis=-1)
    cell = expit(forget) * cell + expit(entry) * np.tanh(new)
    return cell, expit(out) * np.tanh(cell)


def _lstm(w: dict[str, Array], x: Array, *, every: bool = False) -> Array:
    def step(now: tuple[Array, ...], at: Array) -> tuple[Array, ...]:
        return _lstm_step(now, at @ w["W"] + w["b"], w["U"])

    return _run(step, 2, len(w["U"]), x, every=every)


def _gru_step(hidden: Array, z: Array, U: Array, d: Array) -> Array:
    reset, update, new = np.split(z, 3, axis=-1)
    reset_h, update_h, new_h = np.split(hidden @ U, 3, axis=-1)
    update = expit(update + update_h)
    return update * hidden + (1 - update) * np.tanh(new + expit(reset + reset_h) * (new_h + d))


def _gru(w: dict[str, Array], x: Array, *, every: bool = False) -> Array:
    def step(now: tuple[Array, ...], at: Array) -> tuple[Array, ...]:
        return (_gru_step(now[0], at @ w["W"] + w["b"], w["U"], w["d"]),)

    return _run(step, 1, len(w["U"]), x, every=every)


def _ramp(*shape: int) -> Array:
    return 0.1 * np.arange(np.prod(shape)).reshape(shape) - 1


RECURRENT: dict[str, tuple[Layer, ...]] = {
    "rnn": (
        Layer("rnn(3)", (4, 2), _rnn),
        Layer("rnn(5, all=true)", (3, 1), lambda w, x: _rnn(w, x, every=True)),
        Layer("rnn(1, act=sigmoid)", (1, 17), lambda w, x: _rnn(w, x, act=expit)),
    ),
    "lstm_step": (
        Layer(
            "lstm_step(0.1 * iota(12) - 1, reshape(0.1 * iota(36) - 1, [3, 12]))",
            (2, 3),
            lambda w, x: np.stack(_lstm_step((x[:, 0], x[:, 1]), _ramp(12), _ramp(3, 12)), 1),
        ),
    ),
    "lstm": (
        Layer("lstm(3)", (3, 2), _lstm),
        Layer("lstm(2, all=true, forget=0)", (2, 5), lambda w, x: _lstm(w, x, every=True)),
        Layer("lstm(1)", (1, 1), _lstm),
    ),
    "gru_step": (
        Layer(
            "gru_step(0.1 * iota(6) - 1, reshape(0.1 * iota(12) - 1, [2, 6]), 0.1 * iota(2) - 1)",
            (2,),
            lambda w, x: _gru_step(x, _ramp(6), _ramp(2, 6), _ramp(2)),
        ),
    ),
    "gru": (
        Layer("gru(3)", (3, 2), _gru),
        Layer("gru(2, all=true)", (2, 5), lambda w, x: _gru(w, x, every=True)),
    ),
}
