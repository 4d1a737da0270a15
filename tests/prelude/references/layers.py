"""Layers in NumPy, in inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """`chain` applied to x of `shape`; the value in inference from the parameters by short name."""

    chain: str
    shape: tuple[int, ...]
    value: Callable[[dict[str, Array], Array], Array]


def _normalised(x: Array) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


LAYERS: dict[str, tuple[Layer, ...]] = {
    "dense": (
        Layer("dense(3)", (5,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense(3, act=tanh, bias=false)", (5,), lambda w, x: np.tanh(x @ w["W"])),
        Layer("dense(2, init=normal(0, 0.5))", (5,), lambda w, x: x @ w["W"] + w["b"]),
    ),
    "dense_last": (
        Layer("dense_last(3)", (5,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense_last(3, act=tanh)", (2, 5), lambda w, x: np.tanh(x @ w["W"] + w["b"])),
    ),
    "weight_norm_dense": (
        Layer(
            "weight_norm_dense(3)",
            (5,),
            lambda w, x: x @ (w["g"] * w["V"] / np.linalg.norm(w["V"], axis=0)) + w["b"],
        ),
    ),
    "flatten": (Layer("flatten", (2, 3, 2), lambda w, x: x.reshape(len(x), -1)),),
    "dropout": (Layer("dropout(0.3)", (4,), lambda w, x: x),),
    "alpha_dropout": (Layer("alpha_dropout(0.1)", (4,), lambda w, x: x),),
    "gaussian_noise": (Layer("gaussian_noise(0.5)", (4,), lambda w, x: x),),
    "prelu": (
        Layer("prelu", (4,), lambda w, x: np.maximum(x, 0) + w["alpha"] * np.minimum(x, 0)),
        Layer("prelu(start=0.1)", (2, 3), lambda w, x: np.where(x > 0, x, 0.1 * x)),
    ),
    "rrelu": (
        Layer("rrelu", (4,), lambda w, x: np.where(x > 0, x, 11 / 48 * x)),
        Layer("rrelu(0.1, 0.3)", (4,), lambda w, x: np.where(x > 0, x, 0.2 * x)),
    ),
    "layer_norm": (
        Layer("layer_norm", (5,), lambda w, x: w["gamma"] * _normalised(x) + w["beta"]),
        Layer("layer_norm", (2, 5), lambda w, x: w["gamma"] * _normalised(x) + w["beta"]),
    ),
    "residual": (
        Layer("residual(dense(4) |> tanh)", (4,), lambda w, x: x + np.tanh(x @ w["W"] + w["b"])),
    ),
}
