"""The compiled program: object code, and the manifest that tells a runtime how to call it.

This file is the whole contract between `compiler` and `runtime`; it imports neither.

Every native function has the signature `void f(int64_t *call)`; `call` is a block of 64-bit slots,
`SLOTS` first, then the addresses of the inputs, the targets and the outputs in manifest order.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

from netc.records import record

FunctionName = Literal[
    "infer",
    "infer_one",
    "infer_group",
    "evaluate",
    "forward",
    "backward",
    "update",
    "step",
    "train",
]
"""infer: outputs in inference mode. infer_one: the same, one sample after the other, for few of
them. infer_group: the same, one group of samples after the other. evaluate: results (means) in
inference mode. forward: outputs in training mode, states committed. backward: gradients and
results, nothing committed. update: one optimizer step from the gradients. step: all of it, fused.
train: many steps over a data set, in one call.
"""


class Slot(IntEnum):
    """The fixed slots of a call block."""

    BATCH = 0  # samples in this call; of a minibatch in `train`
    ARENA = 1  # scratch memory, 64-byte aligned
    PARAMETERS = 2  # persistent blocks, 64-byte aligned, laid out as the manifest says
    STATES = 3
    OPTIMIZER = 4
    GRADIENTS = 5
    SCALARS = 6  # float64[], run-time numbers in manifest order
    RESULTS = 7  # float64[], written: results in manifest order (means over the batch)
    SEED = 8
    STEP = 9  # number of the (first) step of this call, from 1
    EPOCH = 10  # from 1
    STEPS = 11  # total steps planned (the language's `steps`)
    EPOCHS = 12  # total epochs planned
    SAMPLES = 13  # train: rows of the data set
    ORDER = 14  # train: int64[SAMPLES], scratch for the shuffled row numbers
    SHUFFLE = 15  # train: 0 text order, 1 shuffled, 2 with replacement
    RUN_EPOCHS = 16  # train: epochs to run in this call
    MAX_STEPS = 17  # train: stop after this many steps of this call; 0: no limit
    PROGRESS = 18  # train: int64[4]: steps done (out), stop request (in), epochs done (out), and
    # a word of the threads among themselves
    HISTORY = 19  # train: float64[RUN_EPOCHS, results], written: means of an epoch so far
    FIRST = 20  # train: samples of the first epoch, in its order, that an earlier call has done
    THREAD = 21  # number of the thread that runs this call block, from 0
    THREADS = 22  # how many threads run the function together, each on its own call block
    BARRIER = 23  # int64[THREADS], each on its own BARRIER_LINE bytes; 0 with one thread
    DATA = 24  # first address of inputs, targets, outputs


BARRIER_LINE = 128
"""Bytes from one thread's word of a barrier to the next: processors fetch lines of 64 in pairs."""


class Job(IntEnum):
    """The slots of a job: one native function, run by several threads together."""

    FUNCTION = 0  # its address
    CALLS = 1  # call blocks, one for each thread; the first is filled in
    STRIDE = 2  # bytes from one call block to the next
    THREADS = 3
    SEATS = 4  # seats of the workers, SEAT_BYTES each: threads 1, 2, …


SEAT_BYTES = 640
"""Memory of a worker, zeroed before it is made ready; aligned to BARRIER_LINE."""


@record
class TeamCode:
    """Addresses of the native functions that let threads work together; each takes one address.

    `ready(seat)` prepares the memory of a worker. `work(seat)` is what the worker runs: it does its
    share of job after job until it is dismissed. `share(job)` runs a job and returns when every
    thread has; `dismiss(seat)` ends a worker that has nothing to do.
    """

    ready: int
    work: int
    share: int
    dismiss: int


@record
class PortSpec:
    """An array of the caller: C-contiguous rows of `shape` in the program's precision."""

    name: str
    shape: tuple[int, ...]
    kind: Literal["real", "class", "int"] = "real"
    classes: int | None = None
    missing: bool = False


@record
class StoredSpec:
    """A value in a persistent block: bytes from its start, and strides in bytes."""

    name: str
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]


@record
class Block:
    """A persistent block: its size in bytes and what lies where."""

    size: int
    values: tuple[StoredSpec, ...]


@record
class FunctionSpec:
    """One native function: symbol, the arrays it takes, and the scratch memory it needs.

    Arena bytes for a batch of B samples: `fixed + per_block * ceil(B / lanes)`. It takes one thread
    about `work + work_per_block * ceil(B / lanes)` nanoseconds; `together` says whether several
    threads may share it.
    `counted` tells whether it reads the seed or one of the counters of the call.
    `inputs` and `outputs` are indices into the manifest's `ports` and `outputs`; unused ones keep
    their slot and may be 0.
    """

    name: FunctionName
    symbol: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    fixed: int
    per_block: int
    work: int = 0
    work_per_block: int = 0
    counted: bool = True
    together: bool = False

    def nanoseconds(self, blocks: int) -> int:
        """The estimate for a batch of so many blocks of samples."""
        return self.work + self.work_per_block * blocks


@record
class InferenceSpec:
    """What the functions of inference take and give: all that a caller needs before the first call.

    Up to `few` samples go through `infer_one`, beyond them up to `several` through `infer_group`,
    which computes `group` at a time and at least so many. 0 where there is no such function.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    few: int = 0
    group: int = 0
    several: int = 0

    def function(self, samples: int) -> FunctionName:
        """The function that is the fastest for so many samples."""
        if samples <= self.few:
            return "infer_one"
        return "infer_group" if samples <= self.several else "infer"


@record
class Manifest:
    """Everything a runtime needs to know about a program."""

    name: str
    precision: Literal["f32", "f64"]
    lanes: int
    inputs: tuple[PortSpec, ...]
    targets: tuple[PortSpec, ...]
    outputs: tuple[PortSpec, ...]
    results: tuple[str, ...]  # "objective", "loss", then the metrics
    scalars: tuple[tuple[str, float], ...]  # name and default
    parameters: Block
    states: Block
    optimizer: Block
    gradients: Block
    functions: tuple[FunctionName, ...]  # those this program has; made native at first use
    inference: InferenceSpec = InferenceSpec()


@record
class Settings:
    """The train block's run-time numbers, with the language's defaults."""

    batch: int = 32
    epochs: int = 1
    max_steps: int | None = None
    shuffle: Literal["true", "false", "with_replacement"] = "true"
    seed: int = 0
    clip_norm: float | None = None
    clip_value: float | None = None
    validation: float = 0.0
    monitor: str | None = None
    patience: int | None = None
    min_delta: float = 0.0
    restore_best: bool = False
    stop_change: float | None = None
