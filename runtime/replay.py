"""One step of a run, kept in its folder so that it can be done again: `step.json` and its arrays.

Invariant: numbers are kept to the last bit, infinities and NaN among them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from netc.records import record
from netc.runtime.arguments import Batch
from netc.runtime.errors import DataError
from netc.runtime.executable import Counters
from netc.runtime.watched import Stepping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netc.runtime.arrays import Array

STEP_FILE: Final = "step.json"
ARRAYS_FILE: Final = "step.safetensors"


@record
class KeptStep:
    """A step: what it was given and, in brief, what it left.

    `stored` are values before it, by space and name. `digest` is that of the results and of all
    stored values after it.
    """

    function: Stepping
    batch: Batch
    stored: Mapping[tuple[str, str], Array]
    scalars: Mapping[str, float]
    seed: int
    counters: Counters
    results: tuple[float, ...]
    digest: str

    @property
    def number(self) -> int:
        return self.counters.step


def digest(results: tuple[float, ...], stored: Mapping[tuple[str, str], Array]) -> str:
    """A fingerprint of every bit of results and stored values."""
    found = sha256(np.array(results, np.float64).tobytes())
    for (space, name), array in sorted(stored.items(), key=lambda one: one[0]):
        found.update(f"{space} {name} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def write_step(path: Path, kept: KeptStep) -> None:
    """Puts a step into a run folder."""
    arrays = {f"{space} {name}": array for (space, name), array in kept.stored.items()}
    arrays |= {f"batch {name}": array for name, array in kept.batch.arrays.items()}
    whole = {name: np.array(array, order="C") for name, array in arrays.items()}
    (path / ARRAYS_FILE).write_bytes(tensors_to_bytes(whole))
    data = {
        "function": kept.function,
        "samples": kept.batch.samples,
        "seed": kept.seed,
        "counters": asdict(kept.counters),
        "scalars": {name: value.hex() for name, value in kept.scalars.items()},
        "results": [value.hex() for value in kept.results],
        "digest": kept.digest,
    }
    (path / STEP_FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def read_step(path: Path, number: int | None = None) -> KeptStep:
    """The step that a run keeps; DataError if it keeps none, another one, or a damaged one."""
    if not (path / STEP_FILE).is_file():
        raise DataError(
            f"run `{path}` keeps no step to do again",
            "`netc train --debug` keeps the last one, or the one that failed",
        )
    try:
        kept = _read(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the step in `{path}` is damaged: {error}") from None
    if number not in (None, kept.number):
        raise DataError(
            f"run `{path}` cannot do step {number} again: it keeps step {kept.number} alone",
            f"`netc replay {path} --step {kept.number}`",
        )
    return kept


def _read(path: Path) -> KeptStep:
    data: dict[str, Any] = json.loads((path / STEP_FILE).read_text(encoding="utf-8"))
    stored: dict[tuple[str, str], Array] = {}
    batch: dict[str, Array] = {}
    for name, array in tensors_from_bytes((path / ARRAYS_FILE).read_bytes()).items():
        space, _, rest = name.partition(" ")
        if space == "batch":
            batch[rest] = array
        else:
            stored[space, rest] = array
    if data["function"] not in get_args(Stepping):
        raise ValueError(f"{data['function']} is no step")
    return KeptStep(
        data["function"],
        Batch(batch, int(data["samples"])),
        stored,
        {name: float.fromhex(value) for name, value in data["scalars"].items()},
        int(data["seed"]),
        Counters(**data["counters"]),
        tuple(float.fromhex(value) for value in data["results"]),
        data["digest"],
    )
