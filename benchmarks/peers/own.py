"""netc itself, in the place of a peer: `model.step`, `model.fit` and `model.forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.nets import random_data
from netc.runtime.arguments import Batch
from netc.runtime.evaluate import addresses, new_outputs

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def native(self, x: Array) -> Callable[[int], None]:
        """The native function of inference on these samples, called many times and nothing else."""
        executable, manifest = self.model._executable, self.model.manifest
        batch = Batch({manifest.inputs[0].name: np.ascontiguousarray(x)}, len(x))
        name = manifest.inference.function(len(x))
        if name == "infer_group" and len(x) < manifest.inference.group:  # computed whole
            x = np.resize(x, (manifest.inference.group, *x.shape[1:]))
            batch = Batch({manifest.inputs[0].name: x}, len(x))
        outputs = new_outputs(executable, executable.spec(name).outputs, len(x))
        executable.run(name, len(x), addresses(executable, batch, outputs))
        call = executable._call(name)

        def run(times: int) -> None:
            for _ in range(times):
                call.run(call.address)

        self._alive = batch, outputs
        return run

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
