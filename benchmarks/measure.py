"""Timing several ways of doing the same: interleaved rounds, so that all see the same machine.

A sample is a run of many calls, long enough for the clock; its time is divided by their number.
Everything here runs on one thread at a time, so processor time is what a quiet machine's wall clock
would show; how far that clock went is kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAMPLE_SECONDS: Final = 3e-3
LEAST_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one time: the median, the least, and the middle half relative to the median.

    `wall` is the median by the wall clock.
    """

    median: float
    least: float
    spread: float
    samples: int
    wall: float

    def times(self, factor: float) -> Timing:
        """The same for a part or a multiple."""
        return replace(
            self,
            median=self.median * factor,
            least=self.least * factor,
            wall=self.wall * factor,
        )


@dataclass(frozen=True, slots=True)
class Way:
    """One way: `run` does it the given number of times; a sample of it lasts `sample` seconds."""

    run: Callable[[int], object]
    sample: float = SAMPLE_SECONDS


def calls(function: Callable[..., object], *arguments: object) -> Way:
    """Calling a function from Python."""

    def run(times: int) -> None:
        for _ in range(times):
            function(*arguments)

    return Way(run)


def interleaved(ways: Mapping[str, Way], seconds: float) -> dict[str, Timing]:
    """Times all ways in turn until `seconds` are over, each at least a few times.

    The order changes from round to round: no way always follows the same other one.
    """
    series = {name: _Series(way) for name, way in ways.items()}
    order, random = list(series.values()), Random(0)
    end = perf_counter() + seconds
    while perf_counter() < end or any(len(s.samples) < LEAST_ROUNDS for s in order):
        random.shuffle(order)
        for one in order:
            one.take()
    return {name: one.timing() for name, one in series.items()}


class _Series:
    """The samples of one way, all of the same number of times: processor and wall-clock seconds."""

    def __init__(self, way: Way) -> None:
        self.samples: list[tuple[float, float]] = []
        self._way = way
        self._times = 1
        way.run(1)  # compiles, loads, warms up

    def take(self) -> None:
        """Adds a sample; one that is too short shows that all so far were, and they go."""
        while (seconds := self._seconds())[0] < self._way.sample / 2:
            self._times *= 2
            self.samples.clear()
        self.samples.append(seconds)

    def timing(self) -> Timing:
        used, wall = ([one / self._times for one in two] for two in zip(*self.samples, strict=True))
        low, middle, high = quantiles(used, n=4)
        return Timing(middle, min(used), (high - low) / middle, len(used), median(wall))

    def _seconds(self) -> tuple[float, float]:
        used, wall = process_time(), perf_counter()
        self._way.run(self._times)
        return process_time() - used, perf_counter() - wall
