"""Paths that an optimizer takes: with gradients that a test gives, and down a function.

Invariant: every step is one of the compiled program; nothing here knows an update rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.catalogue.tools import compiled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    import netc

ELLIPSE = "net Ellipse { param w: [2] = 1; penalty w[0]^2 + 5 * w[1]^2 }"
"""f = w1² + 5 w2², whose gradient is (2 w1, 10 w2)."""


def trained(net: str, optimizer: str, definitions: str = "") -> netc.Model:
    """A net under an optimizer that the prelude or `definitions` have."""
    return compiled(f"{definitions}\n{net}\ntrain {{ optimizer = {optimizer} }}")


def pushed(optimizer: str, width: int = 1, definitions: str = "") -> netc.Model:
    """A net whose parameter `w` starts at 0 and has the gradient that `step` is given."""
    net = f"net Pushed {{ input g: [{width}]; param w: [{width}] = 0; loss sum(g * w) }}"
    return trained(net, optimizer, definitions)


def follow(model: netc.Model, *steps: ArrayLike) -> NDArray[np.float64]:
    """[steps + 1, …]: `w` at the start and after a step with each row of data."""
    path = [np.array(model.params["w"])]
    for data in zip(*steps, strict=True):
        model.step(*(np.reshape(row, (1, -1)) for row in data))
        path.append(np.array(model.params["w"]))
    return np.array(path)


def given(optimizer: str, gradients: ArrayLike, definitions: str = "") -> NDArray[np.float64]:
    """[steps + 1, n]: the path from 0 whose gradients are the rows of [steps, n] or [steps]."""
    rows = np.array(gradients, float)
    rows = rows.reshape(len(rows), -1)
    return follow(pushed(optimizer, rows.shape[1], definitions), rows)


def descent(
    optimizer: str, steps: int, start: ArrayLike = (1, 1), net: str = ELLIPSE, definitions: str = ""
) -> NDArray[np.float64]:
    """[steps + 1, …]: the path of `w` down the objective of a net without inputs."""
    model = trained(net, optimizer, definitions)
    model.params["w"] = np.array(start, float)
    path = [np.array(model.params["w"])]
    for _ in range(steps):
        model.step()
        path.append(np.array(model.params["w"]))
    return np.array(path)


def ellipse(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """The function w1² + 5 w2² along a path [steps, 2]."""
    return w[..., 0] ** 2 + 5 * w[..., 1] ** 2
