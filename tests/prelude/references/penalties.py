"""Penalties in NumPy, of a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float64]


def _mixture(
    w: Array, mu: tuple[float, ...], sigma: tuple[float, ...], share: tuple[float, ...]
) -> float:
    density = np.zeros_like(w)
    for m, s, a in zip(mu, sigma, share, strict=True):
        density += a / (np.sqrt(2 * np.pi) * s) * np.exp(-((w - m) ** 2) / (2 * s**2))
    return float(-np.log(density).sum())


def _flat(J: Array, eps: float) -> float:
    lengths = np.linalg.norm(J, axis=0)
    spread = np.log(((np.abs(J) / lengths).sum(axis=1) ** 2).sum())
    return float(np.log(lengths).sum() + J.shape[1] / 2 * (spread - np.log(eps)))


PENALTIES: dict[str, tuple[tuple[str, Callable[[Array], float]], ...]] = {
    "l1": (("l1(w)", lambda w: float(np.abs(w).sum())),),
    "l2": (("l2(w)", lambda w: float(w @ w)),),
    "elastic_net": (
        ("elastic_net(w)", lambda w: float(0.5 * np.abs(w).sum() + 0.5 * w @ w)),
        ("elastic_net(w, a=0.2)", lambda w: float(0.2 * np.abs(w).sum() + 0.8 * w @ w)),
    ),
    "weight_elimination": (
        ("weight_elimination(w)", lambda w: float((1 / (1 + 0.04 / w**2)).sum())),
        ("weight_elimination(w, w0=2)", lambda w: float((1 / (1 + 4 / w**2)).sum())),
    ),
    "cauchy": (("cauchy(w)", lambda w: float(np.log(1 + w @ w))),),
    "cauchy_each": (("cauchy_each(w)", lambda w: float(np.log(1 + w**2).sum())),),
    "soft_weight_sharing": (
        (
            "soft_weight_sharing(w, [-1, 0.2], [0.5, 2], [0.3, 0.7])",
            lambda w: _mixture(w, (-1, 0.2), (0.5, 2), (0.3, 0.7)),
        ),
        ("soft_weight_sharing(w, [0], [1], [1])", lambda w: _mixture(w, (0,), (1,), (1,))),
    ),
    "flat_minimum": (
        (
            "flat_minimum(stack(flatten(w), exp(flatten(w))))",
            lambda w: _flat(np.stack([w, np.exp(w)]), 0.01),
        ),
        (
            "flat_minimum(stack(cos(flatten(w)), flatten(w)), eps=0.5)",
            lambda w: _flat(np.stack([np.cos(w), w]), 0.5),
        ),
    ),
}
