"""The peers: the same net in another framework, from the same weights, on one thread.

A peer takes its own kind of arrays, made once by `arrays`, so that no conversion is timed.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.nets import LEARNING_RATE, layers

if TYPE_CHECKING:
    import netc
    from benchmarks.nets import Array, Net


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
        parts: list[torch.nn.Module] = []
        for weights, biases in layers(model):
            linear = torch.nn.Linear(*weights.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(weights.T.copy()))
                linear.bias.copy_(torch.tensor(biases.copy()))
            parts += [linear, getattr(torch.nn, net.activation)()]
        module = torch.nn.Sequential(*parts[:-1])
        optimizer = getattr(torch.optim, net.optimizer)
        self._optimizer = optimizer(module.parameters(), lr=LEARNING_RATE, fused=fused or None)
        self._module = torch.compile(module) if compiled else module
        self._loss = torch.nn.functional.cross_entropy
        self._torch = torch

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        return self._torch.tensor(x), self._torch.tensor(y)

    def step(self, x: Any, y: Any) -> Any:
        self._optimizer.zero_grad()
        loss = self._loss(self._module(x), y)
        loss.backward()
        self._optimizer.step()
        return loss

    def forward(self, x: Any) -> Any:
        with self._torch.inference_mode():
            return self._module(x)


PEERS: Final = ("torch", "torch-fused", "torch-compile")


def available(name: str) -> bool:
    """Whether the framework of a peer is installed."""
    return find_spec(name.partition("-")[0]) is not None


def make(name: str, net: Net, model: netc.Model) -> Peer:
    """The peer for a net, with the model's present weights."""
    return Torch(net, model, fused=name == "torch-fused", compiled=name == "torch-compile")
