"""`netc replay`: a step that a run has kept, done again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netc.cli.console import note, print_json, write_whole
from netc.compiling import load
from netc.debugging import DebugModel
from netc.runtime.errors import UsageError
from netc.runtime.replay import read_step

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.debugging import Repeated
    from netc.runtime.replay import KeptStep


def replay(options: Namespace) -> int:
    """Does the step again and prints what came of it; 1 if any bit differs."""
    values = None if options.values is None else Path(options.values)
    if values is not None and values.suffix != ".npz":
        raise UsageError(f"--values {values}: values are written as .npz")
    kept = read_step(Path(options.weights), options.step)
    model = load(options.weights, threads=options.threads, debug=True)
    assert isinstance(model, DebugModel)
    done = model.repeat(kept)
    _print(model, kept, done)
    if values is not None:
        arrays: dict[str, Any] = {name: model.value(name) for name in model.value_names}
        write_whole(values, lambda file: np.savez(file, **arrays))
        note(f"wrote {values}")
    if options.json:
        print_json(
            {
                "step": kept.number,
                "samples": kept.batch.samples,
                "results": _named(model, done),
                "same": done.same,
                "failure": None if done.failure is None else done.failure.details,
            }
        )
    return 0 if done.same else 1


def _print(model: DebugModel, kept: KeptStep, done: Repeated) -> None:
    samples = f"{kept.batch.samples:,} samples"
    print(f"step {kept.number} of net {model.name}: {samples}, epoch {kept.counters.epoch}")
    for name, value in _named(model, done).items():
        print(f"{name:<10}{value:.9g}")
    same = "every bit is as in the run" if done.same else "not as in the run"
    print(f"{'again':<10}{same}")
    if done.failure is not None:
        print(done.failure.message)


def _named(model: DebugModel, done: Repeated) -> dict[str, float]:
    return dict(zip(model.manifest.results, done.results, strict=False))
