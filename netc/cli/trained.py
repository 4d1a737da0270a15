"""A model for a command: compiled from the file, with the values of a run if one is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netc.cli.console import note
from netc.compiling import compiled, library_of, read_source
from netc.runtime import checkpoint
from netc.runtime.data.sources import open_data
from netc.runtime.data.table import TableUse

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.model import Model
    from netc.runtime.arrays import Array
    from netc.runtime.data.binding import DataSet


def read_run(path: str | None) -> checkpoint.Run | None:
    """The run folder that an option names."""
    return None if path is None else checkpoint.read(Path(path))


def model_for(
    options: Namespace,
    run: checkpoint.Run | None,
    *,
    seed: int | None,
    resume: bool,
    debug: bool = False,
) -> Model:
    """The model of the file; a run gives values, and `-D`, precision and seed unless given."""
    source = read_source(options.file)
    made = None if run is None else run.description
    defines = {**(made.defines if made else {}), **dict(options.defines)}
    precision = options.precision or (made.precision if made else "f32")
    library = library_of(options.file, options.root)
    model = compiled(
        source,
        defines,
        precision,
        threads=options.threads,
        seed=seed,
        library=library,
        debug=debug,
    )
    if run is not None:
        model.take(run, optimizer=resume)
        if seed is not None:
            model.seed = seed
        if run.text != source.text:
            note(f"note: `{options.file}` is not the text that `{run.path}` was trained with")
        elif sorted(run.imports.values()) != sorted(model.imports.values()):
            note(f"note: `{options.file}` imports other texts than `{run.path}` was trained with")
    return model


def data_for(text: str, options: Namespace, model: Model, known: TableUse | None = None) -> DataSet:
    """The data that an option names; tables are used as `known` says, unless `--target` differs."""
    known = known or TableUse()
    target = options.target or known.target
    labels = known.labels if target == known.target else None
    return open_data(text, model.manifest, model.dtype, TableUse(target, labels))


def one_batch(options: Namespace, model: Model, run: checkpoint.Run | None) -> dict[str, Array]:
    """The first samples of the data that `--data` names, or random ones."""
    if options.data is None:
        from netc.profile import example  # noqa: PLC0415 - needs the whole compiler

        return example(model.manifest, options.batch)
    arrays = data_for(options.data, options, model, table_use(run)).train()
    return {name: array[: options.batch] for name, array in arrays.items()}


def table_use(run: checkpoint.Run | None) -> TableUse:
    """How the run used its table, if it had one."""
    return TableUse() if run is None else TableUse.from_json(run.description.data)
