"""The text's network as `.net` text, with W_l of n_l x n_(l+1) and offsets that are subtracted.

Invariant: layer l + 1 has the pre-activation `z_(l+1)` and its parameters are
`z_(l+1).affine.W` and `z_(l+1).affine.theta`, so that W_1 belongs to z_2 as in the text.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tests.catalogue.tools import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import netc

AFFINE = """
## z = W' y - theta, with w ~ N(0, 1 / n_l) and theta ~ N(0, 1).
layer affine(y: [n], units, init: init = lecun_normal()) {
  param W: [n, units] = init
  param theta: [units] = normal(0, 1)
  return y @ W - theta
}
"""

LEAST_SQUARES = "squared_error(gamma_hat, gamma)"
CROSS_ENTROPY = "categorical_cross_entropy(gamma_hat, gamma)"


def network(
    sizes: Sequence[int],
    hidden: str = "tanh",
    head: str = "tanh",
    risk: str = LEAST_SQUARES,
    *,
    port: str = "target",
    extra: str = "",
    train: str = "optimizer = sgd(lr = 0.1)",
) -> str:
    """The net with n_l = sizes; `risk` is the loss of a sample, `extra` more statements."""
    count = len(sizes)
    lines = [f"input h: [{sizes[0]}]", f"{port} gamma: [{sizes[-1]}]"]
    for layer in range(2, count + 1):
        before = "h" if layer == 2 else f"y_{layer - 1}"
        lines.append(f"z_{layer} = {before} |> affine({sizes[layer - 1]})")
        if layer < count:
            lines.append(f"y_{layer} = {hidden}(z_{layer})")
    lines.append(f"output gamma_hat = {head}(z_{count})")
    body = "\n  ".join([*lines, f"loss {risk}", "penalty rho * l2(weights)", extra])
    return f"const rho = 0\n{AFFINE}\nnet Feedforward {{\n  {body}\n}}\ntrain {{ {train} }}\n"


@cache
def small(
    hidden: str = "tanh",
    head: str = "tanh",
    risk: str = LEAST_SQUARES,
    rho: float = 0.0,
) -> netc.Model:
    """A compiled (4, 5, 3, 3) net; tests that share it set its parameters first."""
    return compiled(network((4, 5, 3, 3), hidden, head, risk), defines={"rho": rho})


def offsets(model: netc.Model) -> list[np.ndarray]:
    """The vectors theta_1, theta_2, … as copies."""
    return [np.array(v) for name, v in model.params.items() if name.endswith("theta")]


def weights(model: netc.Model) -> list[np.ndarray]:
    """The matrices W_1, W_2, … as copies."""
    return [np.array(v) for name, v in model.params.items() if name.endswith("W")]


def gradients(model: netc.Model) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The gradients by W_1, W_2, … and by theta_1, theta_2, … of the last `backward`."""
    grads = {name: np.array(value) for name, value in model.grads.items()}
    by_weights = [v for name, v in grads.items() if name.endswith("W")]
    return by_weights, [v for name, v in grads.items() if name.endswith("theta")]


def redraw(model: netc.Model, seed: int) -> np.random.Generator:
    """Draws all parameters anew, normal with standard deviation 0.7; returns the generator."""
    draw = np.random.default_rng(seed)
    model.params.flat = 0.7 * draw.normal(size=model.params.flat.size)
    return draw


def labels(draw: np.random.Generator, samples: int, classes: int) -> np.ndarray:
    """One-hot rows of random classes."""
    return np.eye(classes)[draw.integers(0, classes, samples)]
