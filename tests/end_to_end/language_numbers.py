"""NumPy computations that the references of the primitives are made of.

Arrays have a leading axis of samples, of length 1 for what is the same for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final
from zlib import crc32

import numpy as np

Array = np.ndarray
SEED: Final = 3
STEP: Final = 2


# -- random numbers: Philox4x32-10 (Salmon et al., 2011), one number at a time ---------------------


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> int:
    """The first word of a block."""
    mask = (1 << 32) - 1
    a, b, c, d = counter
    k, q = key
    for _ in range(10):
        p, r = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (r >> 32) ^ b ^ k, r & mask, (p >> 32) ^ d ^ q, p & mask
        k, q = (k + 0x9E3779B9) & mask, (q + 0xBB67AE85) & mask
    return a


@dataclass(frozen=True)
class Draws:
    """The uniform numbers of a step for a path: [samples, *shape], or [1, *shape] when shared."""

    samples: int

    def __call__(self, path: str, *shape: int, shared: bool = False) -> Array:
        key = (SEED, crc32(path.encode()))
        rows = [
            [((philox((e, s, STEP, 0), key) >> 9) + 0.5) / 2**23 for e in range(math.prod(shape))]
            for s in range(1 if shared else self.samples)
        ]
        return np.array(rows).reshape(len(rows), *shape)


def gauss(u: Array) -> Array:
    return np.vectorize(NormalDist().inv_cdf, otypes=[float])(u)


# -- the mathematics -------------------------------------------------------------------------------


def of_numbers(function: Callable[..., float]) -> Callable[..., Array]:
    """A function of numbers, element by element."""
    return np.vectorize(function, otypes=[float])


def inverse_erf(y: float) -> float:
    return NormalDist().inv_cdf((y + 1) / 2) / math.sqrt(2)


def lse(x: Array, axis: int | tuple[int, ...], keepdims: bool = False) -> Array:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def each(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of the values of one sample, for each of them."""

    def of_all(*arrays: Array) -> Array:
        count = max(map(len, arrays))
        rows = [[x[b] if len(x) > 1 else x[0] for x in arrays] for b in range(count)]
        return np.array([function(*row) for row in rows], float)

    return of_all


def einsum(spec: str) -> Callable[..., Array]:
    return each(lambda *arrays: np.einsum(spec, *arrays))


def hot(t: Array, n: int) -> Array:
    return (t[..., None] == np.arange(n)).astype(float)


def padded(x: Array, *widths: tuple[int, int]) -> Array:
    return np.pad(x, ((0, 0), *widths))


def windows(x: Array, size: int, stride: int = 1, dilation: int = 1) -> Array:
    """Every window along the last axis, which becomes places and elements of the window."""
    reach = (size - 1) * dilation + 1
    starts = range(0, x.shape[-1] - reach + 1, stride)
    return np.stack([x[..., i : i + reach : dilation] for i in starts], -2)


def convolved(x: Array, w: Array, groups: int = 1, **given: int) -> Array:
    """One axis: x [n, c, i], w [n, f, c / groups, k] with as many or one sample."""
    parts = np.split(windows(x, w.shape[-1], **given), groups, 1)
    pairs = zip(parts, np.split(w, groups, 1), strict=True)
    return np.concatenate([each(lambda v, u: np.einsum("cpk,fck->fp", v, u))(*p) for p in pairs], 1)


def spread_out(x: Array, w: Array, stride: int = 1) -> Array:
    """The transpose of a convolution of one axis: x [n, f, p], w [n, f, c, k]."""

    def of_one(x: Array, w: Array) -> Array:
        result = np.zeros((w.shape[1], (x.shape[1] - 1) * stride + w.shape[2]))
        for p, k in np.ndindex(x.shape[1], w.shape[2]):
            result[:, p * stride + k] += x[:, p] @ w[:, :, k]
        return result

    return each(of_one)(x, w)


def image_windows(x: Array, h: int, w: int, stride: int = 1) -> Array:
    """[…, i, j] as […, places, places, h w]."""
    across = windows(x, w, stride)
    down = windows(np.moveaxis(across, -3, -1), h, stride)
    moved = np.moveaxis(down, (-2, -4, -1, -3), (-4, -3, -2, -1))
    return moved.reshape(*moved.shape[:-2], -1)
