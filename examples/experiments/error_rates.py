"""The error tables of text 001: `python examples/experiments/error_rates.py TABLE FOLDER`.

TABLE is `mnist` (001.Ex65.9, four nets) or `cifar10` (001.Ex65.10, two); FOLDER has the files of
the data. Pixels are divided by 255 and each set is centred on its own mean, as the text has it.
Every run writes its errors of all passes into a JSON file in the folder that `--out` names; one
that is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

import netc
from netc.runtime.data import cifar, idx

NET: Final = Path(__file__).with_name("error_rates.net")
Images = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: the net, and the rates that the text prints in percent."""

    name: str
    defines: dict[str, object]
    passes: int
    printed_test: float
    printed_training: float


_LARGE: Final = {"inputs": 3072, "width": 2048}
TABLES: Final = {
    "mnist": (
        Row("sigmoid", {"activation": "sigmoid"}, 200, 2.18, 1.02),
        Row("tanh", {"activation": "tanh"}, 200, 1.84, 0.00167),
        Row("relu", {"activation": "relu"}, 200, 1.82, 0.00167),
        Row("sigmoid with dropout", {"activation": "sigmoid", "asleep": True}, 200, 6.22, 6.25),
    ),
    "cifar10": (
        Row("relu", _LARGE, 200, 42.28, 0.02),
        Row("relu with dropout", {**_LARGE, "asleep": True}, 300, 42.92, 5.62),
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Errors of one run in percent, and those on the test set after each pass."""

    table: str
    name: str
    passes: int
    batch: int
    rate: float
    test: float
    training: float
    seconds: float
    curve: list[float]


def main() -> None:
    """Runs the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--row", help="this row only")
    parser.add_argument("--passes", type=int, help="instead of the text's 200 or 300")
    parser.add_argument("--batch", type=int, default=32, help="samples of a step; the text has 1")
    parser.add_argument("--out", type=Path, default=Path("error-rates"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--plot", type=Path, help="draw what is in the folder; needs matplotlib")
    given = parser.parse_args()
    if given.plot:
        draw(given.out, given.table, given.plot)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    data = {part: centred(given.table, given.folder, part) for part in ("training", "test")}
    for row in TABLES[given.table]:
        if given.row in (None, row.name):
            path = given.out / f"{given.table}-{row.name.replace(' ', '-')}-{given.batch}.json"
            if not path.exists():
                found = outcome(row, data, given)
                path.write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")
            print(path, path.read_text(encoding="utf-8")[:200])


def centred(table: str, folder: Path, part: str) -> Images:
    """One set: pixels in [0, 1] without the mean of the set, [N, pixels], and labels [N]."""
    if table == "mnist":
        images = idx.read_part(folder, "train" if part == "training" else "t10k")
    else:
        images = (cifar.read_train if part == "training" else cifar.read_test)(folder)
    pixels = images.pixels.reshape(len(images.labels), -1).astype(np.float32) / 255
    return pixels - pixels.mean(axis=0), images.labels.astype(np.int64)


def outcome(row: Row, data: dict[str, Images], given: argparse.Namespace) -> Outcome:
    """Trains one net and counts its mistakes."""
    model = netc.compile(NET, defines=row.defines, threads=given.threads)
    passes, rate = given.passes or row.passes, 0.001 * given.batch
    start = perf_counter()
    history = model.fit(
        *data["training"], epochs=passes, batch=given.batch, lr=rate,
        validation=data["test"], progress=False,
    )  # fmt: skip
    return Outcome(
        given.table, row.name, passes, given.batch, rate,
        test=100 * model.evaluate(*data["test"])["error"],
        training=100 * model.evaluate(*data["training"])["error"],
        seconds=perf_counter() - start,
        curve=[100 * error for error in history["validation.error"]],
    )  # fmt: skip


def draw(folder: Path, table: str, path: Path) -> None:
    """The errors on the test set after each pass, a line for each run in the folder."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws needs it

    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    printed = {row.name: row.printed_test for row in TABLES[table]}
    for file in sorted(folder.glob(f"{table}-*.json")):
        run = Outcome(**json.loads(file.read_text(encoding="utf-8")))
        (line,) = axes.plot(range(1, run.passes + 1), run.curve, linewidth=1, label=run.name)
        axes.axhline(printed[run.name], color=line.get_color(), linewidth=0.7, linestyle=":")
    axes.set(xlabel="pass", ylabel="test errors, %", yscale="log", title=table)
    low, high = axes.get_ylim()
    ticks = [tick for tick in (2, 3, 5, 10, 20, 30, 50, 70) if low < tick < high]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
