"""The binary batches of CIFAR-10: records of one label byte and 3 x 32 x 32 pixel bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.data.binding import Images
from netc.runtime.data.files import find, read_bytes
from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_SHAPE: Final = (3, 32, 32)
_RECORD: Final = 1 + 3 * 32 * 32
_BATCHES: Final = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_FULL: Final = 255


def is_cifar_folder(folder: Path) -> bool:
    """Whether a folder has CIFAR-10 training batches."""
    return bool(_training_files(folder))


def has_test(folder: Path) -> bool:
    """Whether the folder has the test batch."""
    return find(folder, "test_batch.bin") is not None


def read_train(folder: Path) -> Images:
    """All training batches, in their order."""
    return _read(_training_files(folder), folder, "train")


def read_test(folder: Path) -> Images:
    """The test batch."""
    path = find(folder, "test_batch.bin")
    return _read([path] if path is not None else [], folder, "test")


def _training_files(folder: Path) -> list[Path]:
    found = (find(folder, name) for name in _BATCHES)
    return [path for path in found if path is not None]


def _read(paths: list[Path], folder: Path, part: str) -> Images:
    records = []
    for path in paths:
        raw = read_bytes(path)
        if not raw or len(raw) % _RECORD:
            raise DataError(
                f"`{path}` is damaged or cut short: {len(raw):,} bytes, not records of {_RECORD:,}"
            )
        records.append(np.frombuffer(raw, np.uint8).reshape(-1, _RECORD))
    rows = np.concatenate(records)
    return Images(rows[:, 1:].reshape(-1, *_SHAPE), rows[:, 0], _FULL, f"`{folder}` ({part})")
