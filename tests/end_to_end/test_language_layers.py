"""Layers, chains, instances and copies, net by net, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.end_to_end.language import (
    BATCHES,
    Case,
    check,
    cross_entropy,
    sigmoid,
    softmax,
    total,
)
from tests.end_to_end.test_language_values import labelled, normal


def dense(p, name, x, act=lambda z: z):
    return act(x @ p[f"{name}.W"] + p[f"{name}.b"])


def relu(z):
    return np.maximum(z, 0)


def siamese(p, left, right, same):
    def enc(x):
        return np.tanh(dense(p, "enc.dense", x)) @ p["enc.dense_2.W"]

    a, b = enc(left), enc(right)
    back = np.tanh(a @ p["enc.dense_2.W"].T + p["c"]) @ p["enc.dense.W"].T
    gap = ((a - b) ** 2).sum(1)
    loss = (gap - same[:, 0]) ** 2 + 0.1 * total((back - left) ** 2)
    penalty = 0.01 * sum((p[k] ** 2).sum() for k in ("enc.dense.W", "enc.dense_2.W"))
    return {"gap": gap, "back": back, "loss": loss, "penalty": float(penalty)}


def copies(p, x):
    h = x
    for i in (1, 2):
        h = np.tanh(dense(p, f"h.repeat_{i}.dense", h))
    for i in (3, 4, 5):
        h = relu(dense(p, f"h.repeat_{i}.dense", h))
    g = h
    for i in (1, 2):
        g = g + np.tanh(dense(p, f"g.repeat_{i}.residual.dense", g))
    return {"g": g, "loss": total(g**2)}


def chains(p, x):
    h = x + np.tanh(dense(p, "h.twice.dense", x))
    h = h + np.tanh(dense(p, "h.twice.dense_2", h))
    z = dense(p, "h.dense", h)
    h = np.where(z > 0, z, p["h.dense.prelu.alpha"] * z)
    z = dense(p, "e.dense", h)
    e = np.where(z > 0, z, 0.5 * np.expm1(np.minimum(z, 0)))
    squared = dense(p, "f.dense", h) ** 2
    return {"e": e, "f": squared, "loss": total(e**2) + total(np.sin(squared))}


def own_layer(p, x):
    def gated(name, x, n):
        z = x @ p[f"{name}.W"]
        a, b = z[:, :n], z[:, n:]
        return a * sigmoid(b + p[f"{name}.shift"]) + p[f"{name}.scale"]

    h = gated("h.gated_unit", x, 4)
    g = gated("g.gated_unit", gated("k.gated_unit", h, 3) @ np.ones((3, 3)), 2)
    return {"g": g, "loss": total(g**2) + total(h**2)}


def normed(p, x):
    c = x - x.mean(-1, keepdims=True)
    n = p["n.layer_norm.gamma"] * c / np.sqrt((c**2).mean(-1, keepdims=True) + 1e-5)
    n = n + p["n.layer_norm.beta"]
    a = p["z.prelu.alpha"]
    z = np.where(n > 0, n, a * n)
    v, g = p["w.weight_norm_dense.V"], p["w.weight_norm_dense.g"]
    flat = z.reshape(len(x), -1)
    w = flat @ (v * g / np.sqrt((v**2).sum(0))) + p["w.weight_norm_dense.b"]
    return {"w": w, "loss": total(np.sin(w))}


def last(p, a, b):
    u = relu(dense(p, "u.dense_last", a))
    v = u @ p["v.dense_last.W"]
    w = np.tanh(dense(p, "w.dense_last", b))
    return {"u": u, "v": v, "w": w, "loss": total(v**2) + total(w**3)}


def compile_time(p, x):
    h = x
    for i in (1, 2, 3):
        h = h @ p[f"h.repeat_{i}.maybe.W"]
        if i == 2:
            h = h + p[f"h.repeat_{i}.maybe.b"]
        h = np.tanh(h)
    return {"h": h, "loss": total(h) ** 2}


def activations(p, x):
    z = x * p["s"]
    erf = np.vectorize(__import__("math").erf)
    softplus = np.logaddexp(0, z)
    rows = [
        z, relu(z), np.where(z > 0, z, 0.01 * z), np.where(z > 0, z, np.expm1(z)),
        1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z)),
        0.5 * z * (1 + erf(z / np.sqrt(2))), 1.7159 * np.tanh(2 / 3 * z), np.clip(z, -1, 1),
        softplus, z / (1 + np.abs(z)), z * sigmoid(z), softmax(z), np.log(softmax(z)),
    ]  # fmt: skip
    y = np.stack(rows, 1)
    return {"y": y, "steps": np.stack([z >= 0, np.sign(z)], 1), "loss": total(y * y)}


def nested(p, x, t):
    h = np.tanh(dense(p, "h.block.dense", x) + dense(p, "h.block.block2.dense", x))
    z = dense(p, "loss.dense", h)
    return {"h": h, "loss": cross_entropy(z, t)}


def groups(p, x):
    a = x @ p["a.dense.W"] + p["a.dense.b"]
    b = a @ p["b.dense.W"] + p["b.dense.b"]
    weights = np.concatenate([p["a.dense.W"].ravel(), p["b.dense.W"].ravel()])
    first = np.concatenate([p["a.dense.W"].ravel(), p["a.dense.b"]])
    penalty = (
        0.1 * np.log(1 + (weights**2).sum())
        + 0.2 * (0.3 * np.abs(first).sum() + 0.7 * (first**2).sum())
        + 0.01 * ((p["b.dense.b"] / 0.2) ** 2 / (1 + (p["b.dense.b"] / 0.2) ** 2)).sum()
    )
    return {"b": b, "loss": total(np.cos(b)), "penalty": float(penalty)}


CASES = (
    Case("instances", """
      input left: [4]; input right: [4]; target same: [1]
      layer enc = dense(6) |> tanh |> dense(3, bias=false)
      a = enc(left)
      b = enc(right)
      param c: [6] = 0.1
      back = tanh(a @ enc.dense_2.W' + c) @ enc.dense.W'
      gap = squared_error(a, b)
      output gap; output back
      loss (gap - same[0])^2 + 0.1 * squared_error(back, left)
      penalty 0.01 * l2(params("enc.*.W"))
    """, normal(left=(4,), right=(4,), same=(1,)), siamese, (*BATCHES, 1000)),
    Case("copies", """
      input x: [3]
      h = x |> repeat(2, dense(3, act=tanh)) |> repeat(3, i -> dense(2 * i) |> relu)
      g = h |> repeat(2, residual(dense(6) |> tanh))
      output g
      loss sum(g^2)
    """, normal(x=(3,)), copies),
    Case("chains", """
      fn square(z) = z * z
      layer twice(x: [n], c: layer) {
        y = x + c(x)
        return y + c(y)
      }
      net Chains {
        input x: [3]
        h = x |> twice(dense(3) |> tanh) |> dense(5, act=prelu)
        e = h |> dense(4, act=elu(alpha=0.5))
        f = h |> dense(2, act=square)
        output e; output f
        loss sum(e^2) + sum(sin(f))
      }
    """, normal(x=(3,)), chains, BATCHES),
    Case("layer_of_ones_own", """
      init narrow(width = 0.1) = uniform(-width, width)
      layer gated_unit(x: [n], units, init: init = narrow) {
        param W: [n, 2 * units] = init
        param shift: [units] = 0.5
        param scale = 1
        z = x @ W
        z = [z[:units], z[units:]]
        return z[0] * sigmoid(z[1] + shift) + scale
      }
      net Own {
        input x: [5]
        h = x |> gated_unit(4)
        k = h |> gated_unit(3, init=narrow(width=0.5))
        g = (k @ broadcast(1, [3, 3])) |> gated_unit(2, init=normal(0, 0.3))
        output g
        loss sum(g^2) + sum(h^2)
      }
    """, normal(x=(5,)), own_layer),
    Case("norms", """
      input x: [3, 4]
      n = x |> layer_norm
      z = n |> prelu
      w = z |> flatten |> weight_norm_dense(5)
      output w
      loss sum(sin(w))
    """, normal(x=(3, 4)), normed, BATCHES),
    Case("dense_last", """
      input a: [3, 4]; input b: [2, 3, 4]
      u = a |> dense_last(5, act=relu)
      v = u |> dense_last(2, bias=false)
      w = b |> dense_last(3, act=tanh)
      output u; output v; output w
      loss sum(v^2) + sum(w^3)
    """, normal(a=(3, 4), b=(2, 3, 4)), last, BATCHES),
    Case("compile_time_if", """
      layer maybe(x: [n], bias) {
        param W: [n, n] = glorot_uniform
        y = x @ W
        if bias { param b: [n] = 0; y = y + b } else { y = y + 0 }
        return if n > 100 then y + 1 else y
      }
      net Ifs {
        input x: [4]
        h = x |> repeat(3, i -> maybe(i == 2) |> tanh)
        output h
        loss sum(h)^2
      }
    """, normal(x=(4,)), compile_time),
    Case("activations", """
      input x: [5]
      param s = 1.5
      z = x * s
      y = [identity(z), relu(z), leaky_relu(z), elu(z), selu(z), gelu(z), scaled_tanh(z),
           hard_tanh(z), softplus(z), softsign(z), swish(z), softmax(z), log_softmax(z)]
      output y
      output steps = [heaviside(z), sign(z)]
      loss sum(y^2)
    """, normal(x=(5,)), activations, BATCHES),
    Case("layers_in_layers", """
      layer block2(x: [n], k) { return x |> dense(k) }
      layer block(x: [n], k) { y = dense(x, k); return tanh(y + block2(x, k)) }
      net Nested {
        input x: [3]
        target t: class[4]
        h = block(x, 5)
        output h
        loss cross_entropy(h |> dense(4), t)
      }
    """, labelled(normal(x=(3,)), t=(4, ())), nested),
    Case("groups", """
      input x: [3]
      a = x |> dense(4)
      b = a |> dense(2)
      output b
      loss sum(cos(b))
      penalty 0.1 * cauchy(weights)
      penalty 0.2 * elastic_net(params("a.*"), a=0.3)
      penalty 0.01 * weight_elimination(b.dense.b)
    """, normal(x=(3,)), groups),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_net_is_numpys(case: Case) -> None:
    check(case)
