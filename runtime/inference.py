"""The shortest way from arrays to outputs: inference with everything looked up beforehand.

Invariant: the same checks and the same native call as any other function; only look-ups are saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.arrays import Array, address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.runtime.arguments import Signature
    from netc.runtime.executable import Executable


class Inference:
    """Calls `infer` on arrays given in declaration order, one for each input."""

    __slots__ = ("_converters", "_dtype", "_infer", "_names", "_outputs", "_slots")

    def __init__(self, executable: Executable, signature: Signature) -> None:
        manifest = executable.manifest
        given = executable.spec("infer").outputs
        first = len(manifest.inputs) + len(manifest.targets)
        self._infer = executable.infer
        self._dtype = executable.dtype
        self._converters = [signature.converter(name) for name in signature.inputs]
        self._names = [p.name for p in manifest.outputs if p.name in given]
        self._outputs = [
            (first + i, p.shape) for i, p in enumerate(manifest.outputs) if p.name in given
        ]
        self._slots = [0] * (first + len(manifest.outputs))

    def __call__(self, values: Sequence[object]) -> Array | dict[str, Array] | None:
        """The output, or a dict of several; None when the sample counts differ."""
        slots = self._slots.copy()
        arrays: list[Array] = []  # keeps converted arrays alive during the call
        samples = 0
        for convert, value in zip(self._converters, values):  # noqa: B905 - checked by the caller
            array = convert(value)
            if samples and samples != len(array):
                return None
            samples = len(array)
            slots[len(arrays)] = address(array)
            arrays.append(array)
        outputs = []
        for place, shape in self._outputs:
            output = np.empty((samples, *shape), self._dtype)
            slots[place] = address(output)
            outputs.append(output)
        self._infer(samples, slots)
        return outputs[0] if len(outputs) == 1 else dict(zip(self._names, outputs, strict=True))
