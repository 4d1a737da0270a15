"""What a run folder says about the model that was saved in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.runtime.checkpoint import Description

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.driver import Program
    from netc.runtime.executable import Executable


def described(
    program: Program,
    executable: Executable,
    *,
    defines: Mapping[str, Any],
    options: Mapping[str, Any],
    data: Mapping[str, Any],
    over_data: bool,
) -> Description:
    """The description of a program as it was compiled and trained."""
    model, manifest = program.model, program.manifest
    return Description(
        net=manifest.name,
        precision=manifest.precision,
        seed=executable.seed,
        step=executable.counters.step,
        defines=defines,
        scalars=executable.scalars.changed(),
        options=options,
        data=data,
        source=model.source.name,
        main=model.place,
        imports={found.path: found.file for found in model.imports},
        over_data=over_data,
    )
