"""How long each kernel of a function takes inside whole runs of it, beside what the machine can do.

Every kernel call stands between two readings of the cycle counter, so its data is as warm as in
training and nothing is repeated. A run is repeated, and numbers are medians over the runs. With
several threads the times of a kernel are added up.
"""

from __future__ import annotations

from ctypes import c_int64
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.backend import jit
from netc.compiler.backend.probes import probes
from netc.compiler.backend.stamps import COUNTERS, stamped
from netc.compiler.describe import Description, describe
from netc.records import record
from netc.runtime.arguments import Signature
from netc.runtime.evaluate import addresses, new_outputs
from netc.runtime.executable import Executable
from netc.stages import need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.backend.probes import Probes
    from netc.compiler.driver import Program
    from netc.compiler.program import FunctionName, FunctionSpec, Manifest
    from netc.runtime.arguments import Batch
    from netc.runtime.arrays import Array

BODY: Final = "netc.call"
"""The native function that calls the kernels."""

LEAST_RUNS: Final = 5
PROBING: Final = 0.1
"""Seconds for each of the two loops that find what the machine can do."""


@record
class KernelTime:
    """One kernel: calls and seconds of one run, those of all threads together."""

    description: Description
    calls: float
    seconds: float

    @property
    def speed(self) -> float:
        """Useful operations a second."""
        return self.description.operations / self.seconds if self.seconds else 0.0

    @property
    def traffic(self) -> float:
        """Bytes a second."""
        return self.description.bytes / self.seconds if self.seconds else 0.0


@record
class Profile:
    """A function, run over so many samples.

    `rest` are the seconds of a run that are in no kernel, of all threads together: calls, loops,
    waiting for other threads. `peak` are operations a second, `bandwidth` bytes a second that one
    core reads and writes when it copies as much memory as the function has: both measured just
    before.
    """

    net: str
    function: FunctionName
    samples: int
    threads: int
    lanes: int
    runs: int
    kernels: tuple[KernelTime, ...]
    rest: float
    peak: float
    bandwidth: float

    @property
    def seconds(self) -> float:
        """Seconds of a run."""
        return (sum(k.seconds for k in self.kernels) + self.rest) / self.threads

    def roofline(self, kernel: KernelTime) -> float:
        """The least seconds that arithmetic or traffic allow, over those that it took."""
        what = kernel.description
        least = max(what.operations / self.peak, what.bytes / self.bandwidth)
        return least / kernel.seconds if kernel.seconds else 0.0


def profile(
    program: Program,
    function: FunctionName,
    samples: int,
    *,
    threads: int = 1,
    seconds: float = 1.0,
) -> Profile:
    """Runs one function of a program on random data for a while.

    `infer` over few samples is `infer_one` or `infer_group`. Raises UsageError for a function that
    the program has not got.
    """
    manifest = program.manifest
    if function == "infer":
        function = manifest.inference.function(samples)
    need(manifest, function)
    found = _Runs(program, function, samples, threads)
    machine = probes(program.target, manifest.precision, found.footprint)
    peak, bandwidth = limits(machine)
    cycle = _seconds_of_a_cycle(machine)
    counts = found.counts(seconds)
    middle = np.median(counts, axis=0)
    inside, beside = machine.stamp()
    middle[:-1, 0] = np.maximum(middle[:-1, 0] - inside * middle[:-1, 1], 0)
    called = counts[:, :-1].sum(axis=1)
    rest = np.median(counts[:, -1, 0] - called[:, 0] - beside * called[:, 1])
    descriptions = describe(program.stages(function), function, program.model, manifest, samples)
    times = [
        KernelTime(what, float(calls), float(cycles) * cycle)
        for what, (cycles, calls) in zip(descriptions, middle[:-1], strict=True)
    ]
    return Profile(
        manifest.name,
        function,
        samples,
        int(max(middle[-1, 1], 1)),
        manifest.lanes,
        len(counts),
        tuple(times),
        max(float(rest), 0.0) * cycle,
        peak,
        bandwidth,
    )


def limits(machine: Probes) -> tuple[float, float]:
    """Operations, and bytes read and written, that one core manages in a second; measured now."""
    return (
        machine.operations / _best(machine.multiply_add),
        machine.streamed / _best(machine.stream),
    )


def memory_of(manifest: Manifest, spec: FunctionSpec, samples: int) -> tuple[int, int]:
    """Bytes of a function's arena, and together with parameters, states and gradients."""
    blocks = (manifest.parameters, manifest.optimizer, manifest.states, manifest.gradients)
    arena = spec.fixed + spec.per_block * -(-samples // manifest.lanes)
    return arena, arena + sum(block.size for block in blocks)


class Stamped:
    """A function of a program with its kernel calls stamped; alive as long as it may be called."""

    def __init__(self, program: Program, function: FunctionName) -> None:
        stages = program.stages(function)
        text, places = stamped(stages.llvm, {*stages.kernels, BODY})
        self._library = jit.load(jit.compile_object(text, program.target))
        self.spec = program.spec(function)
        memory = (c_int64 * (2 * len(places))).from_address(self._library.address(COUNTERS))
        self.counters: Array = np.ctypeslib.as_array(memory).reshape(-1, 2)
        symbols = {launch.kernel: symbol for symbol, launch in stages.kernels.items()}
        self.order = order(places, [symbols[launch.kernel] for launch in stages.launches])

    def native(self, name: FunctionName) -> tuple[int, FunctionSpec]:
        """What an executable asks for."""
        return self._library.address(self.spec.symbol), self.spec


class _Runs:
    """A stamped function with its memory and random data."""

    def __init__(
        self, program: Program, function: FunctionName, samples: int, threads: int
    ) -> None:
        manifest = program.manifest
        self._stamped = Stamped(program, function)
        spec = self._stamped.spec
        self._executable = Executable(
            manifest,
            self._stamped.native,
            program.initial(0),
            0,
            threads=threads,
            team=program.team,
        )
        self._batch: Batch = Signature(manifest).converted(example(manifest, samples))
        self._outputs = new_outputs(self._executable, spec.outputs, samples)
        self._slots = addresses(self._executable, self._batch, self._outputs)
        _, self.footprint = memory_of(manifest, spec, samples)

    def counts(self, seconds: float) -> Array:
        """Cycles and calls of each kernel in the order of the plan, then of the whole: [run, …]."""
        counters, places = self._stamped.counters, [list(p) for p in self._stamped.order]
        self._run()
        found: list[Array] = []
        end = perf_counter() + seconds
        while len(found) < LEAST_RUNS or perf_counter() < end:
            counters[...] = 0
            self._run()
            found.append(np.stack([counters[own].sum(axis=0) for own in places]))
        return np.stack(found)

    def _run(self) -> None:
        self._executable.run(self._stamped.spec.name, self._batch.samples, self._slots)


def order(places: Sequence[str], launches: Sequence[str]) -> list[tuple[int, ...]]:
    """The places in the text that call each launch, in the order of the plan; last, the whole.

    A body that calls its kernels in several variants calls them in the same order in each.
    """
    called = [n for n, name in enumerate(places) if name != BODY]
    body = tuple(n for n, name in enumerate(places) if name == BODY)
    variants = [called[at : at + len(launches)] for at in range(0, len(called), len(launches))]
    if any([places[n] for n in variant] != list(launches) for variant in variants):
        raise LookupError(f"the kernels are not called in their order: {places}")
    return [*zip(*variants, strict=True), body]


def example(manifest: Manifest, samples: int) -> dict[str, Array]:
    """Random normal numbers for real ones, random labels and whole numbers for the others."""
    random = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for port in (*manifest.inputs, *manifest.targets):
        shape = (samples, *port.shape)
        if port.kind == "real":
            found[port.name] = random.standard_normal(shape)
        else:
            found[port.name] = random.integers(0, port.classes or 2, shape)
    return found


def _best(run: Callable[[], None]) -> float:
    """The least seconds of a call: processor time, so that a busy machine does not count."""
    run()
    best, end = float("inf"), perf_counter() + PROBING
    while perf_counter() < end:
        start = process_time()
        run()
        best = min(best, process_time() - start)
    return best


def _seconds_of_a_cycle(machine: Probes) -> float:
    """The counter's rate, from two readings some time apart."""
    samples = []
    for _ in range(LEAST_RUNS):
        start, first = perf_counter(), machine.cycles()
        while perf_counter() < start + 2e-3:
            pass
        samples.append((perf_counter() - start) / (machine.cycles() - first))
    return median(samples)
