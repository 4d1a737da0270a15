"""Activations in NumPy, their limits, and their slopes at kinks."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float64]

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772

_erf = np.vectorize(erf, otypes=[np.float64])


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _elu(z: Array, alpha: float) -> Array:
    return np.where(z > 0, z, alpha * (np.exp(np.minimum(z, 0)) - 1))


@dataclass(frozen=True)
class Activation:
    """`call` of z; `kinks` are its points without a first or second derivative."""

    call: str
    value: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()


ACTIVATIONS: dict[str, tuple[Activation, ...]] = {
    "identity": (Activation("identity(z)", lambda z: z),),
    "relu": (Activation("relu(z)", lambda z: z * (z > 0), (0,)),),
    "leaky_relu": (
        Activation("leaky_relu(z)", lambda z: np.maximum(z, 0.01 * z), (0,)),
        Activation("leaky_relu(z, alpha=0.3)", lambda z: np.maximum(z, 0.3 * z), (0,)),
    ),
    "elu": (
        Activation("elu(z)", lambda z: _elu(z, 1), (0,)),
        Activation("elu(z, alpha=0.5)", lambda z: _elu(z, 0.5), (0,)),
    ),
    "selu": (
        Activation("selu(z)", lambda z: 1.0507009873554805 * _elu(z, 1.6732632423543772), (0,)),
    ),
    "gelu": (Activation("gelu(z)", lambda z: z * (1 + _erf(z / sqrt(2))) / 2),),
    "scaled_tanh": (
        Activation("scaled_tanh(z)", lambda z: 1.7159 * np.tanh(2 * z / 3)),
        Activation("scaled_tanh(z, a=2, b=0.5)", lambda z: 2 * np.tanh(z / 2)),
    ),
    "hard_tanh": (Activation("hard_tanh(z)", lambda z: np.clip(z, -1, 1), (-1, 1)),),
    "softplus": (Activation("softplus(z)", lambda z: np.logaddexp(0, z)),),
    "softsign": (Activation("softsign(z)", lambda z: z / (1 + np.abs(z)), (0,)),),
    "swish": (
        Activation("swish(z)", lambda z: z / (1 + np.exp(-z))),
        Activation("swish(z, beta=2)", lambda z: z / (1 + np.exp(-2 * z))),
    ),
    "heaviside": (Activation("heaviside(z)", lambda z: np.heaviside(z, 1), (0,)),),
    "softmax": (Activation("softmax(z)", _softmax),),
    "log_softmax": (Activation("log_softmax(z)", lambda z: np.log(_softmax(z))),),
}

EXTREMES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # values and slopes at -1e4, 0, 1e4: closed forms and the language's rules for kinks
    "identity": ((-1e4, 0, 1e4), (1, 1, 1)),
    "relu": ((0, 0, 1e4), (0, 0, 1)),
    "leaky_relu": ((-100, 0, 1e4), (0.01, 0.01, 1)),
    "elu": ((-1, 0, 1e4), (0, 1, 1)),
    "selu": ((-LAMBDA * ALPHA, 0, LAMBDA * 1e4), (0, LAMBDA * ALPHA, LAMBDA)),
    "gelu": ((0, 0, 1e4), (0, 0.5, 1)),
    "scaled_tanh": ((-1.7159, 0, 1.7159), (0, 1.7159 * 2 / 3, 0)),
    "hard_tanh": ((-1, 0, 1), (0, 1, 0)),
    "softplus": ((0, log(2), 1e4), (0, 0.5, 1)),
    "softsign": ((-1e4 / 10001, 0, 1e4 / 10001), (10001.0**-2, 1, 10001.0**-2)),
    "swish": ((0, 0, 1e4), (0, 0.5, 1)),
    "heaviside": ((0, 1, 1), (0, 0, 0)),
}

INFINITE: dict[str, tuple[float, float]] = {
    # limits at -inf and inf, of those whose formula has no inf * 0 or inf / inf
    "identity": (-np.inf, np.inf),
    "relu": (0, np.inf),
    "leaky_relu": (-np.inf, np.inf),
    "elu": (-1, np.inf),
    "selu": (-LAMBDA * ALPHA, np.inf),
    "scaled_tanh": (-1.7159, 1.7159),
    "hard_tanh": (-1, 1),
    "softplus": (0, np.inf),
    "heaviside": (0, 1),
}

KINKS: tuple[tuple[str, float, float], ...] = (
    # call, point, slope there
    ("relu(z)", 0, 0),
    ("leaky_relu(z, alpha=0.3)", 0, 0.3),
    ("elu(z, alpha=0.5)", 0, 0.5),
    ("selu(z)", 0, LAMBDA * ALPHA),
    ("hard_tanh(z)", 1, 0),
    ("hard_tanh(z)", -1, 0),
    ("abs(z)", 0, 0),
    ("sign(z)", 0, 0),
    ("heaviside(z)", 0, 0),
)
