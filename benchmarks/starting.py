"""From a fresh process to the end of the first training step, and the memory it took.

Each framework starts twice: with empty caches on disk, then with what it left there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from benchmarks import peers
from benchmarks.fleet import Worker
from benchmarks.server import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.nets import Net

CACHES: Final = {
    "NETC_CACHE": "netc",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "JAX_COMPILATION_CACHE_DIR": "jax",
}
"""Variables that say where compiled code is kept."""

EAGER: Final = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
"""Keeps what was compiled quickly, too."""


@dataclass(frozen=True, slots=True)
class Start:
    """Wall-clock seconds of a fresh process, cold and with a cache; bytes of memory at most.

    `imports` is loading the framework; `cold` and `cached` are building, compiling and the first
    step after that. `used` is what the net and its first steps added to the resident memory at its
    highest, `resident` all of it, in the second process.
    """

    imports: float
    cold: float
    cached: float
    used: int
    resident: int


def start(name: str, net: Net, threads: int = 1) -> Start:
    """Starts one way twice."""
    with TemporaryDirectory() as folder:
        file = str(Path(folder, "values.npz"))
        places = {v: str(Path(folder, place)) for v, place in CACHES.items()} | EAGER
        framework = OWN if name == OWN else peers.WAYS[name].framework
        make = {"net": net.name, "precision": "f32", "exact": False, "batch": net.batch}
        _once(OWN, threads, {}, {"do": "create", **make, "samples": net.batch, "file": file})
        command = {"do": "first", **make, "way": name, "file": file}
        cold, cached = (_once(framework, threads, places, command) for _ in range(2))
    return Start(
        min(cold["imports"], cached["imports"]),
        cold["first"],
        cached["first"],
        cached["used"],
        cached["resident"],
    )


def _once(framework: str, threads: int, places: Mapping[str, str], command: dict[str, Any]) -> Any:
    worker = Worker(framework, (), threads, places)
    try:
        return worker.ask(**command)
    finally:
        worker.end()


def starts(names: Sequence[str], net: Net) -> dict[str, Start]:
    """All of these that train and infer, hence build any net; netc first."""
    trained = [n for n in names if peers.WAYS[n].kinds == ("step", "infer")]
    return {name: start(name, net) for name in (OWN, *trained)}
