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
    """`chain` applied to x of `shape`; the value in inference from the parameters by short name.

    `coupled` tells that a sample's value depends on the other samples, `compares` that it bends
    where two elements of a sample are equal.
    """

    chain: str
    shape: tuple[int, ...]
    value: Callable[[dict[str, Array], Array], Array]
    coupled: bool = False
    compares: bool = False


def _products(x: Array) -> Array:
    a = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    return np.stack([np.outer(row, row).ravel() for row in a])


def _rows(table: Array, x: Array) -> Array:
    """A product with one-hot codes of the whole part; none for numbers below 0 or too large."""
    return (np.floor(x)[..., None] == np.arange(len(table))) @ table


LAYERS: dict[str, tuple[Layer, ...]] = {
    "dense": (
        Layer("dense(3)", (5,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense(3, act=tanh, bias=false)", (5,), lambda w, x: np.tanh(x @ w["W"])),
        Layer("dense(2, init=normal(0, 0.5))", (5,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense(1)", (1,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense(17)", (8,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense(16, act=softplus)", (13,), lambda w, x: np.logaddexp(0, x @ w["W"] + w["b"])),
    ),
    "dense_last": (
        Layer("dense_last(3)", (5,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("dense_last(3, act=tanh)", (2, 5), lambda w, x: np.tanh(x @ w["W"] + w["b"])),
        Layer("dense_last(8, bias=false)", (3, 2, 7), lambda w, x: x @ w["W"]),
        Layer("dense_last(1)", (17, 1), lambda w, x: x @ w["W"] + w["b"]),
    ),
    "masked_dense": (
        Layer("masked_dense(3)", (5,), lambda w, x: x @ w["W"] + w["b"]),
        Layer("masked_dense(2, act=tanh, bias=false)", (9,), lambda w, x: np.tanh(x @ w["W"])),
    ),
    "weight_norm_dense": (
        Layer(
            "weight_norm_dense(3)",
            (5,),
            lambda w, x: x @ (w["g"] * w["V"] / np.linalg.norm(w["V"], axis=0)) + w["b"],
        ),
    ),
    "second_order": (
        Layer("second_order(2)", (3,), lambda w, x: _products(x) @ w["W"]),
        Layer("second_order(3, act=tanh)", (1,), lambda w, x: np.tanh(_products(x) @ w["W"])),
    ),
    "embedding": (
        Layer("embedding(3, 2)", (), lambda w, x: _rows(w["W"], x)),
        Layer("embedding(2, 5, init=uniform(0, 1))", (4,), lambda w, x: _rows(w["W"], x)),
    ),
    "flatten": (
        Layer("flatten", (2, 3, 2), lambda w, x: x.reshape(len(x), -1)),
        Layer("flatten", (17, 1), lambda w, x: x.reshape(len(x), -1)),
    ),
    "dropout": (
        Layer("dropout(0.3)", (4,), lambda w, x: x),
        Layer("dropout", (3, 17), lambda w, x: x),
        Layer("dropout(0.2, shared=true)", (9,), lambda w, x: x),
    ),
    "alpha_dropout": (
        Layer("alpha_dropout(0.1)", (4,), lambda w, x: x),
        Layer("alpha_dropout", (17,), lambda w, x: x),
    ),
    "gaussian_noise": (
        Layer("gaussian_noise(0.5)", (4,), lambda w, x: x),
        Layer("gaussian_noise", (7, 3), lambda w, x: x),
    ),
    "prelu": (
        Layer("prelu", (4,), lambda w, x: np.maximum(x, 0) + w["alpha"] * np.minimum(x, 0)),
        Layer("prelu(start=0.1)", (2, 3), lambda w, x: np.where(x > 0, x, w["alpha"] * x)),
        Layer("prelu", (17,), lambda w, x: np.where(x > 0, x, w["alpha"] * x)),
    ),
    "rrelu": (
        Layer("rrelu", (4,), lambda w, x: np.where(x > 0, x, 11 / 48 * x)),
        Layer("rrelu(0.1, 0.3)", (4,), lambda w, x: np.where(x > 0, x, 0.2 * x)),
        Layer("rrelu(0, 1)", (2, 8), lambda w, x: np.where(x > 0, x, 0.5 * x)),
    ),
    "residual": (
        Layer("residual(dense(4) |> tanh)", (4,), lambda w, x: x + np.tanh(x @ w["W"] + w["b"])),
        Layer("residual(dense_last(1))", (17, 1), lambda w, x: x + x @ w["W"] + w["b"]),
    ),
}
