"""PyTorch as one writes it: a Sequential, an optimizer, `cross_entropy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from benchmarks.nets import LEARNING_RATE

if TYPE_CHECKING:
    from benchmarks.nets import Array, Piece
    from benchmarks.peers import Order

TYPES: Final = {"f32": torch.float32, "f64": torch.float64}
ACTIVATIONS: Final = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "selu": nn.SELU}


class Torch:
    """`fused`: the optimizer's fused kernels. `compiled`: the net through torch.compile."""

    def __init__(self, order: Order, *, fused: bool = False, compiled: bool = False) -> None:
        torch.set_num_threads(order.threads)
        torch.set_flush_denormal(True)  # as netc's code does
        self._type = TYPES[order.precision]
        layers = [_layer(piece) for piece in order.pieces]
        module = nn.Sequential(*layers).to(self._type)
        with torch.no_grad():
            for layer, piece in zip(layers, order.pieces, strict=True):
                _take(layer, piece)
        optimizer = getattr(torch.optim, order.net.optimizer)
        self._optimizer = optimizer(module.parameters(), lr=LEARNING_RATE, fused=fused or None)
        self._module = torch.compile(module) if compiled else module

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        return torch.tensor(x, dtype=self._type), torch.tensor(y)

    def step(self, x: Any, y: Any) -> Any:
        if not self._module.training:
            self._module.train()
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._module(x), y)
        loss.backward()
        self._optimizer.step()
        return loss

    def forward(self, x: Any) -> Any:
        if self._module.training:
            self._module.eval()
        with torch.inference_mode():
            return self._module(x)

    def number(self, loss: Any) -> float:
        return loss.item()


def _layer(piece: Piece) -> nn.Module:
    """The module of a part; its values are still the framework's own."""
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
        case activation:
            return ACTIVATIONS[activation]()


def _take(layer: Any, piece: Piece) -> None:
    """Copies the weights [out, in] and the other values of a part."""
    if piece.values:
        weights, biases = piece.values
        layer.weight.copy_(torch.tensor(weights.T if piece.part.kind == "dense" else weights))
        layer.bias.copy_(torch.tensor(biases))
    if piece.states:
        layer.running_mean.copy_(torch.tensor(piece.states[0]))
        layer.running_var.copy_(torch.tensor(piece.states[1]))
