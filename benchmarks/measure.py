"""Timing several ways of doing the same: interleaved rounds, so that all see the same machine.

A sample is a run of many calls, long enough for the clock; its time is divided by their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAMPLE_SECONDS: Final = 3e-3
LEAST_ROUNDS: Final = 5
TRIES: Final = 3
"""The least of several: one disturbed call must not decide how long all samples are."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way: `run` does it the given number of times; a sample of it lasts `sample` seconds."""

    run: Callable[[int], object]
    sample: float = SAMPLE_SECONDS


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one time: the median, the least, and the middle half relative to the median."""

    median: float
    least: float
    spread: float
    samples: int


def calls(function: Callable[..., object], *arguments: object) -> Way:
    """Calling a function from Python."""

    def run(times: int) -> None:
        for _ in range(times):
            function(*arguments)

    return Way(run)


def interleaved(ways: Mapping[str, Way], seconds: float) -> dict[str, Timing]:
    """Times all ways in turn until `seconds` are over, each at least a few times."""
    times = {name: _calibrated(way) for name, way in ways.items()}
    found: dict[str, list[float]] = {name: [] for name in ways}
    end = perf_counter() + seconds
    while len(next(iter(found.values()))) < LEAST_ROUNDS or perf_counter() < end:
        for name, way in ways.items():
            found[name].append(_seconds(way, times[name]) / times[name])
    return {name: _timing(samples) for name, samples in found.items()}


def _calibrated(way: Way) -> int:
    """How many times fill a sample; this is the warm-up as well."""
    times = 1
    way.run(times)
    while (elapsed := min(_seconds(way, times) for _ in range(TRIES))) < way.sample / 4:
        times *= 4
    return max(1, ceil(times * way.sample / elapsed))


def _seconds(way: Way, times: int) -> float:
    start = perf_counter()
    way.run(times)
    return perf_counter() - start


def _timing(samples: list[float]) -> Timing:
    low, _, high = quantiles(samples, n=4)
    middle = median(samples)
    return Timing(middle, min(samples), (high - low) / middle, len(samples))
