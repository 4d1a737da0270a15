"""Makes data sets for pairs of images and for several tasks from the digits that come with netc.

python examples/datasets.py FOLDER

writes `pairs.npz` and `tasks.npz` from the first 1,500 digits, `pairs_test.npz` and
`tasks_test.npz` from the last 297, which other people wrote. The same numbers every time.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images [1797, 64] in 0 … 1, and labels."""
    with (files("netc.runtime") / "digits.npz").open("rb") as file:
        archive = np.load(file)
        return archive["images"].reshape(-1, 64) / np.float32(16), archive["labels"].astype(int)


def pairs(images: np.ndarray, labels: np.ndarray, count: int, seed: int) -> Arrays:
    """Two images and whether they show the same digit, as half of the pairs do."""
    random = np.random.default_rng(seed)
    same = random.integers(0, 2, count)
    left = random.integers(0, len(labels), count)
    pools = {
        (digit, alike): np.flatnonzero((labels == digit) == alike)
        for digit in range(10)
        for alike in (0, 1)
    }
    partners = (pools[labels[one], alike] for one, alike in zip(left, same, strict=True))
    right = np.array([random.choice(pool) for pool in partners])
    return {"left": images[left], "right": images[right], "same": same}


def tasks(images: np.ndarray, labels: np.ndarray) -> Arrays:
    """All labels: which digit; whether it is odd, and at least 5."""
    traits = np.stack([labels % 2, labels >= 5], axis=1).astype(np.float32)
    return {"image": images, "digit": labels, "traits": traits}


def partly_labelled(full: Arrays, digits: int, share: float, seed: int) -> Arrays:
    """The labels of that many digits and that share of the traits; the others are unknown."""
    random = np.random.default_rng(seed)
    unknown = random.permutation(len(full["digit"]))[digits:]
    digit = full["digit"].copy()
    digit[unknown] = -1
    traits = np.where(random.random(full["traits"].shape) < share, full["traits"], np.nan)
    return {**full, "digit": digit, "traits": traits.astype(np.float32)}


def all_sets() -> dict[str, Arrays]:
    """Every data set by its name."""
    images, labels = digits()
    train, test = slice(0, 1500), slice(1500, None)
    return {
        "pairs": pairs(images[train], labels[train], 30_000, seed=1),
        "pairs_test": pairs(images[test], labels[test], 3_000, seed=2),
        "tasks": partly_labelled(tasks(images[train], labels[train]), 50, 0.8, seed=3),
        "tasks_test": tasks(images[test], labels[test]),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="data sets made from the digits of netc")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in all_sets().items():
        np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **arrays)
        print(folder / f"{name}.npz", {key: value.shape for key, value in arrays.items()})
