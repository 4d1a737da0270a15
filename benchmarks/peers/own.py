"""netc itself, in the place of a peer: `model.step`, `model.fit` and `model.forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.nets import random_data

if TYPE_CHECKING:
    import netc
    from benchmarks.nets import Array, Net
    from netc.model import Precision

FIT_ELEMENTS: Final = 1 << 20
"""Input numbers of the data set behind `fit`: 4 MiB, so that a batch is not in the first caches."""


class Own:
    """`disturbed`: no parameter and no state is 0 or 1 by default."""

    def __init__(
        self, net: Net, precision: Precision, threads: int, *, drawing: bool, disturbed: bool
    ) -> None:
        self.model: netc.Model = net.compile(precision, threads=threads, drawing=drawing)
        if disturbed:
            random = np.random.default_rng(1)
            for value in (*self.model.params.values(), *self.model.state.values()):
                value[...] += random.uniform(-0.05, 0.05, value.shape)

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        return x, y

    def step(self, x: Any, y: Any) -> Any:
        return self.model.step(x, y)

    def forward(self, x: Any) -> Any:
        return self.model.forward(x)

    def number(self, loss: Any) -> float:
        return loss


class Fit(Own):
    """The same model, one step inside `fit`; `run` makes many in one call."""

    def __init__(self, own: Own, batch: int) -> None:
        self.model = own.model
        (port,) = self.model.manifest.inputs
        rows = batch * max(FIT_ELEMENTS // (batch * int(np.prod(port.shape))), 1)
        self._data = tuple(random_data(self.model.manifest, rows).values())
        self._batch = batch

    def run(self, steps: int) -> None:
        self.model.fit(
            self._data, batch=self._batch, max_steps=steps, shuffle=False, progress=False
        )


def fitted_mean(own: Own, x: Array, y: Array, batch: int) -> float:
    """The mean objective of an epoch in order: that of the steps that `step` would make."""
    own.model.fit(x, y, batch=batch, epochs=1, shuffle=False, progress=False)
    return own.model.history["objective"][0]
