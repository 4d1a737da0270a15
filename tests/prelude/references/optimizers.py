"""Optimizers in NumPy, with their default arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Slots:
    """State by name, zero at first use."""

    values: dict[str, Array] = field(default_factory=dict)

    def get(self, name: str, start: float, like: Array) -> Array:
        return self.values.setdefault(name, np.full_like(like, start))


Rule = Callable[[Slots, Array, int], Array]
"""State, gradient and step give the move of the parameter, or with `w` its decay as well."""


def _momentum(s: Slots, g: Array, step: int) -> Array:
    s.values["v"] = 0.9 * s.get("v", 0, g) - 0.01 * g
    return s.values["v"]


def _averaged_momentum(s: Slots, g: Array, step: int) -> Array:
    s.values["m"] = 0.9 * s.get("m", 0, g) + 0.1 * g
    return -0.01 * s.values["m"]


def _nesterov(s: Slots, g: Array, step: int) -> Array:
    return 0.9 * _momentum(s, g, step) - 0.01 * g


def _adagrad(s: Slots, g: Array, step: int) -> Array:
    s.values["s"] = s.get("s", 0, g) + g * g
    return -0.01 * g / (np.sqrt(s.values["s"]) + 1e-8)


def _adadelta(s: Slots, g: Array, step: int) -> Array:
    s.values["v"] = 0.9 * s.get("v", 0, g) + 0.1 * g * g
    move = -g * np.sqrt((s.get("d", 0, g) + 1e-6) / (s.values["v"] + 1e-6))
    s.values["d"] = 0.9 * s.values["d"] + 0.1 * move * move
    return move


def _rmsprop(s: Slots, g: Array, step: int) -> Array:
    s.values["s"] = 0.99 * s.get("s", 0, g) + 0.01 * g * g
    return -0.01 * g / (np.sqrt(s.values["s"]) + 1e-8)


def _moments(s: Slots, g: Array, step: int) -> tuple[Array, Array]:
    s.values["m"] = 0.9 * s.get("m", 0, g) + 0.1 * g
    s.values["v"] = 0.999 * s.get("v", 0, g) + 0.001 * g * g
    return s.values["m"], np.sqrt(s.values["v"] / (1 - 0.999**step)) + 1e-8


def _adam(s: Slots, g: Array, step: int) -> Array:
    m, root = _moments(s, g, step)
    return -1e-3 * m / (1 - 0.9**step) / root


def _adam_uncorrected(s: Slots, g: Array, step: int) -> Array:
    m, _ = _moments(s, g, step)
    return -1e-3 * m / (np.sqrt(s.values["v"]) + 1e-8)


def _nadam(s: Slots, g: Array, step: int) -> Array:
    m, root = _moments(s, g, step)
    ahead = 0.9 * m / (1 - 0.9 ** (step + 1)) + 0.1 * g / (1 - 0.9**step)
    return -1e-3 * ahead / root


def _rprop(s: Slots, g: Array, step: int) -> Array:
    old, eta = s.get("g", 0, g), s.get("eta", 0.01, g)
    eta = np.where(g * old > 0, 1.2 * eta, np.where(g * old < 0, 0.5 * eta, eta))
    s.values.update(g=g, eta=np.clip(eta, 1e-6, 50))
    return -s.values["eta"] * np.sign(g)


def _rprop_backtracking(s: Slots, g: Array, step: int) -> Array:
    move = np.empty_like(g)
    signs, eta, last = s.get("g", 0, g), s.get("eta", 0.01, g), s.get("move", 0, g)
    for i in range(g.size):
        if g[i] * signs[i] < 0:
            eta[i], move[i], signs[i] = max(eta[i] * 0.5, 1e-6), -last[i], 0
        else:
            eta[i] = min(eta[i] * 1.2, 50) if g[i] * signs[i] > 0 else eta[i]
            move[i], signs[i] = -eta[i] * np.sign(g[i]), np.sign(g[i])
    s.values["move"] = move
    return move


def _quickprop(s: Slots, g: Array, step: int) -> Array:
    old, last = s.get("g", 0, g), s.get("move", 0, g)
    move = np.empty_like(g)
    for i in range(g.size):
        if last[i] == 0:
            move[i] = -0.01 * g[i]
        elif g[i] * old[i] > 0 and abs(g[i]) >= abs(old[i]):
            move[i] = 1.75 * last[i]
        else:
            move[i] = min(g[i] / (old[i] - g[i]), 1.75) * last[i]
    s.values.update(g=g, move=move)
    return move


def _delta_delta(s: Slots, g: Array, step: int) -> Array:
    s.values["eta"] = s.get("eta", 0.01, g) + 1e-4 * g * s.get("g", 0, g)
    s.values["g"] = g
    return -s.values["eta"] * g


def _delta_bar_delta(s: Slots, g: Array, step: int) -> Array:
    mean, eta = s.get("mean", 0, g), s.get("eta", 0.01, g)
    s.values["eta"] = np.where(mean * g > 0, eta + 1e-3, np.where(mean * g < 0, 0.9 * eta, eta))
    s.values["mean"] = 0.7 * mean + 0.3 * g
    return -s.values["eta"] * g


OPTIMIZERS: dict[str, Rule] = {
    "sgd": lambda s, g, step: -0.01 * g,
    "momentum": _momentum,
    "averaged_momentum": _averaged_momentum,
    "nesterov": _nesterov,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adam_uncorrected": _adam_uncorrected,
    "adamw": _adam,  # the decay, 1e-3 * 0.01 of w, is added by `trajectory`
    "nadam": _nadam,
    "rprop": _rprop,
    "rprop_backtracking": _rprop_backtracking,
    "quickprop": _quickprop,
    "delta_delta": _delta_delta,
    "delta_bar_delta": _delta_bar_delta,
}


def trajectory(name: str, w: Array, gradients: list[Array]) -> list[Array]:
    """The parameter after each step of the optimizer with its default arguments."""
    slots, path = Slots(), []
    for step, g in enumerate(gradients, start=1):
        decay = 1e-5 * w if name == "adamw" else 0
        w = w + OPTIMIZERS[name](slots, g, step) - decay
        path.append(w)
    return path
