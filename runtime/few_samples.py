"""The shortest way from a few samples to their outputs: everything lies ready before the call.

Few samples go one by one, a few more in groups, which are computed whole whatever lies in their
other rows. Inputs are copied to where the native function reads them and outputs from where it
writes them, so that no address is looked up and nothing is allocated but the result.

Invariant: one call at a time, like all calls of the program; what it returns is nobody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.compiler.program import Slot
from netc.runtime.arrays import Array, address
from netc.runtime.blocks import aligned_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.program import FunctionName, Manifest, PortSpec
    from netc.runtime.arrays import Converter
    from netc.runtime.executable import Executable


@dataclass(slots=True)
class _Place:
    """Memory for a number of samples of one input, with their axes and as one vector."""

    array: Array
    flat: Array
    rows: int


@dataclass(slots=True)
class _Port:
    """One input: its places by their shapes.

    Arrays of exactly `dtype` need no more than a look for NaNs; None where more is to be checked.
    """

    convert: Converter
    dtype: np.dtype[Any] | None
    places: dict[tuple[int, ...], _Place]


NEAR: Final = 1 << 16
"""Bytes of inputs whose copy costs less than to look at a larger array in every way."""

NEAR_SAMPLES: Final = 64
"""So many shapes of arrays are known at most."""


def most_near(manifest: Manifest) -> int:
    """Up to how many samples in groups are worth a copy: at least those of one group."""
    inference = manifest.inference
    numbers = sum(prod(p.shape) for p in manifest.inputs if p.name in inference.inputs)
    width = 4 if manifest.precision == "f32" else 8
    worth = min(NEAR // (width * max(numbers, 1)), NEAR_SAMPLES)
    return min(max(worth, inference.group), inference.several)


class FewSamples:
    """Calls `infer_one` or `infer_group` on `least` to `most` samples."""

    __slots__ = (
        "_address",
        "_block",
        "_call",
        "_counted",
        "_executable",
        "_group",
        "_lock",
        "_names",
        "_outputs",
        "_ports",
        "_rows",
        "_run",
        "_scratch",
        "least",
        "most",
    )

    def __init__(
        self, executable: Executable, converters: Sequence[Converter], name: FunctionName
    ) -> None:
        manifest = executable.manifest
        inference = manifest.inference
        self._group = inference.group if name == "infer_group" else 0
        self.least, self.most = 1, inference.few
        if self._group:
            self.least, self.most = inference.few + 1, most_near(manifest)
        self._rows = max(self.most, self._group)
        call = executable.apart(name)
        self._executable, self._lock, self._call = executable, executable.lock, call
        self._run, self._block, self._address = call.run, call.block, call.address
        self._counted = call.spec.counted
        self._scratch = aligned_bytes(call.spec.fixed)
        call.block[Slot.ARENA] = address(self._scratch)
        call.block[Slot.STATES] = executable.states.address
        self._ports = []
        for slot, convert in enumerate(converters, Slot.DATA):
            memory = self._memory(slot, convert.port)
            places = {}
            for n in range(self.least, self.most + 1):
                array = memory[:n]
                places[array.shape] = _Place(array, array.reshape(-1), n)
            plain = convert.port.kind == "real" and not convert.port.missing
            self._ports.append(_Port(convert, executable.dtype if plain else None, places))
        first = Slot.DATA + len(manifest.inputs) + len(manifest.targets)
        given = manifest.inference.outputs
        memories = {
            port.name: self._memory(slot, port)
            for slot, port in enumerate(manifest.outputs, first)
            if port.name in given
        }
        self._names = list(memories)
        numbers = range(self.most + 1)
        self._outputs = [[memory[:n] for memory in memories.values()] for n in numbers]

    def _memory(self, slot: int, port: PortSpec) -> Array:
        """An array for the samples of a port, known to the native function."""
        memory = np.zeros((self._rows, *port.shape), self._executable.dtype)
        self._block[slot] = address(memory)
        return memory

    def __call__(
        self, values: Sequence[Any], *, converted: bool = False
    ) -> Array | dict[str, Array] | None:
        """The outputs; None for arrays that must be converted, or do not fit each other.

        `values` are one array for each input, `converted` tells that they are known to be right.
        Raises DataError for NaNs.
        """
        rows = 0
        with self._lock:
            for port, value in zip(self._ports, values):  # noqa: B905 - checked by the caller
                if converted:
                    array: Array = value
                elif type(value) is _ARRAY and value.dtype is port.dtype:
                    array = value
                else:
                    return None
                place = port.places.get(array.shape)
                if place is None or (rows and rows != place.rows):
                    return None
                place.array[...] = array
                flat, rows = place.flat, place.rows
                if not converted and isnan(flat.dot(flat)):
                    break
            else:
                return self._called(rows)
        port.convert(array)  # says where the NaN is
        return None

    def _called(self, rows: int) -> Array | dict[str, Array]:
        """The outputs of the samples that lie ready."""
        self._block[_BATCH] = max(rows, self._group)
        if self._counted:
            self._executable.count(self._call)
        self._run(self._address)
        outputs = self._outputs[rows]
        if len(outputs) == 1:
            return outputs[0].copy()
        return {name: found.copy() for name, found in zip(self._names, outputs, strict=True)}


_BATCH: Final = int(Slot.BATCH)
_ARRAY: Final = np.ndarray
