"""The three checks of one call of a definition: values, gradients and second derivatives.

Invariant: values and gradients are compared with a NumPy reference that knows nothing of the
compiler; a second derivative with finite differences of the compiled gradient, which the check of
gradients vouches for. A check returns how many arrays or numbers it has compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tests.prelude.compiled import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.prelude.compiled import Array, Values

BATCHES = (1, 5, 18)
SIZES = (1, 7, 8, 13, 16, 17)
STEP = 1e-4
NODES = ((1, 8), (-1, -8), (2, -1), (-2, 1))
"""Of a central difference of fourth order: places in steps, and weights in twelfths."""


@dataclass(frozen=True)
class Subject:
    """One call of a definition in a net of its own, compiled once for its checks.

    `draw` makes inputs and parameters for a number of samples. `reference` gives outputs by name,
    or `objective` where the net has none; in a subject without one (random layers in training), or
    whose samples are `coupled`, derivatives are compared with differences of the compiled values.
    """

    room: str
    name: str
    label: str
    text: str
    wrt: tuple[str, ...]
    draw: Callable[[int, np.random.Generator], Values]
    reference: Callable[[Values], Values] | None = None
    training: bool = False
    coupled: bool = False

    @cached_property
    def compiled(self) -> Compiled:
        return Compiled(self.text, self.wrt, training=self.training)

    @property
    def _names(self) -> tuple[str, ...]:
        """What the objective is differentiated by."""
        return (*self.wrt, *self.compiled.parameters)

    def values(self) -> int:
        """Every output at every batch size."""
        return sum(self._values(batch) for batch in BATCHES) if self.reference else 0

    def gradients(self) -> int:
        """The derivative of the objective by every input and parameter."""
        check = self._slopes if self.reference and not self.coupled else self._directions
        return sum(check(batch) for batch in BATCHES)

    def second_derivatives(self) -> int:
        """The derivative of the gradient's component in two random directions."""
        return sum(self._turns(batch, seed) for batch in BATCHES for seed in (1, 2))

    def _values(self, batch: int) -> int:
        at = self.draw(batch, np.random.default_rng(batch))
        found = self.compiled(at, zeros(at))
        assert self.reference is not None
        expected = self.reference(at)
        for name, value in expected.items():
            message = f"{self.label}: {name}"
            np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-13, err_msg=message)
        return len(expected)

    def _slopes(self, batch: int) -> int:
        at = self.draw(batch, np.random.default_rng(batch))
        found = self.compiled(at, zeros(at))
        for name in self._names:
            expected = differences(self._objective, at, name, name not in self.compiled.parameters)
            close(found[f"d/{name}"], expected, f"{self.label}: derivative by {name}")
        return len(self._names)

    def _directions(self, batch: int) -> int:
        random = np.random.default_rng(batch)
        at = self.draw(batch, random)
        along = {name: random.normal(0, 1, value.shape) for name, value in at.items()}
        found = self.compiled(at, along)
        for name in self._names:
            expected = difference(
                lambda at: self.compiled(at, along)["objective"].sum(), at, name, along[name]
            )
            got = (found[f"d/{name}"] * along[name]).sum()
            close(got, expected, f"{self.label}: derivative by {name}")
        return len(self._names)

    def _turns(self, batch: int, seed: int) -> int:
        random = np.random.default_rng([batch, seed])
        at = self.draw(batch, random)
        along = {name: random.normal(0, 1, value.shape) for name, value in at.items()}
        other = {name: random.normal(0, 1, value.shape) for name, value in at.items()}
        found = self.compiled(at, along)

        def component(at: Values) -> float:
            slopes = self.compiled(at, along)
            return sum(float((slopes[f"d/{k}"] * along[k]).sum()) for k in self._names)

        for name in self._names:
            expected = difference(component, at, name, other[name])
            got = (found[f"dd/{name}"] * other[name]).sum()
            scale = np.abs(found[f"dd/{name}"] * other[name]).sum()
            close(got, expected, f"{self.label}: second derivative by {name}", scale)
        return len(self._names)

    def _objective(self, at: Values) -> Array:
        """The reference's objective: one number for each sample, or one in all."""
        assert self.reference is not None
        outputs = self.reference(at)
        if "objective" in outputs:
            return outputs["objective"]
        rows = [bend(y).reshape(len(y), -1).sum(1) for y in outputs.values()]
        return np.sum(rows, axis=0)


BEND = "sum(sin(y) + 0.3 * y^2)"
"""What turns the outputs of a net into its objective; of no special use but for its curvature."""


def bend(y: Array) -> Array:
    return np.sin(y) + 0.3 * y**2


def zeros(at: Mapping[str, Array]) -> Values:
    return {name: np.zeros_like(value) for name, value in at.items()}


def difference(
    function: Callable[[Values], Array | float], at: Values, name: str, along: Array
) -> Array:
    """The derivative of a function when `name` moves along a direction, by differences."""
    ends = [k * np.asarray(function({**at, name: at[name] + n * STEP * along})) for n, k in NODES]
    return np.sum(ends, axis=0) / (12 * STEP)


def differences(function: Callable[[Values], Array], at: Values, name: str, rowwise: bool) -> Array:
    """The derivative by each element of `name`; of inputs by those of all samples at once."""
    value = at[name]
    result = np.empty_like(value)
    for index in np.ndindex(value.shape[1:] if rowwise else value.shape):
        place = (slice(None), *index) if rowwise else index
        along = np.zeros_like(value)
        along[place] = 1
        change = difference(function, at, name, along)
        result[place] = change if rowwise else change.sum()
    return result


def close(found: Array, expected: Array, message: str, scale: float = 0.0) -> None:
    """Equal within what differences in f64 can tell: 1e-6 of the largest element."""
    tolerance = 1e-6 * (1 + np.max(np.abs(expected), initial=scale))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=message)
