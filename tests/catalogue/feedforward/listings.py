"""The listings of the text in NumPy, sample by sample and layer by layer as they are printed.

Invariant: lists of layers start with layer 1, so `W[l - 1]` is the text's W_l.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Vectors = list[np.ndarray]

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda z: z,
    "sigmoid": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softmax": softmax,
}
SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": np.ones_like,
    "sigmoid": lambda z: expit(z) * expit(-z),
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "relu": lambda z: (z > 0).astype(float),
}


def forward(
    h: np.ndarray, W: Vectors, theta: Vectors, hidden: str, head: str
) -> tuple[Vectors, Vectors]:
    """Listings (65.31) and (65.43): y_1, …, y_L and z_1 (unused), z_2, …, z_L of one sample."""
    y, z = [h], [h]
    for layer, (matrix, offset) in enumerate(zip(W, theta, strict=True)):
        z.append(matrix.T @ y[-1] - offset)
        y.append(ACTIVATIONS[head if layer == len(W) - 1 else hidden](z[-1]))
    return y, z


def softmax_jacobian(gamma_hat: np.ndarray) -> np.ndarray:
    """J of (65.69)."""
    return np.diag(gamma_hat) - np.outer(gamma_hat, gamma_hat)


def boundary(
    gamma: np.ndarray, gamma_hat: np.ndarray, z: np.ndarray, head: str, risk: str
) -> np.ndarray:
    """delta_L of Table 65.2."""
    if "cross_entropy" in risk:
        return gamma_hat - gamma
    if head == "softmax":
        return 2 * softmax_jacobian(gamma_hat) @ (gamma_hat - gamma)
    return 2 * (gamma_hat - gamma) * SLOPES[head](z)


def backward(last: np.ndarray, z: Vectors, W: Vectors, hidden: str) -> Vectors:
    """Listing (65.63): delta_2, …, delta_L."""
    delta = [last]
    for layer in range(len(W) - 1, 0, -1):
        delta.insert(0, SLOPES[hidden](z[layer]) * (W[layer] @ delta[0]))
    return delta


def risk_gradients(
    H: np.ndarray, G: np.ndarray, W: Vectors, theta: Vectors, kind: tuple[str, str, str], rho: float
) -> tuple[Vectors, Vectors]:
    """Listing (65.81): dP/dW_l and dP/dtheta_l; `kind` is hidden, head and risk."""
    hidden, head, risk = kind
    by_w, by_theta = [2 * rho * m for m in W], [np.zeros_like(t) for t in theta]
    for h, gamma in zip(H, G, strict=True):
        y, z = forward(h, W, theta, hidden, head)
        delta = backward(boundary(gamma, y[-1], z[-1], head, risk), z, W, hidden)
        for layer, d in enumerate(delta):
            by_w[layer] = by_w[layer] + np.outer(y[layer], d) / len(H)
            by_theta[layer] = by_theta[layer] - d / len(H)
    return by_w, by_theta


def mini_batch(
    H: np.ndarray,
    G: np.ndarray,
    W: Vectors,
    theta: Vectors,
    kind: tuple[str, str, str],
    *,
    mu: float,
    rho: float,
    masks: Sequence[np.ndarray] | None = None,
    fresh: bool = False,
) -> tuple[Vectors, Vectors]:
    """One iteration of (65.82), (65.149) or, with masks a_1, …, a_(L-1), of (65.124).

    Update and backward step share one loop; `fresh` takes the new weights in the backward step,
    which is a mistake that a blended loop invites.
    """
    hidden, head, risk = kind
    masks = masks or [np.ones(len(m)) for m in W]
    W, theta, old = [*W], [*theta], [*W]
    runs = []
    for h in H:
        y, z = [h], [h]
        for layer, (matrix, offset) in enumerate(zip(W, theta, strict=True)):
            z.append(matrix.T @ (y[-1] * masks[layer]) - offset)
            y.append(ACTIVATIONS[head if layer == len(W) - 1 else hidden](z[-1]))
        runs.append((y, z))
    delta = [boundary(g, y[-1], z[-1], head, risk) for g, (y, z) in zip(G, runs, strict=True)]
    size = len(H)
    for layer in range(len(W) - 1, -1, -1):
        seen = [y[layer] * masks[layer] for y, _ in runs]
        moves = sum(np.outer(s, d) for s, d in zip(seen, delta, strict=True))
        W[layer] = (1 - 2 * mu * rho) * W[layer] - mu / size * moves
        theta[layer] = theta[layer] + mu / size * sum(delta)
        back = W[layer] if fresh else old[layer]
        if layer:
            delta = [
                SLOPES[hidden](z[layer]) * (back @ d) * masks[layer]
                for d, (_, z) in zip(delta, runs, strict=True)
            ]
    return W, theta
