"""Fewer samples than a group has: they are copied to where there is room for all of it.

Invariant: nothing beyond the caller's rows is read or written.
"""

from __future__ import annotations

from contextlib import contextmanager
from ctypes import memmove
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from netc.runtime.arrays import Array, address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netc.compiler.program import Manifest


@contextmanager
def whole_group(
    manifest: Manifest, dtype: np.dtype[Any], rows: int, data: Sequence[int]
) -> Iterator[list[int]]:
    """Data slots with room for a whole group, zeros after the rows given; outputs are copied back.

    `data` are the addresses of inputs, targets and outputs in manifest order, 0 for those that are
    not there.
    """
    ports = (*manifest.inputs, *manifest.targets, *manifest.outputs)
    given = len(ports) - len(manifest.outputs)
    memory: list[Array] = []
    slots = [0] * len(ports)
    for slot, (port, start) in enumerate(zip(ports, data, strict=True)):
        room = np.zeros((manifest.inference.group, *port.shape), dtype)
        memory.append(room)
        if start:
            slots[slot] = address(room)
        if start and slot < given:
            memmove(address(room), start, rows * prod(port.shape) * dtype.itemsize)
    yield slots
    for port, room, start in zip(ports[given:], memory[given:], data[given:], strict=True):
        if start:
            memmove(start, address(room), rows * prod(port.shape) * dtype.itemsize)
