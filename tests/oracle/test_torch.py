"""Compiled nets against PyTorch in f64: outputs, objectives, gradients, and ten optimizer steps.

PyTorch is no dependency of the project; without it these tests are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

import netc
from tests.oracle.nets import CASES, Case

if TYPE_CHECKING:
    from collections.abc import Callable

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle to compare with")

TOLERANCE = 1e-9


def tensors(model: netc.Model) -> dict[str, torch.Tensor]:
    """The model's parameters as leaves of PyTorch."""
    return {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}


def compiled(case: Case, train: str = "sgd()") -> netc.Model:
    """The net of a case with random numbers in all parameters, zero biases included."""
    text = f"{case.text}\ntrain {{ optimizer = {train}; seed = 3 }}"
    model = netc.compile(source=text, precision="f64")
    random = np.random.default_rng(4)
    for value in model.params.values():
        value[...] += random.normal(0, 0.1, value.shape)
    return model


def assert_close(found: object, expected: torch.Tensor, what: str) -> None:
    """Equal to TOLERANCE, relative to the largest element."""
    there = expected.detach().numpy()
    scale = max(1e-3, float(np.abs(there).max()))
    np.testing.assert_allclose(found, there, rtol=0, atol=TOLERANCE * scale, err_msg=what)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_objective_and_gradients(case: Case) -> None:
    model, (x, t) = compiled(case), case.data(17)
    leaves = tensors(model)
    output, objective = case.function(torch, leaves, torch.tensor(x), target(t))
    objective.backward()
    assert_close(first(model.forward(x)), output, "output")
    model.forward(x, training=True)
    found = model.backward(*(() if t is None else (t,)))
    assert found == pytest.approx(objective.item(), rel=TOLERANCE)
    assert list(model.grads) == list(leaves)
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        assert_close(model.grads[name], leaf.grad, name)


@dataclass(frozen=True)
class Optimizer:
    """A call in `.net` and the optimizer of PyTorch that it must equal."""

    call: str
    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer]


OPTIMIZERS = (
    Optimizer("sgd(lr=0.1)", lambda p: torch.optim.SGD(p, lr=0.1)),
    Optimizer("momentum(lr=0.05)", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
    Optimizer(
        "nesterov(lr=0.05, beta=0.8)",
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    ),
    Optimizer("adagrad(lr=0.05)", lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-8)),
    Optimizer("rmsprop(lr=0.01)", lambda p: torch.optim.RMSprop(p, lr=0.01)),
    Optimizer("adam(lr=0.01)", lambda p: torch.optim.Adam(p, lr=0.01)),
    Optimizer("adamw(lr=0.01)", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.01)),
    Optimizer("adadelta()", lambda p: torch.optim.Adadelta(p, lr=1)),
)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.call)
@pytest.mark.parametrize("fused", [True, False], ids=["step", "backward+update"])
def test_ten_steps(optimizer: Optimizer, fused: bool) -> None:
    case = next(c for c in CASES if c.name == "logistic.net")
    model = compiled(case, optimizer.call)
    leaves = tensors(model)
    peer = optimizer.make(list(leaves.values()))
    for number in range(10):
        x, t = case.data(8 + number, seed=number)
        peer.zero_grad()
        _, objective = case.function(torch, leaves, torch.tensor(x), target(t))
        objective.backward()
        peer.step()
        if fused:
            found = model.step(x, t)
        else:
            model.forward(x, training=True)
            found = model.backward(t)
            model.update()
        assert found == pytest.approx(objective.item(), rel=TOLERANCE)
    for name, leaf in leaves.items():
        assert_close(model.params[name], leaf, name)


def target(t: np.ndarray | None) -> torch.Tensor | None:
    return None if t is None else torch.tensor(t)


def first(outputs: object) -> np.ndarray:
    """The only output, or the first of several."""
    return np.asarray(next(iter(outputs.values())) if isinstance(outputs, dict) else outputs)
