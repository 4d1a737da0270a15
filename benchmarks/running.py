"""Training steps and inference of a reference net and its peers, after a check that all agree."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.measure import LEAST_ROUNDS, Timing
from benchmarks.peers import WAYS
from benchmarks.server import FIT, NATIVE, OWN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from benchmarks.fleet import Worker
    from benchmarks.nets import Net
    from netc.model import Precision

CHECKED_STEPS: Final = 3
COMPARED: Final[Sequence[tuple[Precision, int, float, float]]] = (
    ("f64", CHECKED_STEPS, 1e-9, 1e-11),
    ("f32", 1, 1e-5, 1e-4),
)
"""Precision, steps, and what losses and outputs may differ by relative to the largest."""

SETTLING: Final = 0.004
"""Seconds between samples of several threads: those of the last one stop waiting actively."""


BEYOND_SECONDS: Final = 0.6
QUICK: Final = 0.3
FEW_ROUNDS: Final = 3
"""Samples of each way at least, where there are no more than `QUICK` seconds."""


class DisagreementError(Exception):
    """Two implementations do not compute the same: their times mean nothing."""


@dataclass(frozen=True, slots=True)
class NetResult:
    """Timings of one net at one batch size, by who; "netc" is always there."""

    net: str
    batch: int
    threads: int
    flops: int
    step: dict[str, Timing]
    infer_one: dict[str, Timing]
    infer_batch: dict[str, Timing]


def check(net: Net, batch: int, workers: Mapping[str, Worker]) -> None:
    """Trains all on the same batches: losses of `step`, of `fit` and of the peers must agree.

    Nothing is drawn. In double precision all steps are compared, in the precision that is timed
    the outputs and the first loss: from there on Adam divides rounding errors by their own size.
    Raises DisagreementError, also when a loss is not finite.
    """
    for precision, steps, loss, output in COMPARED:
        ways = _built(net, batch, workers, steps, precision, exact=True)
        own = workers[OWN].ask("compute", way=OWN, kinds=["infer", "step"], steps=steps)
        if not all(map(isfinite, own["losses"])):
            raise DisagreementError(f"{net.name}: losses {own['losses']}")
        for name, worker in ways.items():
            found = worker.ask("compute", way=name, kinds=WAYS[name].kinds, steps=steps)
            allowed = max(loss, WAYS[name].off)
            for what, tolerance in (("losses", allowed), ("outputs", output)):
                if what in found:
                    agree(f"{net.name}, {what} of {name}", found[what], own[what], tolerance)
        _built(net, batch, {OWN: workers[OWN]}, steps, precision, exact=True)
        fitted = workers[OWN].ask("fitted", batch=batch)
        agree(f"{net.name}, fit", fitted, np.mean(own["losses"]), loss)


def measure(
    net: Net,
    batch: int,
    threads: int,
    workers: Mapping[str, Worker],
    seconds: Sequence[float],
    without: Collection[str] = (),
) -> NetResult:
    """Times netc and the peers: steps, inference of one sample and of a batch.

    Each goes on for so many seconds; what gets 0 is left out, and so are the peers `without`.
    """
    built = _built(net, batch, workers, 1, "f32", exact=False)
    ways = {name: worker for name, worker in built.items() if name not in without}
    trained = [n for n in ways if "step" in WAYS[n].kinds]
    inferred = [n for n in ways if "infer" in WAYS[n].kinds]
    places = {**dict.fromkeys((OWN, FIT), workers[OWN]), **ways}
    step, one, many = (
        _interleaved({n: places[n] for n in names}, kind, size, threads, limit)
        for names, kind, size, limit in (
            ((OWN, FIT, *trained), "step", batch, seconds[0]),
            ((OWN, *inferred), "infer", 1, seconds[1]),
            ((OWN, *inferred), "infer", batch, seconds[2]),
        )
    )
    flops = workers[OWN].ask("flops", batch=batch)
    return NetResult(net.name, batch, threads, flops, step, one, many)


def beyond(net: Net, workers: Mapping[str, Worker]) -> float:
    """Seconds that `forward` of one sample takes beyond the native function."""
    _built(net, 1, {OWN: workers[OWN]}, 1, "f32", exact=False)
    ways = dict.fromkeys((OWN, NATIVE), workers[OWN])
    found = _interleaved(ways, "infer", 1, 1, BEYOND_SECONDS)
    return found[OWN].median - found[NATIVE].median


def _built(
    net: Net,
    batch: int,
    workers: Mapping[str, Worker],
    steps: int,
    precision: Precision,
    *,
    exact: bool,
) -> dict[str, Worker]:
    """Builds a net in every process that can: the worker of each way but netc's own."""
    arguments = {"net": net.name, "precision": precision, "exact": exact}
    with TemporaryDirectory() as folder:
        file = str(Path(folder, "values.npz"))
        sizes = {"batch": batch, "samples": steps * batch}
        workers[OWN].ask("create", **arguments, **sizes, file=file)
        others = [worker for framework, worker in workers.items() if framework != OWN]
        for worker in others:
            worker.send("take", **arguments, ways=worker.ways, file=file)
        return {name: worker for worker in others for name in worker.answer()}


def _interleaved(
    ways: Mapping[str, Worker], kind: str, batch: int, threads: int, seconds: float
) -> dict[str, Timing]:
    """Times all ways in turn until the time is over, each at least a few times, in changing order.

    One thread is timed by processor time, several by the wall clock.
    """
    command = {"kind": kind, "batch": batch}
    if not seconds:
        return {}
    for name, worker in ways.items():
        worker.ask("sample", way=name, **command)  # prepares it
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    order, random = list(ways), Random(0)
    least = LEAST_ROUNDS if seconds > QUICK else FEW_ROUNDS
    end = perf_counter() + seconds
    while perf_counter() < end or any(len(s) < least for s in samples.values()):
        random.shuffle(order)
        for name in order:
            sleep(SETTLING if threads > 1 else 0)
            samples[name].append(ways[name].ask("sample", way=name, **command))
    return {name: Timing.of(found, by_wall=threads > 1) for name, found in samples.items()}


def agree(what: str, found: object, own: object, tolerance: float) -> None:
    """Equal relative to the largest number."""
    there, here = np.asarray(found), np.asarray(own)
    largest = float(np.abs(here - there).max() / np.abs(here).max())
    if not largest <= tolerance:
        raise DisagreementError(f"{what}: off by {largest:.1e}, {there} instead of {here}")
