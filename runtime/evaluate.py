"""Running a program over data in batches: means of the results, and outputs sample by sample.

Invariant: batches have a fixed size whatever the data, and only the last may be smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.arrays import Array, address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netc.compiler.program import FunctionName, PortSpec
    from netc.runtime.arguments import Batch
    from netc.runtime.executable import Executable

EVALUATION_BATCH: Final = 1024


def addresses(executable: Executable, batch: Batch, outputs: dict[str, Array]) -> list[int]:
    """The data slots of a call: inputs, targets and outputs; 0 for those that are not there."""
    m = executable.manifest
    arrays = batch.arrays
    slots = [address(arrays[p.name]) if p.name in arrays else 0 for p in m.inputs]
    slots += [address(arrays[p.name]) if p.name in arrays else 0 for p in m.targets]
    slots += [address(outputs[p.name]) if p.name in outputs else 0 for p in m.outputs]
    return slots


def new_outputs(executable: Executable, names: Sequence[str], samples: int) -> dict[str, Array]:
    """Fresh arrays for the outputs of that name."""
    return {
        p.name: np.empty((samples, *p.shape), executable.dtype)
        for p in executable.manifest.outputs
        if p.name in names
    }


def outputs_of(executable: Executable, name: FunctionName, batch: Batch) -> dict[str, Array]:
    """The outputs of a function, in one call; `infer` stands for either function of inference."""
    if name == "infer":
        outputs = new_outputs(executable, executable.manifest.inference.outputs, batch.samples)
        executable.infer(batch.samples, addresses(executable, batch, outputs))
    else:
        outputs = new_outputs(executable, executable.spec(name).outputs, batch.samples)
        executable.run(name, batch.samples, addresses(executable, batch, outputs))
    return outputs


def predictions(executable: Executable, batch: Batch, size: int) -> dict[str, Array]:
    """The outputs in inference mode, computed `size` samples at a time."""
    outputs = new_outputs(executable, executable.manifest.inference.outputs, batch.samples)
    for rows, data, _ in _chunks(executable, batch, outputs, size):
        executable.infer(rows, data)
    return outputs


def evaluation(
    executable: Executable, batch: Batch, size: int
) -> tuple[dict[str, float], dict[str, Array]]:
    """Sample-weighted means of the results in inference mode; the outputs that need a target."""
    outputs = new_outputs(executable, executable.spec("evaluate").outputs, batch.samples)
    names = executable.manifest.results
    totals = np.zeros(len(names))
    for rows, data, _ in _chunks(executable, batch, outputs, size):
        totals += rows * np.array(executable.run("evaluate", rows, data)[: len(names)])
    means = totals / batch.samples
    return dict(zip(names, means.tolist(), strict=True)), outputs


def _chunks(
    executable: Executable, batch: Batch, outputs: dict[str, Array], size: int
) -> Iterator[tuple[int, list[int], int]]:
    """(rows, data slots, first row) of each batch: addresses into the whole arrays."""
    m = executable.manifest
    ports: tuple[PortSpec, ...] = (*m.inputs, *m.targets, *m.outputs)
    width = executable.dtype.itemsize
    strides = [width * int(np.prod(p.shape, dtype=np.int64)) for p in ports]
    first = addresses(executable, batch, outputs)
    for start in range(0, batch.samples, size):
        data = [a and a + start * s for a, s in zip(first, strides, strict=True)]
        yield min(size, batch.samples - start), data, start
