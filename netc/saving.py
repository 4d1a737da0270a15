"""Run folders, as a model writes and reads them.

Invariant: their files and formats are loaded only when there is something to read or to write.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from netc.compiler.driver import Program
    from netc.runtime.checkpoint import Run
    from netc.runtime.executable import Executable
    from netc.runtime.history import History


def read_run(path: str | os.PathLike[str]) -> Run:
    """A run folder, read and checked for itself; DataError if it is none."""
    from netc.runtime import checkpoint  # noqa: PLC0415 - not every process reads one

    return checkpoint.read(Path(path))


def restore(run: Run, executable: Executable, optimizer: bool) -> None:
    """Takes over the values of a run; without `optimizer`, only what `forward` needs."""
    from netc.runtime import checkpoint  # noqa: PLC0415

    checkpoint.restore(run, executable, optimizer)


def imported(program: Program) -> dict[str, str]:
    """The texts of the imported files, by their paths from the folder that holds them all."""
    return {found.file: found.source.text for found in program.imports}


def save(
    path: str | os.PathLike[str],
    program: Program,
    executable: Executable,
    history: History,
    *,
    defines: Mapping[str, Any],
    options: Mapping[str, Any],
    data: Mapping[str, Any],
    over_data: bool,
) -> None:
    """Writes a run folder of a program as it was compiled and trained."""
    from netc.runtime import checkpoint  # noqa: PLC0415

    manifest = program.manifest
    description = checkpoint.Description(
        net=manifest.name,
        precision=manifest.precision,
        seed=executable.seed,
        step=executable.counters.step,
        defines=defines,
        scalars=executable.scalars.changed(),
        options=options,
        data=data,
        source=program.source.name,
        main=program.place,
        imports={found.path: found.file for found in program.imports},
        over_data=over_data,
    )
    text = program.source.text
    checkpoint.save(Path(path), executable, text, description, history, imported(program))
