"""Real data for these tests: the shipped digits, the rows of XOR, and MNIST where there is one."""

from __future__ import annotations

import gzip
import os
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

EXAMPLES = Path(__file__).parents[2] / "examples"
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


def xor() -> tuple[Rows, Rows]:
    table = np.loadtxt(EXAMPLES / "xor.csv", delimiter=",", skiprows=1, dtype=np.float32)
    return table[:, :2], table[:, 2:]


@cache
def digits(part: str) -> tuple[Rows, Labels]:
    """The first 1,500 digits (`train`) or the last 297 (`test`), in [0, 1]."""
    rows = slice(None, 1500) if part == "train" else slice(1500, None)
    with (files("netc.runtime") / "digits.npz").open("rb") as file:
        archive = np.load(file)
        images = archive["images"].reshape(-1, 64).astype(np.float32) / 16
        return images[rows], archive["labels"].astype(np.int64)[rows]


@cache
def mnist(part: str) -> tuple[Rows, Labels]:
    """The part `train` or `t10k` from `mnist/` in the folder NETC_DATA; skips when it is absent."""
    folder = Path(os.environ.get("NETC_DATA", "")) / "mnist"
    images, names = folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"
    if "NETC_DATA" not in os.environ or not images.exists():
        pytest.skip("no MNIST: set NETC_DATA to a folder with mnist/")
    pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress(names.read_bytes()), np.uint8, offset=8)
    return pixels.reshape(-1, 784).astype(np.float32) / 255, labels.astype(np.int64)
