"""What else one would use: the same net in another framework, from the same weights.

A peer takes its own kind of arrays, made once by `arrays`, so that no conversion is timed. Each
framework lives in a process of its own (`benchmarks/server.py`): threads are fixed before it loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.nets import Array, Net, Piece
    from netc.model import Precision

Kind = Literal["step", "infer"]


class Peer(Protocol):
    """One way of computing a net. `step` and `forward` may return before they are done."""

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        """Inputs and labels as the peer's own arrays."""

    def step(self, x: Any, y: Any) -> Any:
        """Forward, backward, update; whatever `number` turns into the loss before the update."""

    def forward(self, x: Any) -> Any:
        """The logits in inference mode, all there when it returns."""

    def number(self, loss: Any) -> float:
        """The loss of a step, once that step is done."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a peer is to build, and how it may compute."""

    net: Net
    pieces: Sequence[Piece]
    precision: Precision
    threads: int


@dataclass(frozen=True, slots=True)
class Way:
    """A way that a framework offers: the module of `benchmarks.peers`, its class and its options.

    `needs` must be installed. `kinds` is what it can do at all; its class refuses with a
    NotImplementedError the nets that it cannot build. `off` is how far its losses may be off in
    double precision where its rule of Adam is another.
    """

    framework: str
    name: str
    needs: tuple[str, ...]
    options: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ("step", "infer")
    precisions: tuple[Precision, ...] = ("f64", "f32")
    off: float = 0


WAYS: Final = {
    "torch": Way("torch_peer", "Torch", ("torch",)),
    "torch-fused": Way("torch_peer", "Torch", ("torch",), ("fused",)),
    "torch-compile": Way("torch_peer", "Torch", ("torch",), ("fused", "compiled")),
    "jax": Way("jax_peer", "Jax", ("jax",)),
    "sklearn": Way("sklearn_peer", "Sklearn", ("sklearn",), kinds=("step",), off=1e-4),
    "onnxruntime": Way(
        "onnx_peer",
        "OnnxRuntime",
        ("onnx", "onnxruntime"),
        kinds=("infer",),
        precisions=("f32",),
    ),
}


def available(name: str) -> bool:
    """Whether everything that a way needs is installed."""
    return all(find_spec(package) is not None for package in WAYS[name].needs)


def make(name: str, order: Order) -> Peer:
    """The peer with the weights of the order; NotImplementedError for a net it cannot build."""
    way = WAYS[name]
    built = getattr(import_module(f"benchmarks.peers.{way.framework}"), way.name)
    return built(order, **dict.fromkeys(way.options, True))
