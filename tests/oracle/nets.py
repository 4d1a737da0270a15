"""Nets and the same functions written with PyTorch's operations.

Invariant: each function takes the module `torch`, so that this file can be imported without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Data = Callable[[np.random.Generator, int], tuple[Array, Array | None]]
Function = Callable[[Any, dict[str, Any], Any, Any], tuple[Any, Any]]
"""torch, parameters, x and t give the first output and the objective."""

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Case:
    """A net, a draw of its data, and its meaning."""

    name: str
    text: str
    draw: Data
    function: Function

    def data(self, samples: int, seed: int = 0) -> tuple[Array, Array | None]:
        return self.draw(np.random.default_rng(seed), samples)


def example(name: str) -> str:
    """The net of an example without its train block, and with its random parts turned off."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    text = text[: text.index("\ntrain {")]
    text = re.sub(r"dropout\([0-9.]+\)", "dropout(0)", text)
    return re.sub(r"\b(shift|slant|stretch) = [0-9.]+", r"\1 = 0", text)


def labels(width: int, classes: int) -> Data:
    return lambda random, n: (random.uniform(0, 1, (n, width)), random.integers(0, classes, n))


def affine(w: dict[str, Any], path: str, x: Any) -> Any:
    return x @ w[f"{path}.W"] + w[f"{path}.b"]


def xor(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    f = torch.nn.functional
    z = affine(w, "z.dense_2", f.silu(affine(w, "z.dense", x)))
    return torch.sigmoid(z), f.binary_cross_entropy_with_logits(z, t)


def logistic(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    z = affine(w, "logits.dense", x)
    penalty = 1e-4 * (w["logits.dense.W"] ** 2).sum()
    return torch.softmax(z, 1), torch.nn.functional.cross_entropy(z, t) + penalty


def mnist(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    h = torch.relu(affine(w, "h.dense_2", torch.relu(affine(w, "h.dense", x))))
    z = affine(w, "logits.dense", h)
    return torch.softmax(z, 1), torch.nn.functional.cross_entropy(z, t)


def digits(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    turned = x.reshape(-1, 8, 8).transpose(1, 2).reshape(-1, 64)
    h = torch.relu(affine(w, "logits.dense", turned))
    z = affine(w, "logits.dense_3", torch.relu(affine(w, "logits.dense_2", h)))
    return torch.softmax(z, 1), torch.nn.functional.cross_entropy(z, t, label_smoothing=0.2)


def autoencoder(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    code = affine(w, "enc.dense_2", torch.tanh(affine(w, "enc.dense", x)))
    h = torch.tanh(code @ w["enc.dense_2.W"].T + w["c"])
    z = h @ w["enc.dense.W"].T + w["d"]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, x, reduction="sum") / len(x)
    return code, loss


NORMED = """
net Normed {
  input  x: [6]
  target t: class[3]
  h = x |> dense(8, act=gelu) |> layer_norm |> residual(dense(8) |> softplus)
  z = h |> prelu |> dense(3)
  output z
  loss cross_entropy(z, t)
  penalty 0.01 * elastic_net(params, a=0.3)
}"""


def normed(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    f = torch.nn.functional
    h = f.gelu(affine(w, "h.dense", x))
    h = f.layer_norm(h, (8,), w["h.layer_norm.gamma"], w["h.layer_norm.beta"])
    h = h + f.softplus(affine(w, "h.residual.dense", h))
    z = affine(w, "z.dense", f.prelu(h, w["z.prelu.alpha"].reshape(1)))
    every = torch.cat([v.reshape(-1) for v in w.values()])
    penalty = 0.01 * (0.3 * every.abs().sum() + 0.7 * (every**2).sum())
    return z, f.cross_entropy(z, t) + penalty


REGRESSION = """
net Regression {
  input  x: [5]
  target t: [2]
  y = x |> dense(7) |> selu |> dense(6, act=elu(alpha=0.5)) |> leaky_relu(0.2) |> dense(2)
  output y
  loss huber(y, t, delta=0.7)
  loss 0.5 * cosine_distance(y, t)
  penalty 0.1 * cauchy(weights)
}"""


def regression(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    f = torch.nn.functional
    h = f.elu(affine(w, "y.dense_2", f.selu(affine(w, "y.dense", x))), alpha=0.5)
    y = affine(w, "y.dense_3", f.leaky_relu(h, 0.2))
    loss = f.huber_loss(y, t, reduction="sum", delta=0.7) / len(x)
    angle = 0.5 * (1 - f.cosine_similarity(y, t)).mean()
    weights = sum((w[f"y.{d}.W"] ** 2).sum() for d in ("dense", "dense_2", "dense_3"))
    return y, loss + angle + 0.1 * torch.log1p(weights)


SEQUENCE = """
net Sequence {
  input  x: [4, 5]
  target t: class[3][4]
  z = x |> dense_last(6, act=tanh) |> dense_last(3)
  output p = softmax(z)
  loss cross_entropy(z, t) / 4
}"""


def sequence(torch: Any, w: dict[str, Any], x: Any, t: Any) -> tuple[Any, Any]:
    z = affine(w, "z.dense_last_2", torch.tanh(affine(w, "z.dense_last", x)))
    return torch.softmax(z, -1), torch.nn.functional.cross_entropy(z.transpose(1, 2), t)


CASES: tuple[Case, ...] = (
    Case(
        "xor.net",
        example("xor.net"),
        lambda r, n: (r.normal(0, 1, (n, 2)), r.integers(0, 2, (n, 1)).astype(float)),
        xor,
    ),
    Case("logistic.net", example("logistic.net"), labels(64, 10), logistic),
    Case("digits.net", example("digits.net"), labels(64, 10), digits),
    Case("mnist_mlp.net", example("mnist_mlp.net"), labels(784, 10), mnist),
    Case(
        "autoencoder.net",
        example("autoencoder.net"),
        lambda r, n: (r.uniform(0, 1, (n, 64)), None),
        autoencoder,
    ),
    Case("normed", NORMED, lambda r, n: (r.normal(0, 1, (n, 6)), r.integers(0, 3, n)), normed),
    Case(
        "regression",
        REGRESSION,
        lambda r, n: (r.normal(0, 1, (n, 5)), r.normal(0, 1, (n, 2))),
        regression,
    ),
    Case(
        "sequence",
        SEQUENCE,
        lambda r, n: (r.normal(0, 1, (n, 4, 5)), r.integers(0, 3, (n, 4))),
        sequence,
    ),
)
