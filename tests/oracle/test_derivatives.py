"""Derivatives in the language, compiled, against `torch.autograd.functional` in f64.

PyTorch is no dependency of the project; without it these tests are skipped.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import netc

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle to compare with")
functional = torch.autograd.functional

TOLERANCE = 1e-8
BATCHES = (1, 5, 18)

DENSE = """
net Dense {
  input  x: [5]
  target t: class[3]
  h = x |> dense(6, act=tanh) |> dense(4, act=softplus)
  z = h |> dense(3)
  p = exp(z) / sum(exp(z))
  e = cross_entropy(z, t)

  output jx = jacobian(p, x)
  output jh = jacobian(p, h)
  output jw = jacobian(z, h.dense.W)
  output jall = jacobian(p, params)
  output gx = grad(e, x)
  output gh = grad(e, h)
  output gall = grad(e, params)
  output hx = hessian(e, x)
  output hh = hessian(e, h)
  output hw = hessian(e, z.dense.W)
  output hall = hessian(e, params)
  output vx = hvp(e, x, 2 * x)
  output vw = hvp(e, h.dense.W, h.dense.W)
  output vall = hvp(e, params, params)
  output gg = grad(sum(grad(e, x)^3), x)
  output whole = grad(objective, params("h.*"))
  loss e
  penalty 0.1 * l2(weights)
  penalty 0.3 * batch_mean(sum(grad(e, x)^2))
}"""

IMAGE = """
net Image {
  input  x: [2, 6, 6]
  target t: class[3]
  a = x |> conv(3, kernel=3, padding=1, act=tanh)
  z = a |> avg_pool(2) |> flatten |> dense(3)
  e = cross_entropy(z, t)
  output jx = jacobian(z, x)
  output ja = jacobian(z, a)
  output jw = jacobian(z, a.conv.W)
  output gall = grad(e, params)
  output vx = hvp(e, x, x)
  loss e
  penalty 0.5 * batch_mean(sum(grad(e, x)^2))
}"""

Values = dict[str, Any]


def affine(w: Values, path: str, x: Any) -> Any:
    return x @ w[f"{path}.W"] + w[f"{path}.b"]


def hidden(w: Values, x: Any) -> Any:
    first = torch.tanh(affine(w, "h.dense", x))
    return torch.nn.functional.softplus(affine(w, "h.dense_2", first))


def logits(w: Values, h: Any) -> Any:
    return affine(w, "z.dense", h)


def convolved(w: Values, x: Any) -> Any:
    """Of one image [2, 6, 6]."""
    conv = torch.nn.functional.conv2d(x[None], w["a.conv.W"], w["a.conv.b"], padding=1)
    return torch.tanh(conv)[0]


def pooled(w: Values, a: Any) -> Any:
    return affine(w, "z.dense", torch.nn.functional.avg_pool2d(a, 2).reshape(-1))


def error(z: Any, t: Any) -> Any:
    return torch.nn.functional.cross_entropy(z, t)


@cache
def model(text: str) -> netc.Model:
    return netc.compile(source=text, precision="f64", seed=3)


def parameters(net: netc.Model) -> Values:
    return {name: torch.tensor(np.array(value)) for name, value in net.params.items()}


def data(net: netc.Model, samples: int) -> tuple[Any, Any]:
    random = np.random.default_rng(samples)
    x = random.normal(0, 1, (samples, *net.manifest.inputs[0].shape))
    return x, random.integers(0, 3, samples)


def flattened(w: Values, x: Any) -> Values:
    """The parameters cut out of one vector."""
    sizes = [v.numel() for v in w.values()]
    parts = torch.split(x, sizes)
    return {n: p.reshape(w[n].shape) for n, p in zip(w, parts, strict=True)}


def of_samples(f: Any, *arrays: Any) -> np.ndarray:
    """`f` of each sample, stacked."""
    rows = zip(*(torch.as_tensor(a) for a in arrays), strict=True)
    return torch.stack([f(*row) for row in rows]).detach().numpy()


def close(found: Any, expected: Any, name: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def softmax(w: Values, h: Any) -> Any:
    return torch.softmax(logits(w, h), -1)


@pytest.mark.parametrize("samples", BATCHES)
def test_jacobians(samples: int) -> None:
    net = model(DENSE)
    w, (x, _) = parameters(net), data(net, samples)
    found = net.forward(x=x)
    of = functional.jacobian
    flat = torch.cat([v.reshape(-1) for v in w.values()])

    def probabilities(v: Any, x: Any) -> Any:
        return softmax(v, hidden(v, x))

    def by_weights(x: Any) -> Any:
        return of(lambda v: logits(w, hidden({**w, "h.dense.W": v}, x)), w["h.dense.W"])

    close(found["jx"], of_samples(lambda x: of(lambda u: probabilities(w, u), x), x), "jx")
    close(found["jh"], of_samples(lambda x: of(lambda u: softmax(w, u), hidden(w, x)), x), "jh")
    close(found["jw"], of_samples(by_weights, x), "jw")
    every = of_samples(lambda x: of(lambda v: probabilities(flattened(w, v), x), flat), x)
    close(found["jall"], every, "jall")


@pytest.mark.parametrize("samples", BATCHES)
def test_hessians_and_their_products(samples: int) -> None:
    net = model(DENSE)
    w, (x, t) = parameters(net), data(net, samples)
    found = net.evaluate(x=x, t=t) | net.forward(x=x)  # `hh` needs no label
    flat = torch.cat([v.reshape(-1) for v in w.values()])
    rows, labels = torch.tensor(x), torch.tensor(t)

    def one(v: Values, x: Any, t: Any) -> Any:
        return error(logits(v, hidden(v, x)), t)

    def mean(**changed: Any) -> Any:
        v = {**w, **{k.replace("__", "."): value for k, value in changed.items()}}
        return error(logits(v, hidden(v, rows)), labels)

    def whole(v: Any) -> Any:
        cut = flattened(w, v)
        return error(logits(cut, hidden(cut, rows)), labels)

    gradient, hessian = functional.jacobian, functional.hessian
    expected = {
        "gx": of_samples(lambda x, t: gradient(lambda u: one(w, u, t), x), x, t),
        "gh": of_samples(
            lambda x, t: gradient(lambda h: error(logits(w, h), t), hidden(w, x)), x, t
        ),
        "gall": gradient(whole, flat),
        "hx": of_samples(lambda x, t: hessian(lambda u: one(w, u, t), x), x, t),
        "hh": of_samples(
            lambda x, t: hessian(lambda h: error(logits(w, h), t), hidden(w, x)), x, t
        ),
        "hw": hessian(lambda v: mean(z__dense__W=v), w["z.dense.W"]),
        "hall": hessian(whole, flat),
        "vx": of_samples(lambda x, t: functional.hvp(lambda u: one(w, u, t), x, 2 * x)[1], x, t),
        "vw": functional.hvp(lambda v: mean(h__dense__W=v), w["h.dense.W"], w["h.dense.W"])[1],
        "vall": functional.hvp(whole, flat, flat)[1],
    }
    for name, value in expected.items():
        shared = name in ("gall", "hw", "hall", "vw", "vall")
        close(found[name], np.stack([value] * samples) if shared else value, name)


def stepped(w: Values, slope: float, f: Any, x: Any, t: Any) -> tuple[float, Values]:
    """Objective and gradients of mean cross-entropy with a penalty on its slope by the input."""
    leaves = {name: value.clone().requires_grad_() for name, value in w.items()}
    rows = torch.tensor(x, requires_grad=True)
    errors = torch.stack([error(f(leaves, row), label) for row, label in zip(rows, t, strict=True)])
    (by_x,) = torch.autograd.grad(errors.sum(), rows, create_graph=True)
    objective = errors.mean() + slope * (by_x**2).sum() / len(t)
    if slope == 0.3:
        objective = objective + 0.1 * sum((v**2).sum() for v in leaves.values() if v.ndim > 1)
    objective.backward()
    return objective.item(), {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@pytest.mark.parametrize("samples", BATCHES)
@pytest.mark.parametrize("text", [DENSE, IMAGE], ids=["dense", "image"])
def test_a_step_with_a_gradient_penalty(text: str, samples: int) -> None:
    rule = "\ntrain { optimizer = sgd(lr = 0.1) }"
    net = netc.compile(source=text + rule, precision="f64", seed=3)
    w, (x, t) = parameters(net), data(net, samples)
    labels = torch.tensor(t)
    slope, function = 0.5, lambda v, x: pooled(v, convolved(v, x))
    if text is DENSE:
        slope, function = 0.3, lambda v, x: logits(v, hidden(v, x))
    objective, gradients = stepped(w, slope, function, x, labels)
    net.forward(x=x, training=True)
    close(net.backward(t=t), objective, "objective")
    for name, expected in gradients.items():
        close(net.grads[name], expected, name)
    if text is DENSE:
        parts = [gradients[n].reshape(-1) for n in w if n.startswith("h.")]
        named = net.evaluate(x=x, t=t)["whole"]
        close(named, np.stack([np.concatenate(parts)] * samples), "objective by a group")
    net.step(x, t)
    for name, expected in gradients.items():
        close(net.params[name], w[name].numpy() - 0.1 * expected, f"{name} after a step")


@pytest.mark.parametrize("samples", BATCHES)
def test_images(samples: int) -> None:
    net = model(IMAGE)
    w, (x, t) = parameters(net), data(net, samples)
    of = functional.jacobian
    found = net.evaluate(x=x, t=t) | net.forward(x=x)

    def by_weights(x: Any) -> Any:
        return of(lambda v: pooled(w, convolved({**w, "a.conv.W": v}, x)), w["a.conv.W"])

    close(found["jx"], of_samples(lambda x: of(lambda u: pooled(w, convolved(w, u)), x), x), "jx")
    close(found["ja"], of_samples(lambda x: of(lambda u: pooled(w, u), convolved(w, x)), x), "ja")
    close(found["jw"], of_samples(by_weights, x), "jw")
    product = of_samples(
        lambda x, t: functional.hvp(lambda u: error(pooled(w, convolved(w, u)), t), x, x)[1], x, t
    )
    close(found["vx"], product, "vx")
    flat = torch.cat([v.reshape(-1) for v in w.values()])

    def whole(v: Any) -> Any:
        cut = flattened(w, v)
        rows = [error(pooled(cut, convolved(cut, torch.tensor(a))), torch.tensor(b))
                for a, b in zip(x, t, strict=True)]  # fmt: skip
        return torch.stack(rows).mean()

    close(found["gall"], np.stack([of(whole, flat)] * samples), "gall")


STRAIGHT = """
fn quantised(x, k) {
  scaled = x * k
  return round(scaled) / k
} gradient(g) = g * (abs(scaled) <= 2) * x, sum(g * scaled)

net Quantised {
  input x: [4]
  param k: [] = 2
  y = x |> dense(6) |> quantised(k) |> dense(1)
  output slope = grad(sum(y), x)
  output second = hessian(sum(y^2), x)
  loss sum(y^2)
}"""


class Quantised(torch.autograd.Function):
    """The same rule by hand, made of differentiable operations."""

    @staticmethod
    def forward(ctx: Any, x: Any, k: Any) -> Any:
        ctx.save_for_backward(x, k)
        return torch.round(x * k) / k

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, k = ctx.saved_tensors
        scaled = x * k
        return g * (scaled.abs() <= 2) * x, (g * scaled).sum()


@pytest.mark.parametrize("samples", BATCHES)
def test_a_derivative_of_ones_own(samples: int) -> None:
    net = model(STRAIGHT)
    w = parameters(net)
    x = np.random.default_rng(samples).normal(0, 1, (samples, 4))

    def y(v: Values, x: Any) -> Any:
        h = Quantised.apply(affine(v, "y.dense", x), v["k"])
        return affine(v, "y.dense_2", h).sum(-1)

    found = net.forward(x=x)
    of = functional.jacobian
    close(found["slope"], of_samples(lambda x: of(lambda u: y(w, u), x), x), "slope")
    second = of_samples(lambda x: functional.hessian(lambda u: y(w, u) ** 2, x), x)
    close(found["second"], second, "second")
    leaves = {name: value.clone().requires_grad_() for name, value in w.items()}
    (y(leaves, torch.tensor(x)) ** 2).mean().backward()
    net.forward(x=x, training=True)
    net.backward()
    for name, leaf in leaves.items():
        close(net.grads[name], leaf.grad.numpy(), name)
