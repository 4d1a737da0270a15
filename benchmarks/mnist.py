"""Epochs of LeNet-5 on MNIST: `python -m benchmarks.mnist [FOLDER]`, or the folder in NETC_MNIST.

The net, Adam at 1e-3 and minibatches of 128 are those of `nets/lenet.net`; images are scaled to
[0, 1] and shuffled in every epoch. Each measurement is a fresh process; the first epoch does not
count. Accuracy is that on the test images after the last epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import peers
from benchmarks.fleet import ROOT, environment
from benchmarks.nets import NETS
from netc.runtime.data.idx import read_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.nets import Array

OWN: Final = "netc"
WAYS: Final = (OWN, "torch", "torch-fused", "jax")
VARIABLE: Final = "NETC_MNIST"
LENET: Final = NETS["lenet"]
DEFAULT_EPOCHS: Final = 4
Data = dict[str, tuple["Array", "Array"]]


@dataclass(frozen=True, slots=True)
class Epochs:
    """Seconds of an epoch by the wall clock, and accuracy after `epochs` of them."""

    way: str
    threads: int
    epochs: int
    seconds: float
    accuracy: float


def measure(folder: Path, ways: Sequence[str], threads: Sequence[int], epochs: int) -> list[Epochs]:
    """All ways with all numbers of threads, one after the other."""
    return [_apart(folder, way, count, epochs) for count in threads for way in ways]


def _apart(folder: Path, way: str, threads: int, epochs: int) -> Epochs:
    command = [sys.executable, "-m", "benchmarks.mnist", str(folder), "--epochs", str(epochs)]
    done = subprocess.run(
        [*command, "--ways", way, "--threads", str(threads), "--here"],
        cwd=ROOT,
        env=environment(threads),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Epochs(**json.loads(done.stdout.splitlines()[-1]))


def here(folder: Path, way: str, threads: int, epochs: int) -> Epochs:
    """Trains in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    data = {part: _images(folder, part) for part in ("train", "t10k")}
    train = _own if way == OWN else _peer
    seconds, predict = train(way, data, threads, epochs)
    x, labels = data["t10k"]
    right = float(np.mean(np.argmax(predict(x), axis=1) == labels))
    return Epochs(way, threads, epochs, median(seconds[1:] or seconds), right)


def _images(folder: Path, part: str) -> tuple[Array, Array]:
    found = read_part(folder, part)
    images = found.pixels.reshape(-1, 1, 28, 28) / found.maximum
    return np.float32(images), np.int64(found.labels)


def _own(
    way: str, data: Data, threads: int, epochs: int
) -> tuple[list[float], Callable[[Array], Array]]:
    model = LENET.compile(threads=threads)
    model.fit(*data["train"], epochs=epochs, progress=False)
    ends = [epoch.seconds for epoch in model.history.epochs]
    return np.diff(ends, prepend=0).tolist(), model.predict


def _peer(
    way: str, data: Data, threads: int, epochs: int
) -> tuple[list[float], Callable[[Array], Array]]:
    model = LENET.compile()
    values = [np.array(v) for v in model.params.values()]
    peer = peers.make(way, peers.Order(LENET, tuple(LENET.pieces(values, [])), "f32", threads))
    x, y = peer.arrays(*data["train"])
    random, seconds = np.random.default_rng(0), []
    for _ in range(epochs):
        start = perf_counter()
        order = random.permutation(len(x))
        loss: Any = None
        for first in range(0, len(order), LENET.batch):
            chosen = order[first : first + LENET.batch]
            loss = peer.step(x[chosen], y[chosen])
        peer.number(loss)
        seconds.append(perf_counter() - start)
    return seconds, lambda images: np.asarray(peer.forward(peer.arrays(images, data["t10k"][1])[0]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mnist", description=__doc__)
    add = parser.add_argument
    add("folder", nargs="?", default=os.environ.get(VARIABLE), help="the four MNIST files")
    add("--ways", default=",".join(WAYS), help="default: %(default)s")
    add("--threads", default="1,2", help="default: %(default)s")
    add("--epochs", type=int, default=DEFAULT_EPOCHS, help="default: %(default)s")
    add("--here", action="store_true", help="one measurement in this process, as JSON")
    options = parser.parse_args()
    if options.folder is None:
        parser.error(f"name the folder with the MNIST files, or set {VARIABLE}")
    folder = Path(options.folder)
    if options.here:
        print(json.dumps(asdict(here(folder, options.ways, int(options.threads), options.epochs))))
        return
    threads = [int(count) for count in options.threads.split(",")]
    ways = [w for w in options.ways.split(",") if w == OWN or peers.available(w)]
    for found in measure(folder, ways, threads, options.epochs):
        print(
            f"{found.way:12} {found.threads} threads  {found.seconds:6.3f} s an epoch  "
            f"{found.accuracy:.2%} after {found.epochs}",
            flush=True,
        )


if __name__ == "__main__":
    main()
