"""The shortest way from arrays to outputs: inference with everything looked up beforehand.

Invariant: the same checks and the same native functions as any other call; only look-ups are saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.arrays import Array, address
from netc.runtime.few_samples import FewSamples, most_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.program import FunctionName
    from netc.runtime.arguments import Signature
    from netc.runtime.executable import Executable

Outputs = Array | dict[str, Array]


class Inference:
    """Calls inference on arrays given in declaration order, one for each input."""

    __slots__ = (
        "_converters",
        "_dtype",
        "_executable",
        "_few",
        "_last",
        "_names",
        "_outputs",
        "_slots",
    )

    def __init__(self, executable: Executable, signature: Signature) -> None:
        manifest = executable.manifest
        given = manifest.inference.outputs
        first = len(manifest.inputs) + len(manifest.targets)
        self._executable = executable
        self._dtype = executable.dtype
        self._few: dict[FunctionName, FewSamples] = {}
        self._last: FewSamples | None = None
        self._converters = [signature.converter(name) for name in signature.inputs]
        self._names = [p.name for p in manifest.outputs if p.name in given]
        self._outputs = [
            (first + i, p.shape) for i, p in enumerate(manifest.outputs) if p.name in given
        ]
        self._slots = [0] * (first + len(manifest.outputs))

    def __call__(self, values: Sequence[object]) -> Outputs | None:
        """The output, or a dict of several; None for arrays by name, or of unequal lengths."""
        last = self._last
        if last is not None:
            found = last(values)
            if found is not None:
                return found
        if isinstance(values[0], Mapping):
            return None
        arrays = [c(v) for c, v in zip(self._converters, values)]  # noqa: B905 - checked before
        samples = len(arrays[0])
        if any(len(array) != samples for array in arrays):
            return None
        self._last = last = self._prepared(samples)
        if last is not None:
            return last(arrays, converted=True)
        return self._many(arrays, samples)

    def _prepared(self, samples: int) -> FewSamples | None:
        """What calls the native code for so few samples, made when there are so few."""
        manifest = self._executable.manifest
        name = manifest.inference.function(samples)
        if name == "infer" or (name == "infer_group" and samples > most_near(manifest)):
            return None
        if name not in self._few:
            self._few[name] = FewSamples(self._executable, self._converters, name)
        return self._few[name]

    def _many(self, arrays: Sequence[Array], samples: int) -> Outputs:
        slots = self._slots.copy()
        slots[: len(arrays)] = map(address, arrays)
        outputs = []
        for place, shape in self._outputs:
            output = np.empty((samples, *shape), self._dtype)
            slots[place] = address(output)
            outputs.append(output)
        self._executable.infer(samples, slots)
        return outputs[0] if len(outputs) == 1 else dict(zip(self._names, outputs, strict=True))
