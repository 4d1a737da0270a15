"""Timing several ways of doing the same: interleaved rounds, so that all see the same machine.

A sample is a run of many calls, long enough for the clock; its time is divided by their number. On
one thread processor time is what a quiet machine's wall clock would show, and it leaves out the
waiting on a busy one; several threads are timed by the wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SAMPLE_SECONDS: Final = 3e-3
LEAST_ROUNDS: Final = 5
LONG: Final = 0.02
"""A run of this many seconds needs no warm caches before it."""


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

    @classmethod
    def of(cls, samples: Sequence[tuple[float, float]], *, by_wall: bool = False) -> Timing:
        """Summary of (processor, wall-clock) seconds; at least two."""
        used, wall = zip(*samples, strict=True)
        low, middle, high = quantiles(wall if by_wall else used, n=4)
        least = min(wall if by_wall else used)
        return cls(middle, least, (high - low) / middle, len(samples), median(wall))

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
    series = {name: Series(way) for name, way in ways.items()}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    order, random = list(ways), Random(0)
    end = perf_counter() + seconds
    while perf_counter() < end or any(len(found) < LEAST_ROUNDS for found in samples.values()):
        random.shuffle(order)
        for name in order:
            samples[name].append(series[name].take())
    return {name: Timing.of(found) for name, found in samples.items()}


class Series:
    """Samples of one way, each of enough times for the clock."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._times = 1
        self._warm = 1
        way.run(1)  # compiles, loads
        while max(found := self._measured()) < way.sample / 2:
            self._times *= 2
        self._warm = -(-self._times // 8) if max(found) < LONG else 0

    def take(self) -> tuple[float, float]:
        """Processor and wall-clock seconds of one time, once caches are warm again."""
        if self._warm:
            self._way.run(self._warm)
        used, wall = self._measured()
        if used < self._way.sample / 4:  # the first runs were slow ones
            self._times *= 2
            return self.take()
        return used / self._times, wall / self._times

    def _measured(self) -> tuple[float, float]:
        used, wall = process_time(), perf_counter()
        self._way.run(self._times)
        return process_time() - used, perf_counter() - wall
