"""What a run folder says about the model that was saved in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.runtime import checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netc.compiler.driver import Program
    from netc.runtime.executable import Executable
    from netc.runtime.history import History


def imported(program: Program) -> dict[str, str]:
    """The texts of the imported files, by their paths from the folder that holds them all."""
    return {found.file: found.source.text for found in program.imports}


def save(
    path: Path,
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
    checkpoint.save(path, executable, text, description, history, imported(program))
