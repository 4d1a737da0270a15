"""Pools in NumPy, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.prelude.references.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prelude.references.layers import Array


def _windows(
    x: Array, size: tuple[int, int], stride: tuple[int, int], padding: int, fill: float
) -> Array:
    """The elements under each window of images [batch, channels, height, width], last."""
    edges = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    framed = np.pad(x, edges, constant_values=fill)
    high, wide = (
        range(0, n - k + 1, s) for n, k, s in zip(framed.shape[2:], size, stride, strict=True)
    )
    parts = [[framed[:, :, i : i + size[0], j : j + size[1]] for j in wide] for i in high]
    return np.moveaxis(np.array(parts), (0, 1), (2, 3)).reshape(
        *x.shape[:2], len(high), len(wide), size[0] * size[1]
    )


def _max(
    size: tuple[int, int], stride: tuple[int, int] | None = None, padding: int = 0
) -> Callable[[dict[str, Array], Array], Array]:
    return lambda _, x: _windows(x, size, stride or size, padding, -np.inf).max(-1)


def _mean(
    size: tuple[int, int], stride: tuple[int, int] | None = None, padding: int = 0
) -> Callable[[dict[str, Array], Array], Array]:
    return lambda _, x: _windows(x, size, stride or size, padding, 0.0).mean(-1)


def _line(
    pool: Callable[[dict[str, Array], Array], Array],
) -> Callable[[dict[str, Array], Array], Array]:
    """A pool along the last axis of [batch, channels, n], by way of an image one high."""
    return lambda w, x: pool(w, x[:, :, None])[:, :, 0]


POOLS: dict[str, tuple[Layer, ...]] = {
    "max_pool": (
        Layer("max_pool(2)", (2, 4, 6), _max((2, 2)), compares=True),
        Layer("max_pool(2)", (3, 5, 7), _max((2, 2)), compares=True),
        Layer("max_pool(3, stride=2)", (1, 7, 9), _max((3, 3), (2, 2)), compares=True),
        Layer(
            "max_pool(3, stride=2, padding=1)", (2, 6, 7), _max((3, 3), (2, 2), 1), compares=True
        ),
        Layer("max_pool([1, 3], stride=[2, 1])", (2, 5, 6), _max((1, 3), (2, 1)), compares=True),
        Layer("max_pool(4, stride=2)", (1, 6, 8), _max((4, 4), (2, 2)), compares=True),
        Layer("max_pool(3, stride=2)", (2, 9), _line(_max((1, 3), (1, 2))), compares=True),
    ),
    "avg_pool": (
        Layer("avg_pool(2)", (2, 4, 6), _mean((2, 2))),
        Layer("avg_pool(3, stride=2, padding=1)", (2, 6, 7), _mean((3, 3), (2, 2), 1)),
        Layer("avg_pool([2, 3])", (3, 5, 6), _mean((2, 3))),
        Layer("avg_pool(4, stride=1)", (1, 5, 6), _mean((4, 4), (1, 1))),
        Layer("avg_pool(2)", (3, 7), _line(_mean((1, 2), (1, 2)))),
    ),
    "global_avg_pool": (Layer("global_avg_pool", (3, 4, 5), lambda w, x: x.mean((2, 3))),),
    "depth_max_pool": (
        Layer("depth_max_pool", (3, 2, 3), lambda w, x: x.max(1, keepdims=True), compares=True),
        Layer(
            "depth_max_pool(2)",
            (6, 2, 3),
            lambda w, x: np.maximum(x[:, ::2], x[:, 1::2]),
            compares=True,
        ),
    ),
}
