"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from netc.runtime.history import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from netc.runtime.arrays import Array


def note(text: str) -> None:
    """A remark on standard error."""
    print(text, file=sys.stderr, flush=True)


def note_timings(timings: Mapping[str, float]) -> None:
    """The processor time of each stage of compiling, on standard error."""
    rows = {**timings, "together": sum(timings.values())}
    width = max(map(len, rows))
    note("\n".join(f"{stage:<{width}}  {1e3 * time:8.1f} ms" for stage, time in rows.items()))


def print_json(data: Mapping[str, object]) -> None:
    """One JSON object on one line; numbers that JSON lacks become null."""
    print(json.dumps(plain(dict(data)), allow_nan=False), flush=True)


def scores_text(scores: Mapping[str, object]) -> str:
    """`loss 0.213  accuracy 0.94`."""
    return "  ".join(f"{n} {v:.6g}" for n, v in scores.items() if isinstance(v, float))


def write_whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Writes a file beside its place and renames it: all of it, or nothing."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # name the user's file, not the one beside it
        raise OSError(error.errno, error.strerror, str(path)) from None
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_archive(file: IO[bytes], outputs: Mapping[str, Array]) -> None:
    """An .npz file; `np.savez` would take an output called `file` for its own argument."""
    from zipfile import ZipFile  # noqa: PLC0415 - few commands write one

    from numpy.lib.format import write_array  # noqa: PLC0415

    with ZipFile(file, "w") as archive:
        for name, array in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_array(member, array, allow_pickle=False)
