"""The reference nets: the `.net` files beside this one, and what a peer needs to build the same.

Every net is a chain of dense layers with one activation between them and softmax cross-entropy at
its end. The sizes are those of the compiled parameters, so text and peer cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

import netc

if TYPE_CHECKING:
    from netc.compiler.program import Manifest

FOLDER: Final = Path(__file__).parent / "nets"
Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Net:
    """A reference net: its file, its training batch, and its parts by the names that peers use."""

    name: str
    batch: int
    activation: Literal["Sigmoid", "ReLU", "SELU"]
    optimizer: Literal["SGD", "Adam"]

    def compile(self) -> netc.Model:
        return netc.compile(FOLDER / f"{self.name}.net")


NETS: Final = {
    net.name: net
    for net in (
        Net("xor", 4, "Sigmoid", "SGD"),
        Net("mlp_s", 32, "ReLU", "SGD"),
        Net("mlp_m", 128, "ReLU", "Adam"),
        Net("mlp_l", 128, "ReLU", "Adam"),
        Net("selu8", 128, "SELU", "SGD"),
    )
}

LEARNING_RATE: Final = 1e-3
"""As the texts have it."""


def layers(model: netc.Model) -> list[tuple[Array, Array]]:
    """Weights [in, out] and biases, layer by layer; live."""
    values = list(model.params.values())
    return list(zip(values[::2], values[1::2], strict=True))


def step_flops(model: netc.Model, batch: int) -> int:
    """Useful operations of a step: products forward and backward.

    The first layer needs no gradient of its input.
    """
    weights = [w.size for w, _ in layers(model)]
    return 2 * batch * (3 * sum(weights) - weights[0])


def random_data(manifest: Manifest, samples: int, seed: int = 0) -> dict[str, Array]:
    """Random normal numbers for every input, random labels for classes."""
    random = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for port in (*manifest.inputs, *manifest.targets):
        shape = (samples, *port.shape)
        if port.classes is not None:
            found[port.name] = random.integers(0, port.classes, shape)
        else:
            found[port.name] = random.standard_normal(shape, np.float32)
    return found
