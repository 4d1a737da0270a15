"""Data for these tests: the shipped digits, XOR, and MNIST and CIFAR-10 where they are there."""

from __future__ import annotations

import gzip
import os
import runpy
from functools import cache
from importlib.resources import files
from math import isqrt, prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from netc.compiler.program import Manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Arrays = dict[str, np.ndarray]

SMALLER = {
    "snn.net": {"width": 32},
    "denoising_autoencoder.net": {"width": 32},
    "residual.net": {"width": 16, "blocks": 12},
    "all_convolutional.net": {"width": 4},
    "vgg.net": {"width": 4},
}
"""Constants of the nets that are costly as they stand, where their size does not matter."""


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
def derived(name: str) -> Arrays:
    """A data set that `examples/datasets.py` makes: `pairs`, `tasks`, and their test parts."""
    return runpy.run_path(str(EXAMPLES / "datasets.py"))["all_sets"]()[name]


@cache
def enlarged_digits(shape: tuple[int, ...]) -> tuple[Rows, Labels]:
    """The first 1,500 digits as images of that shape: every pixel a square, zeros around."""
    images, labels = digits("train")
    channels = shape[0] if len(shape) == 3 else 1
    side = isqrt(prod(shape) // channels)
    scale = side // 8
    edge = (side - 8 * scale) // 2
    large = np.kron(images.reshape(-1, 8, 8), np.ones((scale, scale), np.float32))
    large = np.pad(large, ((0, 0), (edge, edge), (edge, edge)))
    return np.repeat(large[:, None], channels, axis=1).reshape(-1, *shape), labels


def fitting(manifest: Manifest) -> Arrays:
    """Shipped data for any net that reads images of one digit, two digits, or the rows of XOR."""
    names = [port.name for port in (*manifest.inputs, *manifest.targets)]
    for made in (derived("pairs"), derived("tasks")):
        if set(names) == made.keys():
            return {name: values[:1500] for name, values in made.items()}
    (port,) = manifest.inputs
    both = xor() if port.shape == (2,) else enlarged_digits(port.shape)
    return dict(zip(names, both, strict=False))


def random_batch(manifest: Manifest, samples: int) -> Arrays:
    """Random numbers in 0 … 1, random labels; some unknown where a port is `missing`."""
    random = np.random.default_rng(1)
    found: Arrays = {}
    for port in (*manifest.inputs, *manifest.targets):
        shape = (samples, *port.shape)
        real = port.classes is None
        values = random.uniform(0, 1, shape) if real else random.integers(0, port.classes, shape)
        unknown = port.missing and random.random(shape) < 0.2
        found[port.name] = np.where(unknown, np.nan if real else -1, values)
    return found


def _folder(name: str, needed: str) -> Path:
    """A folder of real data in the folder NETC_DATA; skips when it is absent."""
    if "NETC_DATA" not in os.environ:
        pytest.skip(f"no {name}: set NETC_DATA to a folder with {name}/")
    folder = Path(os.environ["NETC_DATA"]) / name
    if not (folder / needed).exists():
        pytest.skip(f"no {name}: NETC_DATA has no {name}/{needed}")
    return folder


@cache
def mnist(part: str) -> tuple[Rows, Labels]:
    """The part `train` or `t10k` from `mnist/`, in [0, 1]; skips when it is absent."""
    folder = _folder("mnist", f"{part}-images-idx3-ubyte.gz")
    images, names = folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"
    pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress(names.read_bytes()), np.uint8, offset=8)
    return pixels.reshape(-1, 784).astype(np.float32) / 255, labels.astype(np.int64)


@cache
def cifar(part: str) -> tuple[Rows, Labels]:
    """The file `data_batch_1` or `test_batch` from `cifar10/`, in [0, 1]; skips when absent."""
    file = _folder("cifar10", f"{part}.bin.gz") / f"{part}.bin.gz"
    rows = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return images, rows[:, 0].astype(np.int64)
