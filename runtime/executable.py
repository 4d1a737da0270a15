"""A compiled program with its memory: every native call goes through here.

Invariant: calls never overlap (they share one arena), addresses in a call block are alive for the
whole call, the GIL is free while native code runs, and no result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from ctypes import CFUNCTYPE, addressof, c_int64, c_void_p
from dataclasses import dataclass
from math import isnan
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.compiler.program import Job, Slot
from netc.records import record
from netc.runtime.arrays import Array, address, element_type
from netc.runtime.blocks import Arena, Values
from netc.runtime.errors import UsageError, suggestion
from netc.runtime.groups import whole_group
from netc.runtime.threads import AWAKE_SECONDS, WORTH_WAKING, bounded, team, worth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netc.compiler.program import FunctionName, FunctionSpec, Manifest, TeamCode

Native = Callable[["FunctionName"], tuple[int, "FunctionSpec"]]
_SIGNATURE: Final = CFUNCTYPE(None, c_void_p)


class Scalars(MutableMapping[str, float]):
    """The run-time numbers of a program; a change counts from the next call."""

    def __init__(self, defaults: Sequence[tuple[str, float]]) -> None:
        self._index = {name: i for i, (name, _) in enumerate(defaults)}
        self._defaults = dict(defaults)
        self.memory = np.array([v for _, v in defaults] or [0.0], np.float64)

    def __getitem__(self, name: str) -> float:
        return float(self.memory[self._place(name)])

    def __setitem__(self, name: str, value: float) -> None:
        self.memory[self._place(name)] = value

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"the run-time number `{name}` cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def extend(self, name: str, default: float) -> None:
        """One more number, after the others."""
        self._index[name] = len(self._index)
        self._defaults[name] = default
        self.memory = np.append(self.memory[: len(self._index) - 1], default)

    def changed(self) -> dict[str, float]:
        """The numbers that differ from the text's."""
        return {
            n: v
            for n, v in self.items()
            if v != self._defaults[n] and not (isnan(v) and isnan(self._defaults[n]))
        }

    @contextmanager
    def replaced(self, values: Mapping[str, float]) -> Iterator[None]:
        """Other values for a while."""
        before = self.memory.copy()
        try:
            self.update(values)
            yield
        finally:
            self.memory[:] = before

    def _place(self, name: str) -> int:
        if name not in self._index:
            message = f"there is no run-time number `{name}`"
            raise UsageError(message, suggestion(name, self._index))
        return self._index[name]


@dataclass(slots=True)
class Counters:
    """The numbers of the next step and epoch, from 1, and how many of each are planned."""

    step: int = 1
    epoch: int = 1
    steps: int = 1
    epochs: int = 1


@record
class TrainingRun:
    """One call of the native training loop: its numbers, and the memory it reports to.

    `progress` is int64[4]: steps done, stop request, epochs done, one for the threads. `history` is
    float64[epochs, results]: the means of each epoch, those of the present one so far. `first`
    samples of the first epoch are left out: an earlier run has done them.
    """

    samples: int
    batch: int
    shuffle: int
    epochs: int
    max_steps: int
    order: NDArray[np.int64]
    progress: NDArray[np.int64]
    history: NDArray[np.float64]
    first: int = 0


@record
class NativeCall:
    """One native function with its own call block, and the job for several threads.

    Behind the call block is room for those of the other threads: the job has them filled in.
    """

    run: Callable[[int], None]
    block: Any  # a ctypes array of int64
    address: int
    results: NDArray[np.float64]
    fixed: int
    per_block: int
    spec: FunctionSpec
    job: Any  # a ctypes array of int64
    most: int  # threads that there is room for


class Executable:
    """Runs the functions of a program. `native` gives address and description of each.

    `team` gives the native functions of worker threads; without it there is one thread.
    """

    def __init__(
        self,
        manifest: Manifest,
        native: Native,
        initial: Mapping[tuple[Any, str], Array],
        seed: int,
        *,
        threads: int = 1,
        team: Callable[[], TeamCode] | None = None,
    ) -> None:
        self.manifest = manifest
        self.dtype = element_type(manifest.precision)
        self.seed = seed
        self.counters = Counters()
        self.parameters = Values(manifest.parameters, self.dtype, "parameter")
        self.states = Values(manifest.states, self.dtype, "state")
        self.optimizer = Values(manifest.optimizer, self.dtype, "optimizer state")
        self.gradients = Values(manifest.gradients, self.dtype, "gradient")
        self.scalars = Scalars(manifest.scalars)
        for space, values in self._stored():
            values.assign({name: initial[space, name] for name in values})
        # backward writes its results, update reads the objective there
        self._training_results = np.zeros(max(len(manifest.results), 1))
        self._native = native
        self._team = team
        self._threads = bounded(threads)
        self._soon = 0.0  # until then another call comes soon after the last one
        self._lanes = manifest.lanes
        self._arena = Arena()
        self.lock = Lock()
        self._calls: dict[FunctionName, NativeCall] = {}
        self._apart: list[NativeCall] = []

    def _stored(self) -> tuple[tuple[str, Values], ...]:
        return (
            ("parameter", self.parameters),
            ("state", self.states),
            ("optimizer", self.optimizer),
        )

    def assign(self, found: Mapping[tuple[Any, str], Array]) -> None:
        """Sets stored values, by space and name."""
        blocks = dict(self._stored())
        for (space, name), value in found.items():
            blocks[space][name][...] = value

    def remember(self, objective: float) -> None:
        """The objective that `update` reads, as if `backward` had left it."""
        self._training_results[0] = objective

    def replace(self, manifest: Manifest, native: Native) -> None:
        """Another program over the same values; it has the same numbers and perhaps more."""
        with self.lock:
            for name, default in manifest.scalars[len(self.scalars) :]:
                self.scalars.extend(name, default)
            for call in self._apart:
                call.block[Slot.SCALARS] = address(self.scalars.memory)
            self.manifest = manifest
            self._native = native
            self._calls = {}

    @property
    def threads(self) -> int:
        """How many threads a call may use at most."""
        return self._threads

    @threads.setter
    def threads(self, value: int) -> None:
        with self.lock:
            self._threads = bounded(value)
            self._calls = {}  # their blocks have room for as many threads as there were

    def spec(self, name: FunctionName) -> FunctionSpec:
        """The description of a native function (made native if it was not yet)."""
        return self._call(name).spec

    def run(
        self, name: FunctionName, rows: int, data: Sequence[int], states: int | None = None
    ) -> list[float]:
        """Calls a function on `rows` samples; returns its results in manifest order.

        `data` are the addresses of inputs, targets and outputs in manifest order, 0 for those the
        function does not use. `states` replaces the address of the states.
        """
        if name == "infer_group" and rows < self.manifest.inference.group:
            with whole_group(self.manifest, self.dtype, rows, data) as group:
                return self.run(name, self.manifest.inference.group, group, states)
        call = self._calls.get(name) or self._call(name)
        with self.lock:
            self._invoke(call, rows, data, states or self.states.address)
            results: list[float] = call.results.tolist()
        return results

    def infer(self, rows: int, data: Sequence[int]) -> None:
        """`run` for the function of inference that is the fastest: none has results."""
        inference = self.manifest.inference
        name = inference.function(rows)
        if name == "infer_group" and rows < inference.group:
            self.run(name, rows, data)
            return
        call = self._calls.get(name) or self._call(name)
        with self.lock:
            self._invoke(call, rows, data, self.states.address)

    def step(self, rows: int, data: Sequence[int]) -> float:
        """`run` for the function of which only the first result is wanted."""
        call = self._calls.get("step") or self._call("step")
        with self.lock:
            self._invoke(call, rows, data, self.states.address)
            objective: float = call.results.item(0)
        return objective

    def train(self, run: TrainingRun, data: Sequence[int]) -> None:
        """Calls the native training loop; `data` are the addresses of the whole data set."""
        call = self._call("train")
        with self.lock:
            block = call.block
            block[Slot.SAMPLES] = run.samples
            block[Slot.ORDER] = address(run.order)
            block[Slot.SHUFFLE] = run.shuffle
            block[Slot.RUN_EPOCHS] = run.epochs
            block[Slot.MAX_STEPS] = run.max_steps
            block[Slot.PROGRESS] = address(run.progress)
            block[Slot.HISTORY] = address(run.history)
            block[Slot.FIRST] = run.first
            self._invoke(call, run.batch, data, self.states.address)

    def _invoke(self, call: NativeCall, rows: int, data: Sequence[int], states: int) -> None:
        block, counters, arena = call.block, self.counters, self._arena
        blocks = -(-rows // self._lanes)
        scratch = call.fixed + call.per_block * blocks
        if scratch > arena.size:
            arena.grow(scratch)
        block[_BATCH] = rows
        block[_ARENA] = arena.address
        block[_STATES] = states
        block[_SEED] = self.seed
        block[_STEP] = counters.step
        block[_EPOCH] = counters.epoch
        block[_STEPS] = counters.steps
        block[_EPOCHS] = counters.epochs
        block[_DATA : _DATA + len(data)] = data
        if self._threads > 1 and call.spec.together:
            self._shared(call, blocks)
        else:
            call.run(call.address)

    def _shared(self, call: NativeCall, blocks: int) -> None:
        """Runs a function on as many threads as pay."""
        spec = call.spec
        threads = min(worth(spec, blocks), call.most)
        wakes = spec.nanoseconds(blocks) >= WORTH_WAKING or spec.name == "train"
        wakes = wakes or perf_counter() < self._soon
        if threads < 2 or not wakes or not self._together(call, threads):
            call.run(call.address)
        self._soon = perf_counter() + AWAKE_SECONDS

    def _together(self, call: NativeCall, threads: int) -> bool:
        """Runs a function on several threads; False, and nothing done, when that cannot be."""
        if self._team is None:
            return False
        crew = team(self._team)
        block, job = call.block, call.job
        block[_THREADS], block[_BARRIER] = threads, crew.barrier(threads)
        job[Job.THREADS], job[Job.SEATS] = threads, crew.seats
        try:
            return crew.share(addressof(job), threads)
        finally:
            block[_THREADS] = 1

    def _call(self, name: FunctionName) -> NativeCall:
        """The call block of a function, made at its first use."""
        if name not in self._calls:
            self._calls[name] = self._made(name)
        return self._calls[name]

    def count(self, call: NativeCall) -> None:
        """Tells a native function the seed and the counters."""
        block, counters = call.block, self.counters
        block[_SEED] = self.seed
        block[_STEP] = counters.step
        block[_EPOCH] = counters.epoch
        block[_STEPS] = counters.steps
        block[_EPOCHS] = counters.epochs

    def apart(self, name: FunctionName) -> NativeCall:
        """A native function with a call block that nobody else uses.

        Who calls it holds `lock`, and gives it scratch memory, states and the caller's arrays.
        """
        self._apart.append(self._made(name))
        return self._apart[-1]

    def _made(self, name: FunctionName) -> NativeCall:
        start, spec = self._native(name)
        m = self.manifest
        size = Slot.DATA + len(m.inputs) + len(m.targets) + len(m.outputs)
        block = (c_int64 * (size * self._threads))()
        training = name in ("backward", "update")
        results = self._training_results if training else np.zeros_like(self._training_results)
        block[Slot.PARAMETERS] = self.parameters.address
        block[Slot.OPTIMIZER] = self.optimizer.address
        block[Slot.GRADIENTS] = self.gradients.address
        block[Slot.SCALARS] = address(self.scalars.memory)
        block[Slot.RESULTS] = address(results)
        block[Slot.THREADS] = 1
        job = (c_int64 * len(Job))(start, addressof(block), 8 * size)
        return NativeCall(
            _SIGNATURE(start),
            block,
            addressof(block),
            results,
            spec.fixed,
            spec.per_block,
            spec,
            job,
            self._threads,
        )


_BATCH: Final = int(Slot.BATCH)  # plain numbers: an IntEnum costs 40 ns a look-up
_ARENA: Final = int(Slot.ARENA)
_STATES: Final = int(Slot.STATES)
_SEED: Final = int(Slot.SEED)
_STEP: Final = int(Slot.STEP)
_EPOCH: Final = int(Slot.EPOCH)
_STEPS: Final = int(Slot.STEPS)
_EPOCHS: Final = int(Slot.EPOCHS)
_THREADS: Final = int(Slot.THREADS)
_BARRIER: Final = int(Slot.BARRIER)
_DATA: Final = int(Slot.DATA)
