"""Newton's method for nets that return the Hessian of their objective.

Invariant: gradient and Hessian are the compiled ones of the same parameters and the same samples;
only the linear system is solved here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from netc.model import Model
    from netc.runtime.arrays import Array


def minimise(
    model: Model,
    *data: Array,
    steps: int = 20,
    tolerance: float = 1e-10,
    damping: float = 0.0,
    hessian: str = "H",
) -> list[float]:
    """Takes steps w ← w - (H + damping I)⁻¹ ∇R until no gradient exceeds `tolerance`.

    For logistic regression these are the steps of iteratively reweighted least squares, for a
    linear net with squared errors the first one ends in the solution of the normal equations. A
    direction in which H is singular is left alone.

    Args:
        model: a net with `output H = hessian(objective, params)` or under another name.
        data: all inputs, then all targets, each with the samples as its first axis.
        steps: the most steps to take.
        tolerance: of the largest absolute value of the gradient.
        damping: what is added to the diagonal of H.
        hessian: the name of the output.

    Returns:
        The objective before each step and at the end.

    Raises:
        UsageError: if the net has no such output, or it has not [P, P] elements for P parameters.

    Source: 000.4.3e, 000.4.3f.
    """
    objectives = [_gradient(model, data)]
    for _ in range(steps):
        slope = np.array(model.grads.flat)
        if np.max(np.abs(slope)) <= tolerance:
            break
        matrix = curvature(model, *data, hessian=hessian) + damping * np.eye(slope.size)
        move = np.linalg.lstsq(matrix, slope, rcond=None)[0]
        model.params.flat = model.params.flat - move
        objectives.append(_gradient(model, data))
    return objectives


def curvature(model: Model, *data: Array, hessian: str = "H") -> Array:
    """The Hessian of the objective over all of the data, [P, P] for P parameters.

    The net returns it once for each of N samples: N P² numbers are in memory for a moment.

    Raises:
        UsageError: if the net has no such output, or it has another shape.
    """
    inputs = data[: len(model.manifest.inputs)]
    shapes = {port.name: port.shape for port in model.manifest.outputs}
    size = model.params.flat.size
    if shapes.get(hessian) != (size, size):
        raise UsageError(
            f"the net has no output `{hessian}` of shape [{size}, {size}]",
            f"add `output {hessian} = hessian(objective, params)`",
        )
    if hessian not in model.output_names:
        found = model.evaluate(*data, batch=len(data[0]))[hessian]
    else:
        outputs = model.forward(*inputs)
        found = outputs[hessian] if isinstance(outputs, dict) else outputs
    return np.array(found[0])


def _gradient(model: Model, data: tuple[Array, ...]) -> float:
    """The objective; its gradient is in `model.grads` afterwards."""
    inputs = len(model.manifest.inputs)
    model.forward(*data[:inputs], training=True)
    return model.backward(*data[inputs:])
