"""Normalising and dropping layers against PyTorch in f64, in both modes.

A row of the parameter `X` is one sample: the one-hot input `row` picks it, so that the gradient of
`X` is that of the layer's input. PyTorch is no dependency of the project; without it these tests
are skipped.
"""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from numpy.typing import NDArray

import netc
from netc.compiler.derive.reverse import gradients
from netc.compiler.elaborate.program import elaborate
from netc.compiler.ir.graph import toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import mul
from netc.compiler.ops.source import Source as SourceOp
from netc.compiler.ops.source import source
from netc.grammar.parser import parse
from netc.grammar.source import Source

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle to compare with")

Array = NDArray[np.float64]
TOLERANCE = 1e-10
SHAPES = ((7,), (16,), (3, 5), (2, 3, 4), (18, 2, 2))
CASES = [(shape, batch) for shape in SHAPES for batch in (1, 5, 18) if batch > 1 or len(shape) == 3]


def compiled(chain: str, shape: tuple[int, ...], batch: int) -> netc.Model:
    """A layer on rows of X; the loss weights its result by position and sample."""
    sizes = ", ".join(map(str, shape))
    text = f"""net N {{
      input row: [{batch}]
      input w: [{sizes}]
      param X: [{batch}, {prod(shape)}] = 0
      y = reshape(row @ X, [{sizes}]) |> {chain}
      output z = y
      loss sum(w * sin(y))
    }}
    train {{ optimizer = sgd() }}"""
    return netc.compile(source=text, precision="f64")


def filled(model: netc.Model, seed: int) -> None:
    """Random numbers in all parameters; X far from 0, with another spread in each column."""
    random = np.random.default_rng(seed)
    for name, value in model.params.items():
        value[...] = random.normal(0, 1, value.shape)
        if name == "X":
            value[...] = value * random.uniform(0.1, 5, value.shape[1:]) + 10


def leaves(model: netc.Model) -> dict[str, torch.Tensor]:
    return {
        name.rsplit(".", 1)[-1]: torch.tensor(np.array(value), requires_grad=True)
        for name, value in model.params.items()
    }


def weights(shape: tuple[int, ...], batch: int) -> Array:
    return np.random.default_rng(2).normal(0, 1, (batch, *shape))


def assert_close(found: object, expected: torch.Tensor, what: str) -> None:
    """Equal to TOLERANCE, relative to the largest element."""
    there = expected.detach().numpy()
    scale = max(1.0, float(np.abs(there).max()))
    np.testing.assert_allclose(found, there, rtol=0, atol=TOLERANCE * scale, err_msg=what)


def assert_gradients(model: netc.Model, held: dict[str, torch.Tensor]) -> None:
    for name, leaf in held.items():
        found = next(v for k, v in model.grads.items() if k.rsplit(".", 1)[-1] == name)
        assert leaf.grad is not None
        assert_close(found, leaf.grad, name)


def normed(held: dict[str, torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
    x = held["X"].reshape(-1, *shape)
    return torch.nn.functional.batch_norm(
        x, None, None, held["gamma"], held["beta"], training=True, eps=1e-5
    )


@pytest.mark.parametrize(("shape", "batch"), CASES)
def test_batch_norm_in_training(shape: tuple[int, ...], batch: int) -> None:
    model = compiled("batch_norm", shape, batch)
    filled(model, 1)
    row, w, held = np.eye(batch), weights(shape, batch), leaves(model)
    y = normed(held, shape)
    objective = (torch.tensor(w) * torch.sin(y)).sum() / batch
    objective.backward()
    assert_close(model.forward(row, w, training=True), y, "y")
    assert model.backward() == pytest.approx(objective.item(), rel=1e-10, abs=1e-10)
    assert_gradients(model, held)


@pytest.mark.parametrize(("shape", "batch"), CASES)
def test_running_statistics_over_several_steps(shape: tuple[int, ...], batch: int) -> None:
    model = compiled("batch_norm(momentum=0.8)", shape, batch)
    mean, var = torch.zeros(shape[0]).double(), torch.ones(shape[0]).double()
    count = batch * prod(shape[1:])
    for number in range(1, 5):
        filled(model, number)
        model.forward(np.eye(batch), weights(shape, batch), training=True)
        x = torch.tensor(np.array(model.params["X"])).reshape(-1, *shape)
        torch.nn.functional.batch_norm(x, mean, var, training=True, momentum=0.2)
        assert_close(model.state["y.batch_norm.mean"], mean, "mean")
        start = 0.8**number  # what is left of the first value; the rest is unbiased in PyTorch
        biased = start + (var - start) * (count - 1) / count
        assert_close(model.state["y.batch_norm.var"], biased, "var")


@pytest.mark.parametrize(("shape", "batch"), CASES)
def test_batch_norm_in_inference(shape: tuple[int, ...], batch: int) -> None:
    model = compiled("batch_norm(eps=1e-3)", shape, batch)
    filled(model, 3)
    random = np.random.default_rng(4)
    model.state["y.batch_norm.mean"][...] = random.normal(9, 1, shape[0])
    model.state["y.batch_norm.var"][...] = random.uniform(0.1, 4, shape[0])
    held = leaves(model)
    states = [torch.tensor(np.array(v)) for v in model.state.values()]
    y = torch.nn.functional.batch_norm(
        held["X"].reshape(-1, *shape), *states, held["gamma"], held["beta"], False, eps=1e-3
    )
    before = {name: np.array(value) for name, value in model.state.items()}
    assert_close(model.forward(np.eye(batch), weights(shape, batch)), y, "y")
    assert all((model.state[name] == value).all() for name, value in before.items())


NETS = {
    "convolution": (
        "input x: [2, 6, 6]; h = x |> conv(5, kernel=3, padding=1) |> batch_norm |> tanh",
        lambda p, x: torch.nn.functional.conv2d(x, p["h.conv.W"], p["h.conv.b"], padding=1),
    ),
    "dense": (
        "input x: [9]; h = x |> dense(5) |> batch_norm |> tanh",
        lambda p, x: x @ p["h.dense.W"] + p["h.dense.b"],
    ),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("batch", [2, 5, 18])
@pytest.mark.parametrize("name", NETS)
def test_batch_norm_behind_a_product(name: str, batch: int, training: bool) -> None:
    """In inference it is folded into the product; in training its bias has gradient 0."""
    body, product = NETS[name]
    text = f"net N {{ {body}; output y = h |> flatten |> dense(3); loss sum(sin(y)) }}"
    model = netc.compile(source=text, precision="f64")
    random = np.random.default_rng(7)
    for value in (*model.params.values(), *model.state.values()):
        value[...] = random.uniform(0.3, 1, value.shape) * random.choice([-1, 1], value.shape)
    var = model.state["h.batch_norm.var"]
    var[...] = np.abs(var)
    x = random.normal(1, 2, (batch, *model.manifest.inputs[0].shape))
    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}
    states = [torch.tensor(np.array(v)) for v in model.state.values()]
    h = torch.nn.functional.batch_norm(
        product(p, torch.tensor(x)),
        *states,
        p["h.batch_norm.gamma"],
        p["h.batch_norm.beta"],
        training=training,
        eps=1e-5,
    )
    y = torch.tanh(h).flatten(1) @ p["y.dense.W"] + p["y.dense.b"]
    assert_close(model.forward(x, training=training), y, "y")
    if training:
        torch.sin(y).sum(1).mean().backward()
        model.backward()
        for key, leaf in p.items():
            assert leaf.grad is not None
            assert_close(model.grads[key], leaf.grad, key)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 2, 3)])
def test_second_derivatives_of_batch_norm(shape: tuple[int, ...]) -> None:
    """The derivative of v · dL/dx by x, where the loss L is not linear."""
    text = f"""net N {{
      input x: {list(shape)}
      y = x |> batch_norm
      loss sum(sin(2 * y) + y^3)
    }}"""
    loss = elaborate(parse(Source("n.net", text)), precision="f64", defines={}).training.loss
    assert loss is not None
    x = next(n for n in toposort([loss]) if isinstance(n.op, SourceOp) and n.op.name == "x")
    v = source("input", "v", shape, True, "f64")
    second = gradients(mul(gradients(loss, [x])[0], v), [x])[0]
    random = np.random.default_rng(5)
    held = {"gamma": random.normal(1, 0.3, shape[0]), "beta": random.normal(0, 1, shape[0])}
    data = {"x": random.normal(3, 2, (6, *shape)), "v": random.normal(0, 1, (6, *shape))}
    values = {("parameter", f"y.batch_norm.{k}"): a for k, a in held.items()}
    values |= {("input", k): a for k, a in data.items()}
    (found,) = evaluate([second], Environment(values, batch=6))
    there = {k: torch.tensor(a) for k, a in {**held, "X": data["x"]}.items()}
    there["X"].requires_grad_()
    y = normed(there, shape)
    (slope,) = torch.autograd.grad((torch.sin(2 * y) + y**3).sum(), there["X"], create_graph=True)
    (slope * torch.tensor(data["v"])).sum().backward()
    assert_close(found, there["X"].grad, "second derivative")


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("shape", "batch"), [((7,), 1), ((16,), 5), ((3, 5), 18), ((2, 3, 4), 5)])
def test_layer_norm(shape: tuple[int, ...], batch: int, training: bool) -> None:
    model = compiled("layer_norm", shape, batch)
    filled(model, 6)
    row, w, held = np.eye(batch), weights(shape, batch), leaves(model)
    x = held["X"].reshape(-1, *shape)
    y = torch.nn.functional.layer_norm(x, shape[-1:], held["gamma"], held["beta"], 1e-5)
    assert_close(model.forward(row, w, training=training), y, "y")
    if training:
        ((torch.tensor(w) * torch.sin(y)).sum() / batch).backward()
        model.backward()
        assert_gradients(model, held)
