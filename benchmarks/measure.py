"""Timing several ways of doing the same: interleaved rounds, so that all see the same machine.

A sample is a run of many calls, long enough for the clock; its time is divided by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from statistics import median, quantiles
from time import perf_counter
from typing import Final

SAMPLE_SECONDS: Final = 3e-3
LEAST_ROUNDS: Final = 5

Run = Callable[[int], object]
"""Does something the given number of times."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one time: the median, the least, and the middle half relative to the median."""

    median: float
    least: float
    spread: float
    samples: int


def calls(function: Callable[..., object], *arguments: object) -> Run:
    """Calling a function from Python."""

    def run(times: int) -> None:
        for _ in range(times):
            function(*arguments)

    return run


def interleaved(
    runs: Mapping[str, Run], seconds: float, sample: float = SAMPLE_SECONDS
) -> dict[str, Timing]:
    """Times all runs in turn until `seconds` are over, each at least a few times."""
    times = {name: _calibrated(run, sample) for name, run in runs.items()}
    found: dict[str, list[float]] = {name: [] for name in runs}
    end = perf_counter() + seconds
    rounds = 0
    while rounds < LEAST_ROUNDS or perf_counter() < end:
        for name, run in runs.items():
            found[name].append(_seconds(run, times[name]) / times[name])
        rounds += 1
    return {name: _timing(samples) for name, samples in found.items()}


def _calibrated(run: Run, sample: float) -> int:
    """How many times fill a sample; this is the warm-up as well."""
    times = 1
    run(times)
    while (elapsed := _seconds(run, times)) < sample / 4:
        times *= 4
    return max(1, ceil(times * sample / elapsed))


def _seconds(run: Run, times: int) -> float:
    start = perf_counter()
    run(times)
    return perf_counter() - start


def _timing(samples: list[float]) -> Timing:
    low, _, high = quantiles(samples, n=4)
    middle = median(samples)
    return Timing(middle, min(samples), (high - low) / middle, len(samples))
