"""What the experiments of chapters 1 to 5 share: copies of gradients, and the points of XOR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    import netc

XOR = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
XOR_LABELS = np.array([0.0, 1, 1, 0])


def gradients(model: netc.Model, *data: ArrayLike) -> tuple[float, dict[str, NDArray]]:
    """The objective of a full batch, and copies of its gradients by all parameters."""
    inputs = len(model.manifest.inputs)
    model.forward(*data[:inputs], training=True)
    objective = model.backward(*data[inputs:])
    return objective, {name: np.array(value) for name, value in model.grads.items()}
