"""The tables of a run: what was measured beside what it was to be."""

from __future__ import annotations

from statistics import geometric_mean
from typing import TYPE_CHECKING

from benchmarks import targets
from benchmarks.peers import WAYS
from benchmarks.report import (
    NOTHING,
    Table,
    megabytes,
    microseconds,
    milliseconds,
    plain,
    shown,
)
from benchmarks.server import FIT, OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.measure import Timing
    from benchmarks.results import Results
    from benchmarks.running import NetResult


def tables(results: Results) -> Iterator[Table]:
    """All tables that the results have numbers for."""
    for threads in sorted({r.threads for r in results.nets}):
        chosen = [r for r in results.nets if r.threads == threads]
        yield training(chosen, threads, results.peak[str(threads)])
        yield inference_one(chosen, threads, results.calls)
        yield inference_batch(chosen, threads)
    for threads in sorted({r.threads for r in results.sweep}):
        chosen = [r for r in results.sweep if r.threads == threads]
        yield by_batch(chosen, threads)
        yield slower(chosen, threads)
    if results.starts:
        yield starting(results)
    if results.compile:
        yield compiling(results)
    if results.memory:
        yield memory(results)
    if results.mnist:
        yield epochs(results)


def training(results: Sequence[NetResult], threads: int, peak: float) -> Table:
    """Steps from Python and in `fit`, beside the peers; ratios to the fastest of them."""
    names = _peers(r.step for r in results)
    wanted = targets.TRAINING.get(threads, {})
    rows = [
        [
            r.net,
            str(r.batch),
            microseconds(r.flops / peak),
            shown(r.step[OWN]),
            shown(r.step[FIT]),
            f"{r.flops / peak / r.step[FIT].median:.0%}",
            *(plain(r.step.get(name)) for name in names),
            *(_shown_ratio(ratio(r.step, own)) for own in (OWN, FIT)),
            _target(wanted.get(r.net), ratio(r.step, FIT)),
        ]
        for r in results
    ]
    means = [_mean(ratio(r.step, own) for r in results) for own in (OWN, FIT)]
    wanted_mean = _target(_of_all(targets.TRAINING_MEANS.get(threads), results), means[1])
    empty = [""] * (5 + len(names))
    rows.append(["geometric mean", *empty, *map(_shown_ratio, means), wanted_mean])
    header = ("net", "batch", "floor", "step", "fit", "floor / fit", *names, "/ step", "/ fit")
    title = f"training step, {_threads(threads)}, µs"
    return Table(f"training-{threads}", title, (*header, "target"), rows)


def inference_one(results: Sequence[NetResult], threads: int, beyond: Mapping[str, float]) -> Table:
    """`forward` of one sample from Python, and what of it is not the native function."""
    names = _peers(r.infer_one for r in results)
    wanted = targets.INFERENCE if threads == 1 else {}
    rows = []
    for r in results:
        found = ratio(r.infer_one)
        call = microseconds(beyond[r.net]) if threads == 1 and r.net in beyond else NOTHING
        others = (plain(r.infer_one.get(name)) for name in names)
        target = _target(wanted.get(r.net), found)
        rows.append([r.net, shown(r.infer_one[OWN]), call, *others, _shown_ratio(found), target])
    mean = _mean(ratio(r.infer_one) for r in results)
    target = _target(_of_all(targets.INFERENCE_MEAN if wanted else None, results), mean)
    rows.append(["geometric mean", "", "", *[""] * len(names), _shown_ratio(mean), target])
    header = ("net", "netc", "of it the call", *names, "ratio", "target")
    title = f"inference of one sample from Python, {_threads(threads)}, µs"
    return Table(f"inference-one-{threads}", title, header, rows)


def inference_batch(results: Sequence[NetResult], threads: int) -> Table:
    """`forward` of a training batch from Python."""
    names = _peers(r.infer_batch for r in results)
    rows = [
        [
            r.net,
            str(r.batch),
            shown(r.infer_batch[OWN]),
            *(plain(r.infer_batch.get(name)) for name in names),
            _shown_ratio(ratio(r.infer_batch)),
        ]
        for r in results
    ]
    mean = _mean(ratio(r.infer_batch) for r in results)
    rows.append(["geometric mean", "", "", *[""] * len(names), _shown_ratio(mean)])
    header = ("net", "batch", "netc", *names, "ratio")
    title = f"inference of a batch from Python, {_threads(threads)}, µs"
    return Table(f"inference-batch-{threads}", title, header, rows)


def by_batch(results: Sequence[NetResult], threads: int) -> Table:
    """How many times faster netc is at every batch size: steps, steps in `fit`, inference."""
    batches = sorted({r.batch for r in results})
    rows = []
    for name in dict.fromkeys(r.net for r in results):
        of = {r.batch: r for r in results if r.net == name}
        for what in ("step", "fit", "infer"):
            found = [sweep_ratio(of[b], what) if b in of else None for b in batches]
            rows.append([name, what, *map(_shown_ratio, found)])
    header = ("net", "what", *map(str, batches))
    return Table(f"sweep-{threads}", f"ratio by batch size, {_threads(threads)}", header, rows, 2)


def slower(results: Sequence[NetResult], threads: int) -> Table:
    """Every point of the sweep where a peer is faster by more than the noise."""
    rows = []
    for r in results:
        for what in ("step", "fit", "infer"):
            found = sweep_ratio(r, what)
            if found is not None and found < 1 - targets.NOISE:
                kind = r.infer_batch if what == "infer" else r.step
                best = min(_others(kind), key=lambda name, kind=kind: kind[name].median)
                rows.append([r.net, what, str(r.batch), best, f"{found:.2f}"])
    header = ("net", "what", "batch", "fastest", "ratio")
    title = f"where a peer is faster, {_threads(threads)}"
    return Table(f"slower-{threads}", title, header, rows or [["none", *[""] * 4]], 2)


def starting(results: Results) -> Table:
    """From a fresh process to the end of the first step of lenet, and its memory."""
    rows = [
        [
            name,
            milliseconds(s.imports),
            milliseconds(s.cold),
            milliseconds(s.cached),
            megabytes(s.used),
            megabytes(s.resident),
        ]
        for name, s in results.starts.items()
    ]
    wanted = [milliseconds(t) for t in (targets.COLD_SECONDS, targets.CACHED_SECONDS)]
    rows.append(["target", "", *wanted, "", ""])
    header = ("lenet", "imports, ms", "cold, ms", "cached, ms", "memory, MB", "process, MB")
    return Table("starting", "to the end of the first step", header, rows)


def compiling(results: Results) -> Table:
    """Compile time by stage."""
    found = results.compile
    stages = list(dict.fromkeys(n for seconds in found.values() for n in seconds))
    rows = [
        [n, *(milliseconds(s[n]) if n in s else NOTHING for s in found.values())] for n in stages
    ]
    return Table("compiling", "compile time of `step`, ms", ("stage", *found), rows)


def memory(results: Results) -> Table:
    """What a training step needs beside what must be there at once."""
    rows = [
        [
            m.net,
            str(m.batch),
            *map(megabytes, (m.least_values, m.live, m.values, m.arena)),
            _target(targets.MEMORY, None, f"{m.over:.3f}", met=m.over <= targets.MEMORY),
        ]
        for m in results.memory
    ]
    header = ("net", "batch", "values", "live", "allocated values", "arena", "over (target 1.1)")
    return Table("memory", "memory of a training step, MB", header, rows)


def epochs(results: Results) -> Table:
    """Seconds of an epoch of lenet on MNIST, and the accuracy it led to."""
    rows = [
        [
            one.way,
            str(one.threads),
            f"{one.seconds:.2f}",
            f"{one.accuracy:.2%}",
            _epochs_target(one.way, one.threads, one.seconds),
        ]
        for one in results.mnist
    ]
    header = ("lenet on MNIST", "threads", "s an epoch", "accuracy", "target")
    return Table("mnist", "an epoch of lenet on MNIST", header, rows)


def _epochs_target(way: str, threads: int, seconds: float) -> str:
    wanted = targets.MNIST_SECONDS.get(threads) if way == OWN else None
    return _target(wanted, None, met=wanted is not None and seconds <= wanted)


# -- ratios ----------------------------------------------------------------------------------------


def ratio(kind: Mapping[str, Timing], own: str = OWN) -> float | None:
    """The time of the fastest peer over netc's; None without a peer."""
    others = [kind[name].median for name in _others(kind)]
    return min(others) / kind[own].median if others else None


def sweep_ratio(result: NetResult, what: str) -> float | None:
    if what == "infer":
        return ratio(result.infer_batch)
    return ratio(result.step, FIT if what == "fit" else OWN)


def _others(kind: Mapping[str, Timing]) -> list[str]:
    return [name for name in kind if name not in (OWN, FIT)]


def _peers(kinds: Iterator[Mapping[str, Timing]]) -> list[str]:
    """All peers that were timed, in their usual order."""
    found = {name for kind in kinds for name in kind}
    return [name for name in WAYS if name in found]


def _mean(found: Iterator[float | None]) -> float | None:
    known = [one for one in found if one is not None]
    return geometric_mean(known) if known else None


def _of_all(target: float | None, results: Sequence[NetResult]) -> float | None:
    """The target of a mean, if it is one of all nets."""
    return target if {r.net for r in results} == set(targets.INFERENCE) else None


def _shown_ratio(found: float | None) -> str:
    return NOTHING if found is None else f"{found:.2f}"


def _target(wanted: float | None, found: float | None, text: str = "", *, met: bool = False) -> str:
    """The target, with a mark when it is met."""
    if wanted is None:
        return ""
    met = met or (found is not None and found >= wanted)
    return f"{text or f'{wanted:g}'}{' ✓' if met else ''}"


def _threads(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
