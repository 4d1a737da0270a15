"""`netc train`: data in, a run folder out."""

from __future__ import annotations

from datetime import datetime
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netc.cli.console import note, note_timings, print_json, scores_text
from netc.cli.trained import data_for, model_for, read_run, table_use
from netc.records import record
from netc.runtime import checkpoint
from netc.runtime.data.table import TableUse
from netc.runtime.errors import DebugError, UsageError, suggestion
from netc.runtime.options import OPTION_NAMES
from netc.settings import CLIPS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from netc.model import Model
    from netc.runtime.data.binding import Arrays
    from netc.runtime.history import History


@record
class Material:
    """All data of a training command, read before the first step."""

    train: Arrays
    validation: Arrays | None
    test: Arrays | None
    table: Mapping[str, Any]


def train(options: Namespace) -> int:
    """Trains, scores, writes the run folder; 130 when Ctrl-C ended the training."""
    run = read_run(options.resume)
    model = model_for(options, run, seed=options.seed, resume=True, debug=options.debug)
    changes = _changes(options, model)
    out = _out_folder(options, model)
    checkpoint.check_writable(out)
    material = _material(options, model, run)
    if material.validation is not None:
        changes["validation"] = dict(material.validation)
    try:
        history = model.fit(
            dict(material.train),
            progress=not options.quiet,
            resume=run is not None,
            **changes,
        )
        if run is not None and not history.seconds > run.history.seconds:
            note(f"note: `{options.resume}` had done all its epochs; `--epochs N` asks for more")
        test = {} if material.test is None else model.evaluate(dict(material.test))
    except DebugError as error:
        model.save_run(out, material.table)
        if options.json:
            print_json({"failure": error.details, "run": str(out)})
        raise _with_run(error, out) from None
    scores = {n: v for n, v in test.items() if isinstance(v, float)}
    model.save_run(out, material.table)
    if options.timings:
        note_timings(model.timings)
    _report(options, history, scores, out)
    return 130 if history.interrupted else 0


def _with_run(error: DebugError, out: Path) -> DebugError:
    """The same failure, with what can be done with the run so far."""
    help_ = f"the run so far is in `{out}`"
    if error.details["function"] == "step":
        again = f"`netc replay {out} --step {error.details['step']}`"
        help_ = f"{help_}; {again} does the step again"
    return DebugError(error.message, help_, error.details)


def _changes(options: Namespace, model: Model) -> dict[str, Any]:
    """What `--set` and `--epochs` change: run-time numbers at once, the rest for `fit`."""
    changes: dict[str, Any] = {}
    for name, value in options.changes:
        if name in OPTION_NAMES:
            changes[name] = value
        elif name == "seed":
            raise UsageError("--set seed: no such number to set", "the seed is `--seed N`")
        elif name not in model.scalars and name not in CLIPS:
            known = dict.fromkeys((*model.scalars, *CLIPS, *OPTION_NAMES))
            raise UsageError(f"--set {name}: no such number to set", suggestion(name, known))
        elif isinstance(value, bool) or not isinstance(value, int | float) or isnan(value):
            raise UsageError(f"--set {name}: expected a number, found `{value}`")
        elif name in CLIPS and value <= 0:
            raise UsageError(f"--set {name}: expected a positive number, found `{value}`")
        else:
            model.switch_on([name])
            model.scalars[name] = value
    if options.epochs is not None:
        changes["epochs"] = options.epochs
    return changes


def _material(options: Namespace, model: Model, run: checkpoint.Run | None) -> Material:
    data = data_for(options.data, options, model, table_use(run))
    use = TableUse.from_json(data.table)  # other tables number their labels as this one
    validation: Arrays | None = None
    if options.val is not None:
        validation = data_for(options.val, options, model, use).scored()
    test: Arrays | None = None
    if options.test is not None:
        test = data_for(options.test, options, model, use).scored()
    elif data.test is not None:
        test = data.test()
    return Material(data.train(), validation, test, data.table)


def _out_folder(options: Namespace, model: Model) -> Path:
    if options.out is not None:
        return Path(options.out)
    if options.resume is not None:
        return Path(options.resume)
    stem = f"{model.name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (stem, *(f"{stem}-{i}" for i in range(2, 1000)))
    return next(path for name in names if not (path := Path("runs", name)).exists())


def _report(options: Namespace, history: History, test: Mapping[str, float], out: Path) -> None:
    kept = history.kept
    training = dict(kept.training) if kept else {}
    validation = dict(kept.validation) if kept and kept.validation is not None else None
    if history.interrupted:
        note("interrupted: the run so far is saved")
    if isnan(training.get("objective", 0)):
        note("note: the objective is not a number; a smaller rate or `clip_norm` may help")
    for name, scores in (("training", training), ("validation", validation), ("test", test)):
        if scores:
            print(f"{name:<10}  {scores_text(scores)}")
    print(f"run         {out}")
    if options.json:
        metrics = {n: v for n, v in training.items() if n not in ("loss", "objective")}
        print_json(
            {
                "loss": training.get("loss"),
                "metrics": metrics,
                "objective": training.get("objective"),
                "validation": validation,
                "test": dict(test),
                "epochs": len(history),
                "steps": kept.steps if kept else 0,
                "seconds": history.seconds,
                "stopped": history.stopped,
                "run": str(out),
            }
        )
