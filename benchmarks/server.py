"""One framework in a process of its own: `python -m benchmarks.server FRAMEWORK THREADS`.

Commands come as lines of JSON on standard input, answers go as such lines to standard output. A
thread count is fixed before anything is imported: by the environment that the parent set, and by
the cores that the process may use.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import peers, process
from benchmarks.measure import Series, Way
from benchmarks.nets import NETS, random_data

if TYPE_CHECKING:
    from benchmarks.nets import Array, Net

OWN: Final = "netc"
FIT: Final = "netc fit"
LIBRARIES: Final = ("numpy", "lark", "llvmlite.binding")
"""What netc is built on."""

NATIVE: Final = "netc native"
FIT_SECONDS: Final = 0.15
"""A sample of `fit` is longer: each call checks all the data first."""


class Server:
    """What the process holds: peers by name, and what is being timed of them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._net: Net = NETS["xor"]
        self._peers: dict[str, Any] = {}
        self._series: dict[str, Series] = {}
        self._material: dict[str, Array] = {}

    def create(self, command: dict[str, Any]) -> None:
        """Compiles the net, draws its data and writes both to `file` for the peers."""
        from benchmarks.peers.own import Fit, Own  # noqa: PLC0415 - in one process only

        exact = command["exact"]
        self._net = NETS[command["net"]]
        own = Own(
            self._net, command["precision"], self._threads, drawing=not exact, disturbed=exact
        )
        found = dict(enumerate(own.model.params.values()))
        material = {f"p{n}": np.array(value) for n, value in found.items()}
        states = enumerate(own.model.state.values())
        material |= {f"s{n}": np.array(value) for n, value in states}
        data = random_data(own.model.manifest, command["samples"])
        material |= dict(zip("xy", data.values(), strict=True))
        np.savez(command["file"], **material)
        self._material = material
        self._series.clear()
        self._peers = {OWN: own}
        if not exact:
            self._peers[FIT] = Fit(own, command["batch"])

    def flops(self, command: dict[str, Any]) -> Any:
        """Useful operations of a step."""
        pieces = self._net.pieces(*_values(self._material))
        return self._net.flops(pieces, self._material["x"].shape[1:], command["batch"])

    def take(self, command: dict[str, Any]) -> Any:
        """Builds the net with the values of `file` in every way it can; their names."""
        with np.load(command["file"]) as file:
            self._material = dict(file)
        net = NETS[command["net"]]
        self._net = net.without_draws() if command["exact"] else net
        pieces = tuple(self._net.pieces(*_values(self._material)))
        order = peers.Order(self._net, pieces, command["precision"], self._threads)
        self._peers, built = {}, []
        self._series.clear()
        for name in command["ways"]:
            if order.precision not in peers.WAYS[name].precisions:
                continue
            try:
                self._peers[name] = peers.make(name, order)
            except NotImplementedError:
                continue
            built.append(name)
        return built

    def compute(self, command: dict[str, Any]) -> Any:
        """The outputs for the first batch, then the losses of so many steps."""
        peer, kinds = self._peers[command["way"]], command["kinds"]
        x, y, steps = self._material["x"], self._material["y"], command["steps"]
        batches = [
            peer.arrays(*part) for part in zip(np.split(x, steps), np.split(y, steps), strict=True)
        ]
        found: dict[str, Any] = {}
        if "infer" in kinds:
            found["outputs"] = np.asarray(peer.forward(batches[0][0])).tolist()
        if "step" in kinds:
            found["losses"] = [peer.number(peer.step(*part)) for part in batches]
        return found

    def fitted(self, command: dict[str, Any]) -> Any:
        """The mean objective of one epoch of `fit` over the data."""
        from benchmarks.peers.own import fitted_mean  # noqa: PLC0415 - in one process only

        return fitted_mean(
            self._peers[OWN], self._material["x"], self._material["y"], command["batch"]
        )

    def first(self, command: dict[str, Any]) -> Any:
        """Imports a framework, builds the net with the values of `file`, makes the first steps."""
        name, precision = command["way"], command["precision"]
        net = NETS[command["net"]]
        with np.load(command["file"]) as file:
            material = dict(file)
        x, y = material["x"], material["y"]
        if name == OWN:

            def own() -> peers.Peer:
                from benchmarks.peers.own import Own  # noqa: PLC0415 - it is timed

                return Own(net, precision, self._threads, drawing=True, disturbed=False)

            return process.first(own, LIBRARIES, x, y)
        order = peers.Order(net, tuple(net.pieces(*_values(material))), precision, self._threads)
        module = f"benchmarks.peers.{peers.WAYS[name].framework}"
        return process.first(lambda: peers.make(name, order), (module,), x, y)

    def sample(self, command: dict[str, Any]) -> Any:
        """Processor and wall-clock seconds of doing something once; the first call prepares it."""
        name, kind, batch = command["way"], command["kind"], command["batch"]
        key = f"{name} {kind} {batch}"
        if key not in self._series:
            self._series[key] = Series(self._way(name, kind, batch))
        return self._series[key].take()

    def _way(self, name: str, kind: str, batch: int) -> Way:
        if name == NATIVE:
            return Way(self._peers[OWN].native(self._material["x"][:batch]))
        peer = self._peers[name]
        if name == FIT:
            return Way(peer.run, FIT_SECONDS)
        x, y = peer.arrays(self._material["x"][:batch], self._material["y"][:batch])

        def steps(times: int) -> None:
            for _ in range(times - 1):
                peer.step(x, y)
            peer.number(peer.step(x, y))

        def forwards(times: int) -> None:
            for _ in range(times):
                peer.forward(x)

        return Way(steps if kind == "step" else forwards)


def _values(material: dict[str, Array]) -> tuple[list[Array], list[Array]]:
    """Parameters and states in order."""
    return tuple(
        [material[f"{letter}{n}"] for n in range(sum(key[0] == letter for key in material))]
        for letter in "ps"
    )


def main(threads: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    server = Server(threads)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(server, command["do"])(command)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[2]))
