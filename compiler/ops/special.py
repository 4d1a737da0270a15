"""Functions that NumPy lacks, over arrays, correct to a few units in the last place of f64."""

from __future__ import annotations

from math import erf, erfc, pi, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from netc.compiler.ir.op import Array

Doubles = NDArray[np.float64]

_ERF: Final = np.vectorize(erf, otypes=[np.float64])
_ERFC: Final = np.vectorize(erfc, otypes=[np.float64])


def sigmoid_numpy(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow and without cancellation in either tail."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def erf_numpy(x: Array) -> Doubles:
    return np.asarray(_ERF(x), np.float64)


def erfinv_numpy(x: Array) -> Doubles:
    """Winitzki's approximation (2008), then Halley steps on erf (middle) or erfc (tails)."""
    shape = np.shape(x)
    x = np.asarray(x, np.float64).ravel()
    inside = np.abs(x) < 1
    a = np.where(inside, np.abs(x), 0.5)
    logarithm = np.log1p(-a * a)
    t = 2 / (pi * 0.147) + logarithm / 2
    z = np.sqrt(np.maximum(np.sqrt(t * t - logarithm / 0.147) - t, 0))
    middle, tail = np.flatnonzero(a < 0.5), np.flatnonzero(a >= 0.5)
    error = np.empty_like(a)
    for _ in range(3):  # each place is asked only for the function it needs: they are slow
        error[middle] = _ERF(z[middle]) - a[middle]
        error[tail] = (1 - a[tail]) - _ERFC(z[tail])
        newton = error / (2 / sqrt(pi) * np.exp(-z * z))
        z = z - newton / (1 + z * newton)
    edge = np.where(np.abs(x) == 1, np.inf, np.nan)
    return np.copysign(np.where(inside, z, edge), x).reshape(shape)
