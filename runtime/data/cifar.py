"""The binary files of CIFAR-10 and CIFAR-100: records of label bytes and 3 x 32 x 32 pixel bytes.

A record of CIFAR-10 begins with its class, one of CIFAR-100 with its superclass and its class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.data.binding import Images
from netc.runtime.data.files import find, read_bytes
from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_SHAPE: Final = (3, 32, 32)
_PIXELS: Final = 3 * 32 * 32
_BATCHES: Final = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_FULL: Final = 255
_SUPERCLASSES, _CLASSES = 20, 100


def is_cifar_folder(folder: Path) -> bool:
    """Whether a folder has training files of CIFAR-10 or CIFAR-100."""
    return bool(_training_files(folder))


def has_test(folder: Path) -> bool:
    """Whether the folder has the test file."""
    return bool(_test_files(folder))


def read_train(folder: Path) -> Images:
    """All training files, in their order."""
    return _read(_training_files(folder), folder, "train")


def read_test(folder: Path) -> Images:
    """The test file."""
    return _read(_test_files(folder), folder, "test")


def _is_hundred(folder: Path) -> bool:
    return find(folder, _BATCHES[0]) is None and find(folder, "train.bin") is not None


def _training_files(folder: Path) -> list[Path]:
    names = ("train.bin",) if _is_hundred(folder) else _BATCHES
    return [path for name in names if (path := find(folder, name)) is not None]


def _test_files(folder: Path) -> list[Path]:
    path = find(folder, "test.bin" if _is_hundred(folder) else "test_batch.bin")
    return [] if path is None else [path]


def _read(paths: list[Path], folder: Path, part: str) -> Images:
    labels = 2 if _is_hundred(folder) else 1
    record = labels + _PIXELS
    records = []
    for path in paths:
        raw = read_bytes(path)
        if not raw or len(raw) % record:
            raise DataError(
                f"`{path}` is damaged or cut short: {len(raw):,} bytes, not records of {record:,}"
            )
        records.append(np.frombuffer(raw, np.uint8).reshape(-1, record))
    rows = np.concatenate(records)
    pixels = rows[:, labels:].reshape(-1, *_SHAPE)
    levels = {_SUPERCLASSES: rows[:, 0], _CLASSES: rows[:, 1]} if labels == 2 else {}
    return Images(pixels, rows[:, labels - 1], _FULL, f"`{folder}` ({part})", levels)
