"""Everything one run measured, as plain data: written as JSON, read back to draw it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Timing
from benchmarks.memory import Memory
from benchmarks.mnist import Epochs
from benchmarks.running import NetResult
from benchmarks.starting import Start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.compiling import Seconds


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured; what was not is empty."""

    machine: Mapping[str, str]
    peak: Mapping[str, float]
    """Operations a second that multiply-adds reach on one core and on all, by threads."""
    missing: Sequence[str] = ()
    nets: Sequence[NetResult] = ()
    sweep: Sequence[NetResult] = ()
    calls: Mapping[str, float] = field(default_factory=dict)
    """Seconds that `forward` of one sample takes beyond the native function, by net."""
    compile: Mapping[str, Seconds] = field(default_factory=dict)
    starts: Mapping[str, Start] = field(default_factory=dict)
    memory: Sequence[Memory] = ()
    mnist: Sequence[Epochs] = ()

    def data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Results:
        """The results that `data` was made of."""
        lists: dict[str, Any] = {
            "nets": [_net(one) for one in data["nets"]],
            "sweep": [_net(one) for one in data["sweep"]],
            "memory": [Memory(**one) for one in data["memory"]],
            "mnist": [Epochs(**one) for one in data["mnist"]],
            "starts": {name: Start(**one) for name, one in data["starts"].items()},
        }
        return cls(**{**data, **lists})


def _net(data: dict[str, Any]) -> NetResult:
    kinds = ("step", "infer_one", "infer_batch")
    timings = {kind: {n: Timing(**t) for n, t in data[kind].items()} for kind in kinds}
    return NetResult(**{**data, **timings})
