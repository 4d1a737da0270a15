"""The shortest way from arrays to a training step: everything is looked up beforehand.

Invariant: the same checks and the same native call as the long way; only look-ups are saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.runtime.arrays import address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.runtime.arguments import Signature
    from netc.runtime.executable import Executable


class Stepping:
    """Calls `step` on arrays given in declaration order, one for each input and target."""

    __slots__ = ("_converters", "_outputs", "_step")

    def __init__(self, executable: Executable, signature: Signature) -> None:
        self._step = executable.step
        self._converters = [signature.converter(name) for name in signature.names]
        self._outputs = [0] * len(executable.manifest.outputs)

    def __call__(self, values: Sequence[object]) -> float | None:
        """The objective; None, and nothing done, for what takes the long way.

        That is anything but one value for each name, a tuple or mapping that may hold the arrays,
        and sample counts that differ.
        """
        count = len(values)
        if count != len(self._converters) or (count < 2 and _unclear(values)):
            return None
        arrays = [convert(value) for convert, value in zip(self._converters, values)]  # noqa: B905
        samples = len(arrays[0])
        for array in arrays:
            if len(array) != samples:
                return None
        return self._step(samples, [*map(address, arrays), *self._outputs])


def _unclear(values: Sequence[object]) -> bool:
    """No value, or one that may be a tuple or a mapping of several."""
    return not values or type(values[0]) is not np.ndarray
