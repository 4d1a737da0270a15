"""Normalisation in NumPy, in inference; states have their first values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.prelude.references.layers import Layer

if TYPE_CHECKING:
    from tests.prelude.references.layers import Array


def _each(v: Array, x: Array) -> Array:
    """One number for each channel, in the axes of x."""
    return v.reshape(-1, *(1,) * (x.ndim - 2))


def _channel_mean(_: dict[str, Array], x: Array) -> Array:
    means = [x[:, i].mean() for i in range(x.shape[1])]
    return np.tile(means, (len(x), 1))


def _batch_norm(w: dict[str, Array], x: Array) -> Array:
    return _each(w["gamma"], x) * x / np.sqrt(1 + 1e-5) + _each(w["beta"], x)


def _layer_norm(w: dict[str, Array], x: Array) -> Array:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return w["gamma"] * scaled + w["beta"]


NORMALISATION: dict[str, tuple[Layer, ...]] = {
    "channel_mean": (
        Layer("channel_mean", (5,), _channel_mean, coupled=True),
        Layer("channel_mean", (3, 5), _channel_mean, coupled=True),
        Layer("channel_mean", (2, 3, 4), _channel_mean, coupled=True),
    ),
    "per_channel": (
        Layer("per_channel(iota(3))", (3,), lambda w, x: x),
        Layer("per_channel(reshape(iota(6), [3, 2]))", (3,), lambda w, x: np.stack((x, x), 2)),
        Layer(
            "per_channel(reshape(iota(30), [2, 3, 5]))",
            (2,),
            lambda w, x: np.einsum("bc,hw->bchw", x, np.ones((3, 5))),
        ),
    ),
    "batch_norm": (
        Layer("batch_norm", (7,), _batch_norm),
        Layer("batch_norm", (3, 5), _batch_norm),
        Layer("batch_norm", (2, 3, 4), _batch_norm),
        Layer("batch_norm(momentum=0.5, eps=0)", (17,), lambda w, x: w["gamma"] * x + w["beta"]),
    ),
    "layer_norm": (
        Layer("layer_norm", (5,), _layer_norm),
        Layer("layer_norm", (2, 5), _layer_norm),
    ),
    "standardize": (
        Layer("standardize", (5,), lambda w, x: x),
        Layer("standardize(eps=2)", (3, 5), lambda w, x: x / 2),
    ),
}
