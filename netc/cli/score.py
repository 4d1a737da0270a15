"""`netc eval` and `netc predict`: a trained net on data."""

from __future__ import annotations

import csv
import io
from itertools import product
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from netc.cli.console import note, print_json, scores_text, write_archive, write_whole
from netc.cli.trained import data_for, model_for, read_run, table_use
from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.model import Model
    from netc.runtime.arrays import Array
    from netc.runtime.data.binding import Arrays


def eval(options: Namespace) -> int:
    """Prints loss and metrics."""
    model, arrays = _prepared(options)
    scores = model.evaluate(dict(arrays))
    values = {n: v for n, v in scores.items() if isinstance(v, float)}
    print(scores_text(values))
    if options.json:
        metrics = {n: v for n, v in values.items() if n != "loss"}
        samples = len(next(iter(arrays.values())))
        print_json({"loss": values.get("loss"), "metrics": metrics, "samples": samples})
    return 0


def predict(options: Namespace) -> int:
    """Writes the outputs to a file."""
    path = Path(options.output)
    if path.suffix.lower() not in (".npz", ".csv"):
        raise UsageError(f"-o {path}: outputs are written as .npz or .csv")
    model, arrays = _prepared(options)
    inputs = {p.name: arrays[p.name] for p in model.manifest.inputs}
    found = model.predict(inputs)
    outputs = found if isinstance(found, dict) else {model.output_names[0]: found}
    if path.suffix.lower() == ".npz":
        write_whole(path, lambda file: write_archive(file, outputs))
    else:
        write_whole(path, lambda file: _write_table(file, outputs))
    note(f"wrote {len(next(iter(outputs.values()))):,} samples to {path}")
    return 0


def _prepared(options: Namespace) -> tuple[Model, Arrays]:
    run = read_run(options.weights)
    model = model_for(options, run, seed=None, resume=False)
    return model, data_for(options.data, options, model, table_use(run)).scored()


def _write_table(file: IO[bytes], outputs: dict[str, Array]) -> None:
    """One line for each sample, one column for each element."""
    columns = [
        name + ("" if not index else f"[{', '.join(map(str, index))}]")
        for name, array in outputs.items()
        for index in product(*map(range, array.shape[1:]))
    ]
    rows = np.concatenate([a.reshape(len(a), -1) for a in outputs.values()], axis=1)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows.tolist())
    text.flush()
    text.detach()
