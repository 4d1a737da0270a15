"""Inputs that a trained net answers most strongly: activation maximisation, or Deep Dream.

Invariant: only the input moves, along the rows of the compiled input-output Jacobian; the
parameters of the net are read and never written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from netc.model import Model
    from netc.runtime.arrays import Array


@dataclass(frozen=True, slots=True)
class Ascent:
    """How to climb, and what keeps the input from becoming noise.

    `normalised` divides each sample's slope by its mean absolute value. `decay` is the share of the
    input that each step takes away. `jitter` moves the input by up to so many places along its last
    two axes for a step, as Mordvintsev, Olah and Tyka did. `low` and `high` bound every element.
    """

    steps: int = 50
    rate: float = 0.1
    normalised: bool = False
    decay: float = 0.0
    jitter: int = 0
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class Dream:
    """The inputs found, [B, …], and the units before each step and at the end, [steps + 1, B]."""

    inputs: Array
    values: Array


def maximise(
    model: Model,
    start: ArrayLike,
    unit: ArrayLike,
    ascent: Ascent = Ascent(),
    *,
    output: str = "y",
    jacobian: str = "J",
    seed: int = 0,
) -> Dream:
    """Gradient ascent on one output unit by the input.

    Args:
        model: a net of one input x with `output y` [K] and `output J = jacobian(y, x)`, under these
            names or others.
        start: inputs to begin with, [B, …].
        unit: the unit to maximise, one for all or [B].
        ascent: the steps and their constraints.
        output: the name of y.
        jacobian: the name of J.
        seed: of the jitter.

    Raises:
        UsageError: if the net lacks one of the two outputs.

    Source: 000.4.8d; Mordvintsev, Olah and Tyka 2015.
    """
    x, random = np.array(start, model.dtype), np.random.default_rng(seed)
    unit = np.broadcast_to(unit, len(x))
    values = []
    for _ in range(ascent.steps):
        shift = random.integers(-ascent.jitter, ascent.jitter + 1, 2)
        value, slope = _answer(model, _moved(x, shift), unit, (output, jacobian))
        values.append(value)
        x = _climbed(x, _moved(slope, -shift), ascent)
    values.append(_answer(model, x, unit, (output, jacobian))[0])
    return Dream(x, np.array(values))


def _answer(model: Model, x: Array, unit: Array, names: tuple[str, str]) -> tuple[Array, Array]:
    """The unit's value for each sample, and its slope by the input."""
    missing = [name for name in names if name not in model.output_names]
    if missing:
        raise UsageError(f"the net has no output `{missing[0]}`", "add `output J = jacobian(y, x)`")
    found = model.forward(x)
    assert isinstance(found, dict)
    value, slope = (found[name][np.arange(len(x)), unit] for name in names)
    return value, slope


def _moved(x: Array, shift: Array) -> Array:
    """The last two axes rolled round."""
    return np.roll(x, tuple(shift), axis=(-2, -1)) if shift.any() else x


def _climbed(x: Array, slope: Array, ascent: Ascent) -> Array:
    if ascent.normalised:
        axes = tuple(range(1, slope.ndim))
        slope = slope / (np.mean(np.abs(slope), axis=axes, keepdims=True) + 1e-12)
    moved = (1 - ascent.decay) * x + ascent.rate * slope
    return np.clip(moved, ascent.low, ascent.high)
