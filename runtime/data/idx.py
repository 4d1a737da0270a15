"""IDX files, the format of MNIST.

The layout is Yann LeCun's: two zero bytes, a type byte, the number of axes, each size as a
big-endian 32-bit number, then the elements in row-major order.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.data.binding import Images
from netc.runtime.data.files import find, read_bytes
from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from netc.runtime.arrays import Array

_TYPES: Final = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_FULL: Final = 255


def read_idx(path: Path) -> Array:
    """The array in an IDX file."""
    raw = read_bytes(path)
    if len(raw) < 4 or raw[0] or raw[1] or raw[2] not in _TYPES or not raw[3]:
        raise DataError(
            f"`{path}` is not an IDX file: it begins with {raw[:4].hex(' ') or 'nothing'}"
        )
    start = 4 + 4 * raw[3]
    dtype = np.dtype(_TYPES[raw[2]])
    if len(raw) < start:
        raise DataError(f"`{path}` is cut short: {len(raw)} bytes do not hold its header")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", raw[3], 4))
    expected = start + prod(shape) * dtype.itemsize
    if len(raw) != expected:
        what = "is cut short" if len(raw) < expected else "is too long"
        raise DataError(
            f"`{path}` {what}: its header announces {list(shape)}, {expected:,} bytes, "
            f"found {len(raw):,}"
        )
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder has IDX image files."""
    return (
        _file(folder, "train", "images") is not None or _file(folder, "t10k", "images") is not None
    )


def read_part(folder: Path, part: str) -> Images:
    """`train` or `t10k` of an MNIST folder."""
    images, labels = _file(folder, part, "images"), _file(folder, part, "labels")
    for path, kind in ((images, "images"), (labels, "labels")):
        if path is None:
            raise DataError(f"`{folder}` has no file `{part}-{kind}-idx…-ubyte`, plain or .gz")
    if images is None or labels is None:
        raise AssertionError("both were checked")
    pixels, numbers = read_idx(images), read_idx(labels)
    for path, array, wrong in (
        (images, pixels, pixels.ndim < 2),
        (labels, numbers, numbers.ndim != 1),
    ):
        if wrong or array.dtype != np.uint8:
            raise DataError(
                f"`{path}` has {list(array.shape)} of {array.dtype}, not bytes as in MNIST"
            )
    return Images(pixels, numbers, _FULL, f"`{folder}` ({part})")


def has_part(folder: Path, part: str) -> bool:
    """Whether the folder has images of that part."""
    return _file(folder, part, "images") is not None


def _file(folder: Path, part: str, kind: str) -> Path | None:
    return find(folder, f"{part}-{kind}-idx?-ubyte", f"{part}-{kind}.idx?-ubyte")
