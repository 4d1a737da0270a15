"""The peers: the same net in another framework, from the same weights, on one thread.

A peer takes its own kind of arrays, made once by `arrays`, so that no conversion is timed.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.nets import LEARNING_RATE

if TYPE_CHECKING:
    import netc
    from benchmarks.nets import Array, Net, Piece


class Peer(Protocol):
    """What is timed of a peer."""

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        """Inputs and labels as the peer's own arrays."""

    def step(self, x: Any, y: Any) -> Any:
        """Forward, backward, update; the loss before the update, a number after `.item()`."""

    def forward(self, x: Any) -> Any:
        """The logits, as for inference."""


class Torch:
    """PyTorch as one writes it: a Sequential, an optimizer, `cross_entropy`.

    `fused` takes the optimizer's fused kernels, `compiled` passes the net through torch.compile.
    """

    def __init__(
        self, net: Net, model: netc.Model, *, fused: bool = False, compiled: bool = False
    ) -> None:
        import torch  # noqa: PLC0415 - a peer may be absent

        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # as netc's code does
        self._type = getattr(torch, model.dtype.name)
        module = torch.nn.Sequential(*(_torch_module(piece) for piece in net.pieces(model)))
        module.to(self._type)
        _take(module, net, model)
        optimizer = getattr(torch.optim, net.optimizer)
        self._optimizer = optimizer(module.parameters(), lr=LEARNING_RATE, fused=fused or None)
        self._module = torch.compile(module) if compiled else module
        self._loss = torch.nn.functional.cross_entropy
        self._torch = torch

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        return self._torch.tensor(x, dtype=self._type), self._torch.tensor(y)

    def step(self, x: Any, y: Any) -> Any:
        if not self._module.training:
            self._module.train()
        self._optimizer.zero_grad()
        loss = self._loss(self._module(x), y)
        loss.backward()
        self._optimizer.step()
        return loss

    def forward(self, x: Any) -> Any:
        if self._module.training:
            self._module.eval()
        with self._torch.inference_mode():
            return self._module(x)


def _torch_module(piece: Piece) -> Any:
    """The module of a part; its values are still the framework's own."""
    from torch import nn  # noqa: PLC0415 - a peer may be absent

    shape, size = piece.values[0].shape if piece.values else (), int(piece.part.number)
    match piece.part.kind:
        case "dense":
            return nn.Linear(*shape)
        case "conv":
            return nn.Conv2d(shape[1], shape[0], shape[2:], padding=size)
        case "batch_norm":
            return nn.BatchNorm2d(shape[0])
        case "max_pool":
            return nn.MaxPool2d(size)
        case "avg_pool":
            return nn.AvgPool2d(size)
        case "dropout":
            return nn.Dropout(piece.part.number)
        case "flatten":
            return nn.Flatten()
        case act:
            names = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "selu": "SELU"}
            return getattr(nn, names[act])()


def _take(module: Any, net: Net, model: netc.Model) -> None:
    """Copies the model's parameters and states."""
    import torch  # noqa: PLC0415 - a peer may be absent

    def copy(into: Any, value: Array) -> None:
        into.copy_(torch.tensor(value.copy()))

    with torch.no_grad():
        for layer, piece in zip(module, net.pieces(model), strict=True):
            if piece.values:
                weights, biases = piece.values
                copy(layer.weight, weights.T if piece.part.kind == "dense" else weights)
                copy(layer.bias, biases)
            if piece.states:
                copy(layer.running_mean, piece.states[0])
                copy(layer.running_var, piece.states[1])


PEERS: Final = ("torch", "torch-fused", "torch-compile")


def available(name: str) -> bool:
    """Whether the framework of a peer is installed."""
    return find_spec(name.partition("-")[0]) is not None


def make(name: str, net: Net, model: netc.Model) -> Peer:
    """The peer for a net, with the model's present weights."""
    return Torch(net, model, fused=name == "torch-fused", compiled=name == "torch-compile")
