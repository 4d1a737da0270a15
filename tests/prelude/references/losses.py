"""Losses in NumPy, one number for each row of a batch, and the points where naive formulas fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...], int], Array]
"""A random array of a shape; the number of classes is for labels."""


def _normal(random: np.random.Generator, shape: tuple[int, ...], classes: int) -> Array:
    return random.normal(0, 1.5, shape)


def _probability(random: np.random.Generator, shape: tuple[int, ...], classes: int) -> Array:
    return random.uniform(0.05, 0.95, shape)


def _bits(random: np.random.Generator, shape: tuple[int, ...], classes: int) -> Array:
    return random.integers(0, 2, shape).astype(np.float64)


def _signs(random: np.random.Generator, shape: tuple[int, ...], classes: int) -> Array:
    return 2 * _bits(random, shape, classes) - 1


def _distribution(random: np.random.Generator, shape: tuple[int, ...], classes: int) -> Array:
    weights = random.uniform(0.1, 1, shape)
    return weights / weights.sum(-1, keepdims=True)


def _label(random: np.random.Generator, shape: tuple[int, ...], classes: int) -> Array:
    return random.integers(0, classes, shape).astype(np.float64)


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@dataclass(frozen=True)
class LossCase:
    """`call` of p and t, with the text of their types and a draw of each; n is the last axis."""

    call: str
    value: Callable[[Array, Array], Array]
    draw: tuple[Draw, Draw] = (_normal, _normal)
    p: str = "[n]"
    t: str = "[n]"

    def at(self, n: int) -> tuple[str, str, str]:
        """The call, and the types of p and t, with the last axis of size n."""
        call, p, t = (re.sub(r"\bn\b", str(n), text) for text in (self.call, self.p, self.t))
        return call, p, t

    def draws(self, n: int, rows: int, seed: int = 3) -> tuple[Array, Array]:
        """Values of p and t for some samples."""
        random = np.random.default_rng(seed)
        _, *types = self.at(n)
        shapes = [(rows, *_shape(text)) for text in types]
        p, t = (d(random, s, n) for d, s in zip(self.draw, shapes, strict=True))
        return p, t


def _shape(text: str) -> tuple[int, ...]:
    """The shape of `[2, 3]`, `class[4]` or `class[4][3]`."""
    plain = re.sub(r"^class\[\d+\]", "", text)
    return tuple(int(n) for n in plain.strip("[]").split(",")) if plain else ()


def _pick(z: Array, label: Array) -> Array:
    return np.take_along_axis(z, label[..., None].astype(int), -1)[..., 0]


def _rows(x: Array) -> Array:
    return x.reshape(len(x), -1).sum(1)


def _means(x: Array) -> Array:
    return x.reshape(len(x), -1).mean(1)


def _huber(r: Array, delta: float) -> Array:
    return np.where(np.abs(r) <= delta, r**2 / 2, delta * np.abs(r) - delta**2 / 2)


def _huber_norm(r: Array, delta: float) -> Array:
    length = np.sqrt(_rows(r**2))
    return np.where(length <= delta, length**2 / (2 * delta), length - delta / 2)


def _bce(p: Array, t: Array) -> Array:
    return _rows(-(t * np.log(p) + (1 - t) * np.log(1 - p)))


def _cosine(a: Array, b: Array) -> Array:
    return 1 - _rows(a * b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


LOSSES: dict[str, tuple[LossCase, ...]] = {
    "squared_error": (
        LossCase("squared_error(p, t)", lambda p, t: _rows((p - t) ** 2)),
        LossCase("squared_error(p, t)", lambda p, t: _rows((p - t) ** 2), p="[2, n]", t="[2, n]"),
    ),
    "half_squared_error": (
        LossCase("half_squared_error(p, t)", lambda p, t: _rows((p - t) ** 2) / 2),
    ),
    "mean_squared_error": (
        LossCase("mean_squared_error(p, t)", lambda p, t: _means((p - t) ** 2)),
    ),
    "mean_absolute_error": (
        LossCase("mean_absolute_error(p, t)", lambda p, t: _means(np.abs(p - t))),
    ),
    "absolute_error": (LossCase("absolute_error(p, t)", lambda p, t: _rows(np.abs(p - t))),),
    "huber": (
        LossCase("huber(p, t)", lambda p, t: _rows(_huber(p - t, 1))),
        LossCase("huber(p, t, delta=0.3)", lambda p, t: _rows(_huber(p - t, 0.3))),
    ),
    "huber_norm": (
        LossCase("huber_norm(p, t)", lambda p, t: _huber_norm(p - t, 1)),
        LossCase("huber_norm(p, t, delta=9)", lambda p, t: _huber_norm(p - t, 9)),
        LossCase(
            "huber_norm(p, t, delta=4)",
            lambda p, t: _huber_norm(p - t, 4),
            p="[2, n]",
            t="[2, n]",
        ),
    ),
    "entropy": (
        LossCase(
            "entropy(p) + entropy(t)",
            lambda p, t: -_rows(p * np.log(p)) - _rows(t * np.log(t)),
            (_distribution, _distribution),
        ),
    ),
    "zero_one": (
        LossCase("zero_one(p, t)", lambda p, t: _rows((p != t) * 1.0), (_bits, _bits)),
        LossCase(
            "zero_one(argmax(p), t)",
            lambda p, t: 1.0 - (p.argmax(-1) == t),
            (_normal, _label),
            t="class[n]",
        ),
    ),
    "cross_entropy": (
        LossCase(
            "cross_entropy(p, t)",
            lambda p, t: -np.log(_pick(_softmax(p), t)),
            (_normal, _label),
            t="class[n]",
        ),
        LossCase(
            "cross_entropy(p, t)",
            lambda p, t: _rows(-np.log(_pick(_softmax(p), t))),
            (_normal, _label),
            p="[3, n]",
            t="class[n][3]",
        ),
    ),
    "nll": (
        LossCase(
            "nll(p, t)",
            lambda p, t: -np.log(_pick(p, t)),
            (_distribution, _label),
            t="class[n]",
        ),
        LossCase(
            "nll(p, t)",
            lambda p, t: _rows(-np.log(_pick(p, t))),
            (_distribution, _label),
            p="[3, n]",
            t="class[n][3]",
        ),
    ),
    "categorical_cross_entropy": (
        LossCase(
            "categorical_cross_entropy(p, t)",
            lambda p, t: -_rows(t * np.log(p)),
            (_distribution, _distribution),
        ),
    ),
    "binary_cross_entropy": (
        LossCase("binary_cross_entropy(p, t)", _bce, (_probability, _bits)),
        LossCase("binary_cross_entropy(p, t)", _bce, (_probability, _probability)),
    ),
    "binary_cross_entropy_with_logits": (
        LossCase(
            "binary_cross_entropy_with_logits(p, t)",
            lambda p, t: _bce(1 / (1 + np.exp(-p)), t),
            (_normal, _bits),
        ),
        LossCase(
            "binary_cross_entropy_with_logits(p, t)",
            lambda p, t: _bce(1 / (1 + np.exp(-p)), t),
            (_normal, _probability),
        ),
    ),
    "hinge": (
        LossCase("hinge(p, t)", lambda p, t: _rows(np.clip(1 - t * p, 0, None)), (_normal, _signs)),
    ),
    "logistic": (
        LossCase("logistic(p, t)", lambda p, t: _rows(np.logaddexp(0, -t * p)), (_normal, _signs)),
    ),
    "perceptron_criterion": (
        LossCase(
            "perceptron_criterion(p, t)",
            lambda p, t: _rows(np.where(t * p < 0, -t * p, 0)),
            (_normal, _signs),
        ),
    ),
    "gaussian_nll": (
        LossCase("gaussian_nll(p, t)", lambda p, t: _rows(log(2 * pi) / 2 + (p - t) ** 2 / 2)),
        LossCase(
            "gaussian_nll(p, t, sigma=exp(0.1 * p))",
            lambda p, t: _rows(0.1 * p + log(2 * pi) / 2 + (p - t) ** 2 / np.exp(0.2 * p) / 2),
        ),
    ),
    "laplace_nll": (
        LossCase("laplace_nll(p, t)", lambda p, t: _rows(log(2) + np.abs(p - t))),
        LossCase("laplace_nll(p, t, b=0.4)", lambda p, t: _rows(log(0.8) + np.abs(p - t) / 0.4)),
    ),
    "kl_divergence": (
        LossCase(
            "kl_divergence(t, p)",
            lambda p, t: _rows(t * np.log(t / p)),
            (_distribution, _distribution),
        ),
        LossCase(
            "kl_divergence(p, t)",
            lambda p, t: _rows(p * np.log(p / t)),
            (_distribution, _distribution),
        ),
    ),
    "one_hot": (
        LossCase("sum(one_hot(t, n) * p)", _pick, (_normal, _label), t="class[n]"),
        LossCase(
            "sum(one_hot(t, n) * p)",
            lambda p, t: _rows(_pick(p, t)),
            (_normal, _label),
            p="[3, n]",
            t="class[n][3]",
        ),
    ),
    "cosine_distance": (LossCase("cosine_distance(p, t)", _cosine),),
}


@dataclass(frozen=True)
class LossPoint:
    """One sample where a naive formula fails: the value, and the gradient by p."""

    call: str
    p: tuple[float, ...]
    t: tuple[float, ...] | int
    value: float
    gradient: tuple[float, ...] | None = None


_LOGITS = "binary_cross_entropy_with_logits(p, t)"
_BCE = "binary_cross_entropy(p, t)"
LOSS_POINTS: tuple[LossPoint, ...] = (
    LossPoint("cross_entropy(p, t)", (1e4, 0, -1e4, 0), 0, 0, (0, 0, 0, 0)),
    LossPoint("cross_entropy(p, t)", (1e4, 0, -1e4, 0), 2, 2e4, (1, 0, -1, 0)),
    LossPoint("cross_entropy(p, t)", (40, 0, -np.inf, -np.inf), 1, 40, (1, -1, 0, 0)),
    LossPoint(_LOGITS, (1e4, -1e4), (1, 0), 0, (0, 0)),
    LossPoint(_LOGITS, (1e4, -1e4), (0, 1), 2e4, (1, -1)),
    LossPoint(_LOGITS, (0,), (1,), log(2), (-0.5,)),
    LossPoint(_LOGITS, (40,), (1,), float(np.exp(-40)), (-float(np.exp(-40)),)),
    LossPoint(_LOGITS, (-40,), (0,), float(np.exp(-40)), (float(np.exp(-40)),)),
    LossPoint(_LOGITS, (0.01,), (1,), float(np.log1p(np.exp(-0.01))), None),
    LossPoint(_LOGITS, (0.01,), (0,), float(np.log1p(np.exp(0.01))), None),
    LossPoint(_BCE, (0, 1), (0, 1), 0, (1, -1)),
    LossPoint(_BCE, (1e-44,), (1,), 100, (0,)),
    LossPoint(_BCE, (0, 1), (1, 0), 200, (0, 0)),
    LossPoint(_BCE, (float(np.exp(-100.5)),), (1,), 100, (0,)),
    LossPoint("logistic(p, t)", (1e4, -1e4), (1, -1), 0, (0, 0)),
    LossPoint("logistic(p, t)", (1e4, -1e4), (-1, 1), 2e4, (1, -1)),
    LossPoint("logistic(p, t)", (0,), (1,), log(2), (-0.5,)),
    LossPoint("categorical_cross_entropy(p, t)", (0, 1), (0, 1), 0, (0, -1)),
    LossPoint("kl_divergence(p, t)", (0, 1), (0.5, 0.5), log(2), None),
    LossPoint("kl_divergence(t, p)", (0, 1), (0, 1), 0, (0, -1)),
    LossPoint("cosine_distance(p, t)", (0, 0), (1, 2), 1, None),
    LossPoint("cosine_distance(p, t)", (1e4, 0), (1e4, 0), 0, (0, 0)),
    LossPoint("cosine_distance(p, t)", (1e-9, 0), (1, 0), 0.9, (-1e8, 0)),
    LossPoint("cosine_distance(p, t)", (1, 0), (1e-9, 0), 0.9, (0, 0)),
    LossPoint("absolute_error(p, t)", (1, 2), (1, 1), 1, (0, 1)),
    LossPoint("huber(p, t)", (1e4, 1), (0, 0), 1e4 - 0.5 + 0.5, (1, 1)),
    LossPoint("huber_norm(p, t)", (0, 0), (0, 0), 0, (0, 0)),
    LossPoint("huber_norm(p, t)", (3e4, 0), (0, 4e4), 5e4 - 0.5, (0.6, -0.8)),
    LossPoint("huber_norm(p, t, delta=5)", (3, 0), (0, 4), 2.5, (0.6, -0.8)),
    LossPoint("entropy(p) + 0 * t[0]", (0, 1), (0, 0), 0, (0, -1)),
    LossPoint("zero_one(p, t)", (0, 2), (0, 1), 1, (0, 0)),
    LossPoint("mean_absolute_error(p, t)", (1, 2), (1, 1), 0.5, (0, 0.5)),
    LossPoint("hinge(p, t)", (1, 0), (1, 1), 1, (0, -1)),
    LossPoint("perceptron_criterion(p, t)", (0, 2), (1, -1), 2, (-1, 1)),
)
