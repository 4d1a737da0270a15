"""`netc run`: the text of a graph, compiled by itself and run on arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netc.cli.console import note, write_archive, write_whole
from netc.graphs import run_graph
from netc.runtime.data.archive import read_archive
from netc.runtime.errors import DataError

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.runtime.arrays import Array


def run(options: Namespace) -> int:
    """Prints, or writes to an archive, what a graph returns."""
    try:
        text = Path(options.file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"`{options.file}` is not UTF-8 text (byte {error.start})") from None
    data = {} if options.data is None else read_archive(Path(options.data))
    found = run_graph(
        text,
        data,
        name=options.file,
        way=options.way,
        seed=options.seed,
        threads=options.threads,
    )
    if options.out is None:
        print("\n".join(_shown(name, value) for name, value in found.items()))
    else:
        write_whole(Path(options.out), lambda file: write_archive(file, found))
        note(f"wrote {', '.join(found)} to {options.out}")
    return 0


def _shown(name: str, value: Array) -> str:
    """A number on the line of its name; an array below its shape, its middle left out."""
    if value.ndim == 0:
        return f"{name} = {value}"
    numbers = np.array2string(value, threshold=60, edgeitems=2, max_line_width=100)
    return f"{name} : {list(value.shape)}\n{numbers}"
