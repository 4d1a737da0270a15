"""What a caller passes to a function of the model, matched with the inputs and targets declared.

Invariant: a `Batch` holds one converted array for each name, all with the same number of samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netc.records import record
from netc.runtime.arrays import Array, Converter, element_type
from netc.runtime.errors import DataError, count, listing, suggestion

if TYPE_CHECKING:
    from netc.compiler.program import Manifest


@record
class Batch:
    """Converted arrays by name, and how many samples they hold."""

    arrays: Mapping[str, Array]
    samples: int

    def rows(self, index: Array) -> Batch:
        """The samples with the given numbers, copied."""
        return Batch({n: np.take(a, index, axis=0) for n, a in self.arrays.items()}, len(index))

    def owned(self, given: Sequence[object]) -> Batch:
        """The same batch with copies of the arrays that are the caller's own memory."""
        theirs = [g for g in given if isinstance(g, np.ndarray)]
        mine = {
            n: a.copy() if any(np.may_share_memory(a, g) for g in theirs) else a
            for n, a in self.arrays.items()
        }
        return Batch(mine, self.samples)

    def joined(self, other: Batch) -> Batch:
        """Inputs and targets of the same samples."""
        return Batch({**self.arrays, **other.arrays}, self.samples)


class Signature:
    """The inputs and targets of a program, in declaration order."""

    __slots__ = ("_converters", "inputs", "targets")

    def __init__(self, manifest: Manifest) -> None:
        dtype = element_type(manifest.precision)
        self.inputs = tuple(p.name for p in manifest.inputs)
        self.targets = tuple(p.name for p in manifest.targets)
        self._converters = {
            **{p.name: Converter(p, "input", dtype) for p in manifest.inputs},
            **{p.name: Converter(p, "target", dtype) for p in manifest.targets},
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Inputs, then targets: the order of the slots of a call."""
        return self.inputs + self.targets

    def converter(self, name: str) -> Converter:
        """What checks and converts the arrays of one input or target."""
        return self._converters[name]

    def bind(
        self,
        accepted: Sequence[str],
        required: Sequence[str],
        positional: Sequence[object],
        named: Mapping[str, object],
    ) -> Batch:
        """The batch that a call describes; DataError names what is missing or does not fit."""
        if len(positional) == 1 and isinstance(positional[0], tuple | Mapping):
            positional, named = _unpacked(positional[0], named)
        if len(positional) > len(accepted):
            raise DataError(
                f"expected {count(len(accepted), 'array')} ({listing(accepted) or 'none'}), "
                f"found {len(positional)}"
            )
        given = dict(zip(accepted, positional, strict=False))
        for name, value in named.items():
            if name in given:
                raise DataError(f"`{name}` is given twice: by position and by name")
            if name not in accepted:
                raise DataError(f"there is no `{name}` to pass here", suggestion(name, accepted))
            given[name] = value
        missing = [n for n in required if n not in given]
        if missing:
            raise DataError(f"missing {listing(missing)}", f"expected {listing(accepted)}")
        return self.converted(given)

    def converted(self, given: Mapping[str, object]) -> Batch:
        """Each value converted for the port of its name; sample counts agree."""
        arrays = {name: self._converters[name](value) for name, value in given.items()}
        samples = 0 if arrays else 1  # nothing counts them: one sample
        for name, array in arrays.items():
            if samples and len(array) != samples:
                first = next(iter(arrays))
                raise DataError(
                    f"`{name}` has {count(len(array), 'sample')}, "
                    f"`{first}` has {samples:,}: each sample needs both"
                )
            samples = len(array)
        return Batch(arrays, samples)


def _unpacked(
    data: tuple[object, ...] | Mapping[str, object], named: Mapping[str, object]
) -> tuple[Sequence[object], Mapping[str, object]]:
    """`fit((x, y))` and `fit({"x": x, "y": y})` as positional and named arguments."""
    if isinstance(data, tuple):
        return data, named
    doubled = sorted(set(data) & set(named))
    if doubled:
        raise DataError(f"{listing(doubled)} is given twice: in the mapping and by name")
    return (), {**data, **named}
