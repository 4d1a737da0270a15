"""`.npz` files: arrays named like inputs and targets; and the digits that come with netc."""

from __future__ import annotations

import zipfile
import zlib
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.data.binding import Arrays, Images
from netc.runtime.errors import DataError, listing, suggestion

if TYPE_CHECKING:
    from pathlib import Path

    from netc.compiler.program import Manifest
    from netc.runtime.arrays import Array

_DIGITS_FULL: Final = 16
_DIGITS_TEST: Final = 297
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    KeyError,
    NotImplementedError,
)


def read_archive(path: Path) -> dict[str, Array]:
    """Every array of an `.npz` file."""
    try:
        with path.open("rb") as file:  # np.load leaves a damaged file open that it opened itself
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"`{path}` holds one array, not an .npz archive of named arrays")
            with archive:
                return {name: _member(archive, name, path) for name in archive.files}
    except _DAMAGED as error:
        raise DataError(f"`{path}` is not a readable .npz file: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror or error}") from None


def _member(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> Array:
    try:
        array: Array = archive[name]
    except ValueError as error:
        raise DataError(f"`{path}`: array `{name}` cannot be read: {error}") from None
    return array


def bind_archive(arrays: Arrays, manifest: Manifest, place: str) -> Arrays:
    """The arrays that the net declares; others are left alone.

    Inputs must be there. Targets may be missing: predicting needs none.
    """
    wanted = [p.name for p in (*manifest.inputs, *manifest.targets)]
    for port in manifest.inputs:
        if port.name not in arrays:
            advice = suggestion(port.name, arrays)
            found = listing(arrays) or "no arrays"
            raise DataError(f"{place} has no array `{port.name}`; it has {found}", advice)
    return {name: arrays[name] for name in wanted if name in arrays}


def read_digits(part: str) -> Images:
    """The 8x8 digits in their original order: all but the last 297 samples, or those 297.

    Source: the test set of the UCI "Optical Recognition of Handwritten Digits", as distributed with
    scikit-learn.
    """
    with as_file(files("netc.runtime") / "digits.npz") as path:
        arrays = read_archive(path)
    rows = slice(None, -_DIGITS_TEST) if part == "train" else slice(-_DIGITS_TEST, None)
    return Images(arrays["images"][rows], arrays["labels"][rows], _DIGITS_FULL, f"digits ({part})")
