"""Convolutions in NumPy, tap by tap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.prelude.references.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prelude.references.layers import Array

    Value = Callable[[dict[str, Array], Array], Array]

Pair = tuple[int, int]


def _with_bias(w: dict[str, Array], y: Array) -> Array:
    return y + w["b"][:, None, None] if "b" in w else y


def _convolution(
    stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1
) -> Value:
    """Shifted images, each times the weights of one tap."""

    def value(w: dict[str, Array], x: Array) -> Array:
        W = w["W"]
        framed = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
        sizes = [
            (n - d * (k - 1) - 1) // s + 1
            for n, d, k, s in zip(framed.shape[2:], dilation, W.shape[2:], stride, strict=True)
        ]
        parts = np.split(framed, groups, axis=1)
        result = []
        for part, some in zip(parts, np.split(W, groups), strict=True):
            y = np.zeros((len(x), len(some), *sizes))
            for u, v in np.ndindex(*W.shape[2:]):
                top, left = u * dilation[0], v * dilation[1]
                rows = slice(top, top + (sizes[0] - 1) * stride[0] + 1, stride[0])
                columns = slice(left, left + (sizes[1] - 1) * stride[1] + 1, stride[1])
                y += np.einsum("bcij,fc->bfij", part[:, :, rows, columns], some[:, :, u, v])
            result.append(y)
        return _with_bias(w, np.concatenate(result, axis=1))

    return value


def _transpose(stride: Pair = (1, 1), padding: Pair = (0, 0), extra: Pair = (0, 0)) -> Value:
    """Every place adds its weights to the elements under it; the padding is cut off."""

    def value(w: dict[str, Array], x: Array) -> Array:
        W = w["W"]
        sizes = [
            (n - 1) * s + k + e
            for n, s, k, e in zip(x.shape[2:], stride, W.shape[2:], extra, strict=True)
        ]
        y = np.zeros((len(x), W.shape[1], *sizes))
        for i, j in np.ndindex(*x.shape[2:]):
            rows = slice(i * stride[0], i * stride[0] + W.shape[2])
            columns = slice(j * stride[1], j * stride[1] + W.shape[3])
            y[:, :, rows, columns] += np.einsum("bc,cfuv->bfuv", x[:, :, i, j], W)
        cut = tuple(slice(p, n - p) for p, n in zip(padding, sizes, strict=True))
        return _with_bias(w, y[(..., *cut)])

    return value


def _line(value: Value) -> Value:
    """Along the last axis of [batch, channels, n], by way of an image one high."""

    def line(w: dict[str, Array], x: Array) -> Array:
        return value({**w, "W": w["W"][:, :, None]}, x[:, :, None])[:, :, 0]

    return line


CONVOLUTIONS: dict[str, tuple[Layer, ...]] = {
    "conv": (
        Layer("conv(3, 3)", (2, 5, 7), _convolution()),
        Layer("conv(2, kernel=[1, 2], bias=false)", (3, 2, 3), _convolution()),
        Layer('conv(4, 3, padding="same")', (1, 4, 5), _convolution(padding=(1, 1))),
        Layer("conv(3, 3, stride=2, padding=1)", (2, 7, 6), _convolution((2, 2), (1, 1))),
        Layer('conv(2, 2, dilation=2, padding="valid")', (1, 5, 4), _convolution(dilation=(2, 2))),
        Layer(
            "conv(4, 3, padding=[1, 0], groups=2)",
            (2, 3, 5),
            _convolution((1, 1), (1, 0), groups=2),
        ),
        Layer("conv(2, 1, act=tanh)", (17, 1, 1), lambda w, x: np.tanh(_convolution()(w, x))),
    ),
    "conv1d": (
        Layer("conv1d(3, 3)", (2, 7), _line(_convolution())),
        Layer("conv1d(2, 4, stride=3, padding=2)", (1, 16), _line(_convolution((1, 3), (0, 2)))),
        Layer("conv1d(2, 2, dilation=3, bias=false)", (3, 8), _line(_convolution(dilation=(1, 3)))),
    ),
    "conv_transpose": (
        Layer("conv_transpose(2, 3)", (3, 2, 3), _transpose()),
        Layer("conv_transpose(3, 2, stride=2)", (1, 3, 2), _transpose((2, 2))),
        Layer("conv_transpose(1, 3, stride=2, padding=1)", (2, 3, 4), _transpose((2, 2), (1, 1))),
        Layer(
            'conv_transpose(2, 2, stride=3, padding="same", bias=false)',
            (2, 2, 2),
            _transpose((3, 3), extra=(1, 1)),
        ),
    ),
}
