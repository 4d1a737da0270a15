"""Values of the language, net by net, against NumPy: types, operators, products, reductions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.end_to_end.language import (
    BATCHES,
    Arrays,
    Case,
    check,
    cross_entropy,
    logsumexp,
    sigmoid,
    softmax,
    total,
)

Random = np.random.Generator


def normal(**shapes: tuple[int, ...]):
    """Data of normal numbers: a shape for each name."""

    def data(random: Random, samples: int) -> Arrays:
        return {k: random.normal(0, 1, (samples, *shape)) for k, shape in shapes.items()}

    return data


def labelled(data, **labels: tuple[int, tuple[int, ...]]):
    """With labels: the number of classes and the shape for each name."""

    def joined(random: Random, samples: int) -> Arrays:
        found = data(random, samples)
        for name, (classes, shape) in labels.items():
            found[name] = random.integers(0, classes, (samples, *shape))
        return found

    return joined


def with_gaps(data, name: str, value: float, share: float = 0.4):
    """Some elements of one array are unknown."""

    def gapped(random: Random, samples: int) -> Arrays:
        found = data(random, samples)
        array = found[name].astype(float)
        array[random.uniform(size=array.shape) < share] = value
        return {**found, name: array}

    return gapped


def missing_real(p, x, t):
    known = np.isfinite(x)
    z = np.where(known, x, 0) @ p["W"] + known @ p["V"]
    loss = np.where(np.isnan(t), 0, (z - np.nan_to_num(t)) ** 2).sum(1)
    return {"z": z, "loss": loss, "known": known.mean(1), "share": known.sum(1)}


def missing_label(p, x, t):
    z = x @ p["z.dense.W"] + p["z.dense.b"]
    loss = np.where(t >= 0, cross_entropy(z, np.maximum(t, 0)), 0)
    return {"z": z, "loss": loss, "right": (np.argmax(z, -1) == t) * (t >= 0)}


def label_arrays(p, x, t):
    z = x @ p["z.dense_last.W"] + p["z.dense_last.b"]
    picked = np.take_along_axis(z, t[..., None], -1)[..., 0]
    loss = (logsumexp(z) - picked).sum(1)
    return {"z": z, "loss": loss, "right": (np.argmax(z, -1) == t).mean(1), "picked": picked}


def int_inputs(p, n, m):
    hot = n[..., None] == np.arange(5)
    e = hot @ p["E"]
    z = e.sum(1) + p["c"] * m[:, None]
    return {"z": z, "loss": total((z - 1) ** 2), "most": n.max(1)}


def several(p, a, b, s, t):
    h = np.tanh(a @ p["h.dense.W"] + p["h.dense.b"])
    z = h @ p["z.dense.W"] + p["z.dense.b"] + b
    w = np.concatenate([h, b], 1) @ p["w.dense.W"] + p["w.dense.b"]
    loss = 0.5 * ((z - s) ** 2).sum(1) + 0.3 * cross_entropy(w, t)
    return {
        "z": z,
        "q": softmax(w),
        "loss": loss,
        "off": np.abs(z - s).sum(1),
        "accuracy": np.argmax(w, 1) == t,
        "residual": z - s,
    }


def indexing(p, x):
    y = p["s"] * x
    first, last = y[:, 0], y[:, -1]
    block = y[:, 1:3, :, -2:]
    mixed = y[:, -1, 1:, 2]
    column = y[..., 3]
    loss = total(first**2) + total(np.sin(last)) + total(block) * total(mixed) + total(column)
    return {
        "first": first,
        "block": block,
        "mixed": mixed,
        "column": column,
        "tail": y[:, 2, -1],
        "loss": loss,
    }


def operators(p, x, y):
    a, b = p["a"], p["b"]
    u = -(x**2) + 2.0**-3 * y - a**3 / (1 + b**2)
    v = (a * a + 1) ** 1.5 * x - 2.0 ** (3.0**1)
    w = np.where((x < y) & ~(x > 1) | (y >= 2), u, v) + (x != y) + (x <= y) * 2.0
    q = np.minimum(x, a) + np.maximum(y, b)
    return {"u": u, "v": v, "w": w, "q": q, "loss": total(w * q) / 10}


def functions(p, x):
    z = p["s"] * x
    positive = np.abs(z) + 0.5
    parts = [
        np.exp(z / 4), np.log(positive), np.log1p(positive), np.expm1(z), np.sqrt(positive),
        1 / np.sqrt(positive), np.abs(z), np.sin(z), np.cos(z), np.tanh(z), sigmoid(z),
    ]  # fmt: skip
    flat = [np.sign(z), np.floor(z), np.ceil(z), np.round(z), np.isnan(z)]
    y = np.stack(parts, 1)
    return {"y": y, "flat": np.stack(flat, 1), "loss": total(y * np.arange(1, 12)[:, None]) / 10}


def products(p, a, b, v, w):
    A, V = p["A"], p["V"]
    found = {
        "mm": a @ b,
        "mv": (a @ v[:, :, None])[..., 0],
        "vm": (w[:, None] @ a)[:, 0],
        "dot": (v * np.cos(v)).sum(1),
        "mp": a @ A,
        "pm": A @ b,
        "pv": v @ A.T,
        "vp": v @ A,
        "vd": v @ V,
        "gram": a @ a.swapaxes(1, 2),
        "batch": np.einsum("ij,tkj->tik", b[0] * 0 + A[:3, :3], a),
    }
    return {**found, "loss": sum(total(np.sin(x)) for x in found.values())}


def stacks(p, a, b):
    c = a @ b
    d = c @ p["W"]
    e = p["W"].T @ c.swapaxes(-1, -2)
    return {"c": c, "d": d, "e": e, "loss": total(d**2) + total(np.tanh(e))}


def einsums(p, a, b, v):
    W = p["W"]
    found = {
        "e1": np.einsum("tij,jk->tik", a, W),
        "e2": np.einsum("tij,tij->t", a, b),
        "e3": np.einsum("tij,tj->tji", a, v),
        "e4": np.einsum("tij,tkj->tik", a, b),
        "e5": np.einsum("tij->tj", a),
        "e6": np.einsum("tj,tk->tkj", v, v),
        "e7": np.einsum("jk,jk->", W, W) * np.ones(len(a)),
        "e8": np.einsum("tij,tjk->ti", a, np.einsum("tij,ik->tjk", a, W[:3])),
    }
    return {**found, "loss": sum(total(np.cos(x)) for x in found.values())}


KINDS = ("sum", "mean", "max", "min", "prod", "logsumexp")
REDUCED = "\n".join(
    f"  output {kind}_{i} = {kind}(y{arguments})"
    for kind in KINDS
    for i, arguments in enumerate(
        ["", ", axis=0", ", axis=-1", ", axis=[0, -1]", ", axis=1, keepdims=true", ", axis=-3"]
    )
)


def reductions(p, x):
    y = p["s"] * x
    numpy = {
        "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod,
        "logsumexp": lambda y, axis, keepdims: np.log(np.exp(y).sum(axis, keepdims=keepdims)),
    }  # fmt: skip
    places = [((1, 2, 3), False), (1, False), (3, False), ((1, 3), False), (2, True), (1, False)]
    found = {
        f"{kind}_{i}": call(y, axis=axis, keepdims=keep)
        for kind, call in numpy.items()
        for i, (axis, keep) in enumerate(places)
    }
    loss = sum(total(np.sin(found[f"{k}_{i}"])) for k in numpy for i in (0, 1, 2, 3, 4))
    return {**found, "loss": loss}


def picked(p, x):
    return {
        "a": np.argmax(x, 2),
        "b": np.argmin(x, 1),
        "c": np.argmax(x.reshape(len(x), -1), 1),
        "d": np.argmin(x, -1)[..., None],
        "e": np.argmin(x.reshape(len(x), -1), 1),
        "loss": np.zeros(len(x)) + (p["s"] ** 2),
    }


def safe_where(p, x):
    z = x * p["w"]
    with np.errstate(all="ignore"):
        a = np.where(z > 0, np.log(np.where(z > 0, z, 1)), 0)
        b = np.where(z > 0, np.sqrt(np.where(z > 0, z, 1)), -z)
        c = np.where(z == z.max(1, keepdims=True), z**2, 0)
    return {"a": a, "b": b, "loss": total(a) + total(b) + total(c)}


def movement(p, x):
    y = p["s"] * x
    swapped = y.transpose(0, 2, 3, 1)
    padded = np.pad(y, [(0, 0), (1, 0), (0, 2), (0, 0)])
    joined = np.concatenate([y, -y], 2)
    stacked = np.stack([y, 2 * y], -1)
    turned = y[:, :, ::-1]
    cut = y[:, :, 1:3]
    flat = y.reshape(len(x), 6, 4)
    wide = y[:, :1] + np.zeros((1, 5, 3, 4))
    parts = [swapped, padded, joined, stacked, turned, cut, flat, wide]
    names = ["swapped", "padded", "joined", "stacked", "turned", "cut", "flat", "wide"]
    loss = sum(total(np.sin(part + i)) for i, part in enumerate(parts))
    return {**dict(zip(names, parts, strict=True)), "loss": loss}


def tables(p, x):
    table = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, 4.0]])
    rows = np.stack([x, 2 * x * p["s"], x + p["v"]], 1)
    z = x @ table.T
    return {"rows": rows, "z": z, "loss": total(rows**2) + total(z * p["s"])}


def batch_statistics(p, x):
    h = x @ p["W"]
    centred = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)
    reach = x.max(0) * p["s"] + x.sum(0) / len(x)
    return {
        "loss": total(centred**3),
        "penalty": float((reach**2).sum() * 0.1 + 0.01 * len(x)),
    }


def only_penalties(p, x):
    return {"penalty": float(np.abs(p["a"]).sum() + np.log(1 + (p["b"] ** 2).sum()))}


def huge_logits(p, x, t, y):
    z = x * p["s"]
    a = cross_entropy(z, t)
    q = z[:, 0]
    b = np.maximum(q, 0) - q * y[:, 0] + np.log1p(np.exp(-np.abs(q)))
    return {"p": softmax(z), "q": sigmoid(z), "loss": a + b}


def huge(random: Random, samples: int) -> Arrays:
    x = random.choice([-1e5, -1e3, -50, 0.0, 3, 50, 1e3, 1e5], (samples, 4))
    return {
        "x": x + random.normal(0, 1, x.shape),
        "t": random.integers(0, 4, samples),
        "y": random.integers(0, 2, (samples, 1)),
    }


def from_constants(p, x):
    z = x @ p["z.dense.W"]
    return {"z": z, "loss": 0.25 * total(z**4), "count": np.full(len(x), 20.0)}


def shapes(p, x, y):
    d = np.sqrt(((x - y[:, None]) ** 2).sum(-1) + 0.1)
    z = np.swapaxes(x, 1, 2) * p["s"]
    return {"d": d, "z": z, "loss": total(d) + total(np.sin(z)) * 3}


def scalars(p, x, t):
    z = x * p["k"] + p["k"] ** 2
    return {"z": z, "loss": (z - t) ** 2, "off": np.abs(z - t)}


CASES = (
    Case("missing_real", """
      input x: [4] missing
      target t: [3] missing
      param W: [4, 3] = normal(0, 1)
      param V: [4, 3] = normal(0, 1)
      z = where(present(x), x, 0) @ W + present(x) @ V
      output z
      loss sum(where(present(t), (z - t)^2, 0))
      metric known = mean(present(x))
      output share = sum(present(x))
    """, with_gaps(with_gaps(normal(x=(4,), t=(3,)), "x", np.nan), "t", np.nan), missing_real,
    BATCHES),
    Case("missing_label", """
      input x: [5]
      target t: class[3] missing
      z = x |> dense(3)
      output z
      loss where(present(t), cross_entropy(z, max(t, 0)), 0)
      metric right = (argmax(z) == t) * present(t)
    """, with_gaps(labelled(normal(x=(5,)), t=(3, ())), "t", -1), missing_label),
    Case("label_arrays", """
      input x: [4, 6]
      target t: class[5][4]
      z = x |> dense_last(5)
      output z
      output picked = z[t]
      loss cross_entropy(z, t)
      metric right = mean(argmax(z, axis=-1) == t)
    """, labelled(normal(x=(4, 6)), t=(5, (4,))), label_arrays, BATCHES),
    Case("int_inputs", """
      input n: int[3]
      input m: int[]
      param E: [5, 2] = normal(0, 1)
      param c: [2] = 0.5
      z = sum(one_hot(n, 5) @ E, axis=0) + c * m
      output z
      output most = max(n)
      loss squared_error(z, 1)
    """, labelled(normal(), n=(5, (3,)), m=(9, ())), int_inputs),
    Case("several_ports", """
      input a: [3]
      input b: [2]
      target s: [2]
      target t: class[4]
      h = a |> dense(5, act=tanh)
      z = dense(h, 2) + b
      w = concat(h, b, axis=0) |> dense(4)
      output z
      output q = softmax(w)
      output residual = z - s
      loss half_squared_error(z, s)
      loss 0.3 * cross_entropy(w, t)
      metric off = absolute_error(z, s)
      metric accuracy = argmax(w) == t
    """, labelled(normal(a=(3,), b=(2,), s=(2,)), t=(4, ())), several, (*BATCHES, 1000)),
    Case("indexing", """
      input x: [4, 3, 5]
      param s = 0.7
      y = s * x
      output first = y[0]
      last = y[-1]
      output block = y[1:3, .., -2:]
      output mixed = y[-1, 1:, 2]
      output column = y[.., 3]
      output tail = y[2][-1]
      loss sum(first^2) + sum(sin(last)) + sum(block) * sum(mixed) + sum(column)
    """, normal(x=(4, 3, 5)), indexing),
    Case("operators", """
      input x: [3]
      input y: [2, 3]
      param a: [3] = 0.3
      param b: [2, 1] = -0.2
      u = -x^2 + 2^-3 * y - a^3 / (1 + b^2)
      v = (a * a + 1)^1.5 * x - 2^3^1
      w = where(x < y and not (x > 1) or y >= 2, u, v) + (x != y) + (x <= y) * 2
      q = min(x, a) + max(y, b)
      output u; output v; output w; output q
      loss sum(w * q) / 10
    """, normal(x=(3,), y=(2, 3)), lambda p, x, y: {
        k: (v if k != "v" else v[:, 0]) for k, v in operators(p, x[:, None], y).items()
    }),
    Case("functions", """
      input x: [6]
      param s: [6] = 1.2
      z = s * x
      a = abs(z) + 0.5
      y = [exp(z / 4), log(a), log1p(a), expm1(z), sqrt(a), rsqrt(a), abs(z), sin(z), cos(z),
           tanh(z), sigmoid(z)]
      output y
      output flat = [sign(z), floor(z), ceil(z), round(z), isnan(z)]
      loss sum(y * reshape(iota(11) + 1, [11, 1])) / 10
    """, normal(x=(6,)), functions, (1, 16, 33)),
    Case("products", """
      input a: [3, 3]; input b: [3, 3]; input v: [3]; input w: [3]
      param A: [3, 3] = normal(0, 1)
      param V: [3] = 0.4
      output mm = a @ b
      output mv = a @ v
      output vm = w @ a
      output dot = v @ cos(v)
      output mp = a @ A
      output pm = A @ b
      output pv = A @ v
      output vp = v @ A
      output vd = V @ v
      output gram = a @ a'
      output batch = A[:3] @ a'
      loss sum(sin(mm)) + sum(sin(mv)) + sum(sin(vm)) + sin(dot) + sum(sin(mp)) + sum(sin(pm))
        + sum(sin(pv)) + sum(sin(vp)) + sin(vd) + sum(sin(gram)) + sum(sin(batch))
    """, normal(a=(3, 3), b=(3, 3), v=(3,), w=(3,)), products, BATCHES),
    Case("stacks_of_matrices", """
      input a: [2, 3, 4]
      input b: [4, 5]
      param W: [5, 7] = normal(0, 0.3)
      output c = a @ b
      output d = c @ W
      output e = W' @ c'
      loss sum(d^2) + sum(tanh(e))
    """, normal(a=(2, 3, 4), b=(4, 5)), lambda p, a, b: stacks(p, a, b[:, None]), BATCHES),
    Case("einsum", """
      input a: [3, 4]; input b: [3, 4]; input v: [4]
      param W: [4, 2] = normal(0, 1)
      output e1 = einsum("ij,jk->ik", a, W)
      output e2 = einsum("ij,ij->", a, b)
      output e3 = einsum("ij,j->ji", a, v)
      output e4 = einsum("ij,kj->ik", a, b)
      output e5 = einsum("ij->j", a)
      output e6 = einsum("j,k->kj", v, v)
      output e7 = einsum("jk,jk->", W, W)
      output e8 = einsum("ij,jk->i", a, einsum("ij,ik->jk", a, W[:3]))
      loss sum(cos(e1)) + cos(e2) + sum(cos(e3)) + sum(cos(e4)) + sum(cos(e5)) + sum(cos(e6))
        + cos(e7) + sum(cos(e8))
    """, normal(a=(3, 4), b=(3, 4), v=(4,)), einsums, BATCHES),
    Case("reductions", f"""
      input x: [3, 2, 4]
      param s: [4] = 0.6
      y = s * x
      {REDUCED}
      loss {' + '.join(f"sum(sin({kind}_{i}))" for kind in KINDS for i in range(5))}
    """, normal(x=(3, 2, 4)), reductions, (2, 17)),
    Case("picked", """
      input x: [3, 4]
      param s = 0.5
      output a = argmax(x, axis=1)
      output b = argmin(x, axis=0)
      output c = argmax(x)
      output d = argmin(x, axis=-1, keepdims=true)
      output e = argmin(x, axis=[0, 1])
      loss s^2
    """, lambda random, n: {"x": random.integers(0, 3, (n, 3, 4)).astype(float)}, picked, BATCHES),
    Case("safe_where", """
      input x: [5]
      param w = 1
      z = x * w
      output a = where(z > 0, log(z), 0)
      output b = where(z > 0, sqrt(z), -z)
      c = where(z == max(z), z^2, 0)
      loss sum(a) + sum(b) + sum(c)
    """, normal(x=(5,)), safe_where, BATCHES),
    Case("movement", """
      input x: [2, 3, 4]
      param s = 0.5
      y = s * x
      output swapped = transpose(y, [1, 2, 0])
      output padded = pad(y, [1, 0, 0], [0, 2, 0])
      output joined = concat(y, -y, axis=1)
      output stacked = stack(y, 2 * y, axis=-1)
      output turned = reverse(y, 1)
      output cut = slice(y, 1, 3, axis=1)
      output flat = reshape(y, [6, 4])
      output wide = broadcast(y[:1], [5, 3, 4])
      loss sum(sin(swapped)) + sum(sin(padded + 1)) + sum(sin(joined + 2)) + sum(sin(stacked + 3))
        + sum(sin(turned + 4)) + sum(sin(cut + 5)) + sum(sin(flat + 6)) + sum(sin(wide + 7))
    """, normal(x=(2, 3, 4)), movement),
    Case("tables", """
      input x: [3]
      param s = 0.5
      param v: [3] = 1
      output rows = [x, 2 * x * s, x + v]
      output z = [[1, -2, 0.5], [3, 1 / 4, 4]] @ x
      loss sum(rows^2) + sum(z * s)
    """, normal(x=(3,)), tables),
    Case("batch_statistics", """
      input x: [3]
      param W: [3, 4] = normal(0, 1)
      param s: [3] = 0.5
      h = x @ W
      m = batch_mean(h)
      c = h - m
      loss sum((c * rsqrt(batch_mean(c^2) + 1e-5))^3)
      penalty 0.1 * sum((batch_max(x) * s + batch_sum(x) / batch_size)^2) + 0.01 * batch_size
    """, normal(x=(3,)), batch_statistics, (2, 15, 16, 33)),
    Case("only_penalties", """
      input x: [1]
      param a: [3] = [1, -2, 0.5]
      param b: [2, 2] = [[1, 2], [3, 4]]
      penalty l1(a)
      penalty cauchy(b)
    """, normal(x=(1,)), only_penalties),
    Case("huge_logits", """
      input x: [4]
      target t: class[4]
      target y: [1]
      param s = 1
      z = s * x
      output p = softmax(z)
      output q = sigmoid(z)
      loss cross_entropy(z, t)
      loss binary_cross_entropy_with_logits(z[0], y[0])
    """, huge, huge_logits, BATCHES, differentiable=False),
    Case("constants", """
      const width = 4
      const deep = true
      const wide = 2 * width + (if deep then 2 else 0)
      const kind = "fourth"
      net Constants {
        input x: [2]
        const share = 1 / 4
        z = x |> dense(wide, bias=false)
        output z
        output count = sum(x * 0) + count(weights)
        loss share * sum(z^(if kind == "fourth" then 4 else 2))
        assert count(params) == 20 and shape(z) == [10]
      }
    """, normal(x=(2,)), from_constants),
    Case("defines", """
      const width = 4
      const kind = "second"
      net Constants {
        input x: [2]
        z = x |> dense(width, bias=false)
        output z
        output count = sum(x * 0) + size(z) * 2
        loss sum(z^(if kind == "fourth" then 4 else 2)) / 4
      }
    """, normal(x=(2,)), from_constants, defines={"width": 10, "kind": "fourth"}),
    Case("shape_patterns", """
      fn distance(a: [m, n], b: [n]) = sqrt(sum((a - b)^2, axis=-1) + 0.1)
      fn turned(z: [.., r, c], s: []) = s * z' + 0 * r * c
      fn triple(z: [a, ..]) = sum(z) * a
      net Shapes {
        input x: [3, 4]
        input y: [4]
        param s = 0.5
        output d = distance(x, y)
        output z = turned(x, s)
        loss sum(d) + triple(sin(z)) * 3 / 4
      }
    """, normal(x=(3, 4), y=(4,)), shapes),
    Case("scalars", """
      input x: []
      target t: []
      param k = 0.5
      z = x * k + k^2
      output z
      loss (z - t)^2
      metric off = abs(z - t)
    """, normal(x=(), t=()), scalars, (*BATCHES, 1000)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_net_is_numpys(case: Case) -> None:
    check(case)
