"""Weights taken out of a net for good: by size, Optimal Brain Damage, Optimal Brain Surgeon.

Invariant: a weight that was removed is 0, its mask is 0, and so are the optimizer's states of it.
What is multiplied by a mask of 0 has gradient 0, so it stays exactly 0 under further training and
any decay that is 0 at 0.

A net can be pruned where a layer has a `state mask` beside a `param W` and multiplies them, as
`masked_dense` of the prelude does. Weights are counted as in `model.params.flat`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from netc.model import Model

_MASK: Final = ".mask"
_WEIGHTS: Final = ".W"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The weight to take out, what that is expected to cost, and the move of all weights."""

    index: int
    saliency: float
    change: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Removal:
    """One step of `brain_surgery`: what was removed, and how far its assumptions held."""

    deletion: Deletion
    gradient: float
    """Length of the gradient by the weights that were left; 0 at a minimum."""
    inverse_error: float
    """Spectral norm of I - H⁻¹ H."""
    bounded: bool
    """Whether the correction was scaled down."""


# -- masks -----------------------------------------------------------------------------------------


def kept(model: Model) -> NDArray[np.bool_]:
    """For each number of `model.params.flat`: whether no mask has taken it out."""
    found = [_mask(model, name) for name in model.params]
    shapes = [np.shape(value) for value in model.params.values()]
    parts = [
        np.ones(prod(shape), bool) if mask is None else np.ravel(model.state[mask]) != 0
        for mask, shape in zip(found, shapes, strict=True)
    ]
    return np.concatenate(parts)


def candidates(model: Model) -> NDArray[np.int64]:
    """The weights that may be removed: those with a mask that is still 1.

    Raises UsageError if no layer of the net has masks.
    """
    masked = [name for name in model.params if _mask(model, name) is not None]
    if not masked:
        raise UsageError(
            "no layer of this net has masks", "use `masked_dense`, or a `state mask` beside `W`"
        )
    slices = _places(model)
    places = np.concatenate([np.arange(slices[n].start, slices[n].stop) for n in masked])
    found: NDArray[np.int64] = places[kept(model)[places]]
    return found


def remove(model: Model, indices: ArrayLike, change: ArrayLike | None = None) -> None:
    """Moves all weights by `change` [W], then takes out those at `indices`.

    Raises UsageError, before anything changes, for a number that is no weight or has no mask.
    """
    wanted = np.atleast_1d(np.asarray(indices, np.int64))
    left = kept(model)
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < left.size:
        raise UsageError(f"`params.flat` has {left.size} numbers, 0 to {left.size - 1}")
    without = np.setdiff1d(wanted[left[wanted]], candidates(model))
    if without.size:
        raise UsageError(f"the weight {without[0]} of `params.flat` has no mask")
    if change is not None:
        moved = model.params.flat + np.asarray(change)
        model.params.flat = np.where(left, moved, model.params.flat)
    for name, places in _places(model).items():
        inside = wanted[(wanted >= places.start) & (wanted < places.stop)] - places.start
        if inside.size:
            _take_out(model, name, inside)


def _take_out(model: Model, name: str, inside: NDArray[np.int64]) -> None:
    """Zeroes weights of one parameter, their masks, and the optimizer's memory of them."""
    shape = np.shape(model.params[name])
    memory = (v for k, v in model.optimizer_state.items() if k.rpartition(".")[0] == name)
    for values in (model.params[name], model.state[str(_mask(model, name))], *memory):
        if np.shape(values) == shape:
            values[np.unravel_index(inside, shape)] = 0


def _mask(model: Model, name: str) -> str | None:
    """The state that masks a parameter."""
    state = name.removesuffix(_WEIGHTS) + _MASK
    fits = name.endswith(_WEIGHTS) and state in model.state
    return state if fits and np.shape(model.state[state]) == np.shape(model.params[name]) else None


def _places(model: Model) -> dict[str, slice]:
    """Where each parameter lies in `params.flat`."""
    found, start = {}, 0
    for name, value in model.params.items():
        found[name] = slice(start, start + prod(np.shape(value)))
        start = found[name].stop
    return found


# -- what to remove --------------------------------------------------------------------------------


def smallest(model: Model, share: float) -> NDArray[np.int64]:
    """The weights of least absolute value: this share of those that may be removed.

    Source: magnitude pruning, 000.8.7a.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"`share` is between 0 and 1, found {share}")
    among = candidates(model)
    order = np.argsort(np.abs(model.params.flat[among]), kind="stable")
    return among[order[: round(share * among.size)]]


def relevance(model: Model, name: str, *data: object, axis: int = -1) -> NDArray[np.float64]:
    """What the mean loss grows by when one slice of a masked parameter is switched off, for each.

    Of weights [inputs, units], axis -1 are the units and axis 0 the inputs of the layer; the net is
    left as it was. Source: Mozer and Smolensky 1989; 000.8.7b.
    """
    state = _mask(model, name)
    if state is None:
        raise UsageError(f"`{name}` has no mask")
    before = np.array(model.state[state])
    loss = model.evaluate(*data)["loss"]
    found = np.empty(before.shape[axis])
    try:
        for place in range(found.size):
            off = before.copy()
            np.moveaxis(off, axis, 0)[place] = 0
            model.state[state] = off
            found[place] = model.evaluate(*data)["loss"] - loss
    finally:
        model.state[state] = before
    return found


def expected_increase(
    change: ArrayLike, hessian: ArrayLike, gradient: ArrayLike | None = None
) -> float:
    """The error's growth to second order for a move of all weights: gᵀd + ½ dᵀH d.

    Without `gradient` [W], that of a minimum. Source: 000.8.7.1.
    """
    d = np.asarray(change, np.float64)
    linear = 0.0 if gradient is None else float(np.asarray(gradient) @ d)
    return linear + 0.5 * float(d @ np.asarray(hessian, np.float64) @ d)


def brain_damage(
    weights: ArrayLike, curvatures: ArrayLike, among: ArrayLike | None = None
) -> Deletion:
    """Optimal Brain Damage: the weight of least ½ H_ii w_i²; the others stay.

    `curvatures` [W] is the diagonal of the Hessian, `among` the weights to choose from, by default
    all. Source: LeCun, Denker and Solla 1990; 000.8.7.2.
    """
    w = np.asarray(weights, np.float64)
    costs = 0.5 * np.asarray(curvatures, np.float64) * w**2
    index = _least(costs, among)
    change = np.zeros(w.size)
    change[index] = -w[index]
    return Deletion(index, float(costs[index]), change)


def brain_surgeon(
    weights: ArrayLike, inverse: ArrayLike, among: ArrayLike | None = None
) -> Deletion:
    """Optimal Brain Surgeon: the weight of least ½ w_i² / (H⁻¹)_ii; the others make up for it.

    `inverse` [W, W] is the inverse of the Hessian; the move of all weights is
    -(w_i / (H⁻¹)_ii) H⁻¹ e_i. Source: Hassibi and Stork 1993; 000.8.7.3.
    """
    w = np.asarray(weights, np.float64)
    inverted = np.asarray(inverse, np.float64)
    costs = 0.5 * w**2 / np.diag(inverted)
    index = _least(costs, among)
    change = -(w[index] / inverted[index, index]) * inverted[:, index]
    change[index] = -w[index]
    return Deletion(index, float(costs[index]), change)


def _least(costs: NDArray[np.float64], among: ArrayLike | None) -> int:
    places = np.arange(costs.size) if among is None else np.asarray(among, np.int64)
    return int(places[np.argmin(costs[places])])


# -- the surgeon's precautions ---------------------------------------------------------------------


def inverse_error(hessian: ArrayLike, inverse: ArrayLike) -> float:
    """How far an inverse is from being one: the spectral norm of I - H⁻¹ H. Source: 000.8.7.3h."""
    product = np.asarray(inverse, np.float64) @ np.asarray(hessian, np.float64)
    return float(np.linalg.norm(np.eye(len(product)) - product, 2))


def bounded(deletion: Deletion, most: float = 0.5) -> Deletion:
    """The same deletion with a correction of no other weight by more than `most`.

    The correction of the others is scaled as a whole; the deleted weight still ends at 0. Source:
    000.8.7.3h.
    """
    others = np.delete(deletion.change, deletion.index)
    largest = float(np.max(np.abs(others), initial=0))
    if largest <= most:
        return deletion
    change = deletion.change * (most / largest)
    change[deletion.index] = deletion.change[deletion.index]
    return replace(deletion, change=change)


def brain_surgery(
    model: Model,
    hessian: ArrayLike,
    *,
    gradient: ArrayLike | None = None,
    damping: float = 0.0,
    most: float = 0.5,
) -> Removal:
    """Removes one weight of a net by Optimal Brain Surgeon and corrects the others.

    `hessian` [W, W] and `gradient` [W] are those of the objective by `params`, as the outputs
    `hessian(objective, params)` and `grad(objective, params)` of the net give them; weights without
    a mask are corrected, but not removed. `damping` is added to the diagonal before inverting. A
    gradient that is not 0, or an inverse with an error, is for the caller to judge. Source:
    000.8.7.3, 000.8.7.3h.
    """
    left = np.flatnonzero(kept(model))
    among = np.searchsorted(left, candidates(model))
    square = np.asarray(hessian, np.float64)[np.ix_(left, left)]
    inverse = np.linalg.inv(square + damping * np.eye(left.size))
    planned = brain_surgeon(np.asarray(model.params.flat)[left], inverse, among)
    limited = bounded(planned, most)
    change = np.zeros(model.params.flat.size)
    change[left] = limited.change
    slope = 0.0 if gradient is None else float(np.linalg.norm(np.asarray(gradient)[left]))
    found = Deletion(int(left[planned.index]), planned.saliency, change)
    remove(model, found.index, change)
    return Removal(found, slope, inverse_error(square, inverse), limited is not planned)
