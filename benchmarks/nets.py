"""The reference nets: the `.net` files beside this one, and what a peer needs to build the same.

Every net is a chain of parts with softmax cross-entropy at its end. A peer builds the parts in
order from the values of the compiled model, so text and peer cannot drift apart in a size.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

import netc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netc.compiler.program import Manifest
    from netc.model import Precision

FOLDER: Final = Path(__file__).parent / "nets"
Array = np.ndarray
Kind = Literal[
    "dense", "conv", "batch_norm", "max_pool", "avg_pool", "flatten", "dropout",
    "relu", "tanh", "sigmoid", "selu",
]  # fmt: skip

PARAMETERS: Final[Mapping[str, int]] = {"dense": 2, "conv": 2, "batch_norm": 2}
"""How many parameters a part owns: weights and biases, or gamma and beta."""

LEARNING_RATE: Final = 1e-3
"""As the texts have it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a chain. `number` is a convolution's padding, a pool's size, a dropout's rate."""

    kind: Kind
    number: float = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A part with its values: weights [in, out] or [out, in, h, w], biases.

    `states` are the running mean and variance of a batch normalisation.
    """

    part: Part
    values: tuple[Array, ...]
    states: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Net:
    """A reference net: its file, its training batch, and how a peer builds it.

    `exact` are the constants without which no two programs compute the same: they draw.
    """

    name: str
    batch: int
    parts: tuple[Part, ...]
    optimizer: Literal["SGD", "Adam"]
    exact: Mapping[str, float] = field(default_factory=dict)

    def compile(
        self, precision: Precision = "f32", *, threads: int | None = None, drawing: bool = True
    ) -> netc.Model:
        """The net as its text says, or without random draws."""
        constants = {} if drawing else self.exact
        file = FOLDER / f"{self.name}.net"
        return netc.compile(file, precision=precision, defines=constants, threads=threads)

    def without_draws(self) -> Net:
        """The same net, for a peer that is to compute what `compile(drawing=False)` does."""
        kept = tuple(replace(p, number=0) if p.kind == "dropout" else p for p in self.parts)
        return replace(self, parts=kept)

    def pieces(self, parameters: Iterable[Array], states: Iterable[Array]) -> Iterator[Piece]:
        """The parts in order, each with its values; those of a model come in declaration order."""
        values, states = iter(parameters), iter(states)
        for part in self.parts:
            own = tuple(islice(values, PARAMETERS.get(part.kind, 0)))
            yield Piece(part, own, tuple(islice(states, 2 * (part.kind == "batch_norm"))))

    def flops(self, pieces: Iterable[Piece], shape: Sequence[int], batch: int) -> int:
        """Useful operations of a step: products forward and for both gradients.

        The first layer needs no gradient of its input, which has this shape.
        """
        found, places = [], tuple(shape[1:])
        for piece in pieces:
            weights = piece.values[0] if piece.values else np.empty(0)
            match piece.part.kind:
                case "dense":
                    found.append(weights.size)
                case "conv":
                    shrunk = weights.shape[-1] - 1 - 2 * int(piece.part.number)
                    places = tuple(n - shrunk for n in places)
                    found.append(weights.size * prod(places))
                case "max_pool" | "avg_pool":
                    places = tuple(n // int(piece.part.number) for n in places)
        return 2 * batch * (3 * sum(found) - found[0])


def _dense(layers: int, act: Kind) -> tuple[Part, ...]:
    return (Part("dense"), Part(act)) * (layers - 1) + (Part("dense"),)


LENET: Final = (
    *(Part("conv", 2), Part("tanh"), Part("avg_pool", 2)),
    *(Part("conv"), Part("tanh"), Part("avg_pool", 2)),
    Part("flatten"),
    *_dense(3, "tanh"),
)
STAGE: Final = (*(Part("conv", 1), Part("batch_norm"), Part("relu")) * 2, Part("max_pool", 2))
HEAD: Final = (Part("dense"), Part("relu"), Part("dropout", 0.5), Part("dense"))
VGG: Final = (*STAGE * 2, Part("flatten"), *HEAD)

NETS: Final = {
    net.name: net
    for net in (
        Net("xor", 4, _dense(2, "sigmoid"), "SGD"),
        Net("mlp_s", 32, _dense(2, "relu"), "SGD"),
        Net("mlp_m", 128, _dense(3, "relu"), "Adam"),
        Net("mlp_l", 128, _dense(3, "relu"), "Adam"),
        Net("selu8", 128, _dense(9, "selu"), "SGD"),
        Net("lenet", 128, LENET, "Adam"),
        Net("vgg_bn", 32, VGG, "Adam", {"rate": 0}),
    )
}


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
