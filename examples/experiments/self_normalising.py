"""Batch normalisation against self-normalisation: `python …/self_normalising.py FOLDER`.

FOLDER has the files of MNIST. Both nets with 8, 16 and 32 layers see the same minibatches in the
same order; the loss of every update is recorded, as in figure 10.4 of text 000 (000.10.4i). The
text gives a rate of 1e-5 and neither width, batch nor optimizer; here it is 256, 128, and plain
descent at a rate at which both learn within the updates asked for.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np

import netc
from netc.runtime.data import idx

NET: Final = Path(__file__).with_name("self_normalising.net")
DEPTHS: Final = (8, 16, 32)
KINDS: Final = ("selu", "batch_norm")
BATCH: Final = 128


def main() -> None:
    """Trains the six nets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--out", type=Path, default=Path("self-normalising.json"))
    parser.add_argument("--plot", type=Path, help="draw the losses; needs matplotlib")
    given = parser.parse_args()
    images = idx.read_part(given.folder, "train")
    x = images.pixels.reshape(-1, 784).astype(np.float32) / 255
    t = images.labels.astype(np.int64)
    runs = [
        {"kind": kind, "depth": depth, "rate": given.rate,
         "losses": losses(kind, depth, x, t, given)}
        for depth in DEPTHS
        for kind in KINDS
    ]  # fmt: skip
    given.out.write_text(json.dumps(runs) + "\n", encoding="utf-8")
    for run in runs:
        last = np.array(run["losses"][-len(run["losses"]) // 4 :])
        print(f"{run['kind']:>10} {run['depth']:>2} layers: mean loss of the last quarter "
              f"{last.mean():.4f}, standard deviation {last.std():.4f}")  # fmt: skip
    if given.plot:
        draw(runs, given.plot)


def losses(
    kind: str, depth: int, x: np.ndarray, t: np.ndarray, given: argparse.Namespace
) -> list[float]:
    """The loss of each update, before it."""
    model = netc.compile(NET, defines={"kind": kind, "depth": depth})
    model.scalars["lr"] = given.rate
    draw = np.random.default_rng(0)
    found: list[float] = []
    while len(found) < given.updates:
        order = draw.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            found.append(float(model.step(x[rows], t[rows])))
    return found[: given.updates]


def draw(runs: list[dict[str, object]], path: Path) -> None:
    """The losses of both nets over the updates, a panel for each depth."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws needs it

    figure = Figure(figsize=(8.5, 3), layout="constrained")
    panels = figure.subplots(1, len(DEPTHS), sharey=True)
    for axes, depth in zip(panels, DEPTHS, strict=True):
        for run in runs:
            if run["depth"] == depth:
                axes.plot(run["losses"], linewidth=0.4, label=run["kind"])
        axes.set(title=f"{depth} layers", xlabel="update", yscale="log")
    panels[0].set_ylabel("loss of the minibatch")
    panels[-1].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None}, dpi=110)


if __name__ == "__main__":
    main()
