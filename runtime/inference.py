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

    __slots__ = ("_converters", "_dtype", "_executable", "_names", "_no_targets", "_shapes")

    def __init__(self, executable: Executable, signature: Signature) -> None:
        manifest = executable.manifest
        given = executable.spec("infer").outputs
        self._executable = executable
        self._dtype = executable.dtype
        self._converters = [signature.converter(name) for name in signature.inputs]
        self._no_targets = [0] * len(signature.targets)
        self._names = [p.name for p in manifest.outputs if p.name in given]
        self._shapes = [p.shape if p.name in given else None for p in manifest.outputs]

    def __call__(self, values: Sequence[object]) -> Array | dict[str, Array] | None:
        """The output, or a dict of several; None when the sample counts differ."""
        arrays = [convert(v) for convert, v in zip(self._converters, values, strict=True)]
        samples = len(arrays[0])
        for array in arrays:
            if len(array) != samples:
                return None
        data = [address(a) for a in arrays]
        data += self._no_targets
        outputs = []
        for shape in self._shapes:
            if shape is None:
                data.append(0)
            else:
                output = np.empty((samples, *shape), self._dtype)
                outputs.append(output)
                data.append(address(output))
        self._executable.run("infer", samples, data)
        return outputs[0] if len(outputs) == 1 else dict(zip(self._names, outputs, strict=True))
