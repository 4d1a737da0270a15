"""Reading whole files, plain or gzip, with every failure as a DataError that names the file."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if its name ends in `.gz`."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"`{path}` is damaged or cut short: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror or error}") from None


def find(folder: Path, *patterns: str) -> Path | None:
    """The first file in `folder` that matches a pattern, plain or gzip."""
    for pattern in patterns:
        for suffix in ("", ".gz"):
            found = sorted(folder.glob(pattern + suffix))
            if found:
                return found[0]
    return None
