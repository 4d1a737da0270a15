"""`derive`: what a student would write, and its numbers are the compiled gradients'."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from netc.__main__ import main
from netc.derivation.algebra import (
    Call,
    Group,
    Product,
    Symbol,
    add,
    atom,
    expanded,
    inverse,
    number,
    scale,
    symbol,
    times,
)
from netc.derivation.notation import LATEX, TEXT
from netc.derivation.steps import LOSS, derivation, simplest
from netc.runtime.errors import UsageError

LOGISTIC = """net Logistic {
  input x: [3]
  target y: [1]
  z = x |> dense(1)
  a = sigmoid(z)
  output a
  loss -sum(y * log(a) + (1 - y) * log(1 - a))
}
"""
SOFTMAX = """net Softmax {
  input x: [3]
  target t: class[4]
  z = x |> dense(4)
  p = softmax(z)
  output p
  loss cross_entropy(z, t)
  penalty 0.1 * l2(weights)
}
"""
MLP = """net Mlp {
  input x: [3]
  target t: class[4]
  h = x |> dense(5) |> tanh
  k = h |> dense(5) |> relu
  z = k |> dense(4)
  output p = softmax(z)
  loss -log(p[t]) + 0.01 * sum(h^2 / (1 + exp(k)))
}
"""
CLASSES = 4

FUNCTIONS = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "Σ": np.sum,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(),
    "logsumexp": lambda z: np.log(np.exp(z).sum()),
    "max": np.maximum,
    "onehot": lambda t: np.eye(CLASSES)[int(t)],
    "index": lambda z, t: z[int(t)],
    "indicator >": np.greater,
}


def value(formula, known):
    """The number of a formula for one sample."""
    total = 0.0
    for term in formula.terms:
        product = term.number
        for factor, power in term.factors:
            product = product * factor_value(factor, known) ** float(power)
        total = total + product
    return total


def factor_value(one, known):
    match one:
        case Symbol(name, derivative):
            return known[name, derivative]
        case Group(inner):
            return value(inner, known)
        case Call(name, args, _):
            return FUNCTIONS[name](*(value(arg, known) for arg in args))
        case Product(left, right, lt, rt):
            a, b = value(left, known), value(right, known)
            if rt and a.ndim == b.ndim == 1:
                return np.outer(a, b)
            return (a.T if lt else a) @ (b.T if rt else b)


def by_formulas(model, variable, data):
    """The gradient by the steps of a derivation; each step's two forms agree."""
    found = derivation(model._program.model, variable)
    short = {name.rsplit(".", 1)[-1]: np.array(v) for name, v in model.params.items()}
    parameters = {name: np.array(v) for name, v in model.params.items()} | short
    slopes = []
    for row in zip(*data.values(), strict=True):
        given = {**parameters, **dict(zip(data, row, strict=True))}
        known = {(name, False): array for name, array in given.items()}
        for one in found.definitions:
            known[one.name, False] = value(one.formula, known)
        for step in found.steps:
            slope = value(step.chain, known)
            np.testing.assert_allclose(value(step.simplified, known), slope, rtol=1e-9, atol=1e-12)
            known[step.name, True] = slope
        slopes.append(slope)
    return np.mean(slopes, axis=0) + value(found.penalty, known)


@pytest.mark.parametrize("text", [LOGISTIC, SOFTMAX, MLP], ids=["logistic", "softmax", "mlp"])
def test_the_formulas_are_the_compiled_gradients(text) -> None:
    model = netc.compile(source=text, precision="f64", seed=1)
    draws = np.random.default_rng(0)
    for array in model.params.values():
        array[...] = draws.normal(size=array.shape)
    x = draws.normal(size=(6, 3))
    target = model.manifest.targets[0]
    t = draws.integers(0, CLASSES, 6) if target.kind == "class" else draws.uniform(size=(6, 1))
    model.forward(x, training=True)
    model.backward(t)
    for name, gradient in model.grads.items():
        found = by_formulas(model, name, {"x": x, target.name: t})
        np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def shown(text, variable):
    model = netc.compile(source=text)._program.model
    found = derivation(model, variable)
    return {step.name: TEXT.sum(step.simplified) for step in found.steps}


def test_logistic_regression_is_error_times_input() -> None:
    assert shown(LOGISTIC, "z.dense.W") == {
        "a": "(1 − y) / (1 − a) − y / a",
        "z": "a − y",
        "z.dense.W": "x (a − y)ᵀ",
    }


@pytest.mark.parametrize("loss", ["cross_entropy(z, t)", "-log(p[t])", "nll(p, t)"])
def test_softmax_regression_is_the_same_by_any_way(loss) -> None:
    found = shown(SOFTMAX.replace("cross_entropy(z, t)", loss), "z.dense.W")
    assert found["z"] == "p − onehot(t)"
    assert found["z.dense.W"] == "x (p − onehot(t))ᵀ"


def test_two_layers() -> None:
    text = """net Mlp { input x: [3]
      target t: [2]
      h = x |> dense(5) |> tanh
      y = h |> dense(2)
      output y
      loss 0.5 * sum((y - t)^2) }"""
    found = shown(text, "h.dense.W")
    assert found["y"] == "y − t"
    assert found["h"] == "y.dense.W (y − t)"
    assert found["h.dense"] == "y.dense.W (y − t) ⊙ (1 − h²)"
    assert found["h.dense.W"] == "x (y.dense.W (y − t) ⊙ (1 − h²))ᵀ"


def test_the_command_prints_text_and_latex(tmp_path, capsys) -> None:
    file = tmp_path / "softmax.net"
    file.write_text(SOFTMAX)
    assert main(["derive", str(file), "--wrt", "z.dense.W"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  ∂L/∂W = mean[x (p − onehot(t))ᵀ] + 0.2 W" in lines
    assert "  (∂L/∂W)ᵀ = mean[(p − onehot(t)) xᵀ] + (0.2 W)ᵀ" in lines
    assert main(["derive", str(file), "--wrt", "z.dense.W", "--of", "loss", "--latex"]) == 0
    latex = capsys.readouterr().out
    assert latex.startswith("\\begin{align*}\n")
    assert latex.count("{") == latex.count("}")
    assert latex.count("&=") == latex.count("\\\\\n") + 1
    assert r"\frac{\partial \ell}{\partial z} &= p - \operatorname{onehot}\left(t\right)" in latex
    assert "0.2" not in latex
    assert main(["derive", str(file), "--wrt", "x"]) == 0
    assert capsys.readouterr().out.endswith("∂ℓ/∂x = W (p − onehot(t))\n")


def test_what_cannot_be_derived_is_an_error() -> None:
    model = netc.compile(source=SOFTMAX)._program.model
    with pytest.raises(UsageError, match=r"no `z\.dense\.w`") as caught:
        derivation(model, "z.dense.w")
    assert caught.value.help == "did you mean `z.dense.W`?"
    with pytest.raises(UsageError, match="does not depend on `p`"):
        derivation(model, "p")
    batch = netc.compile(source=SOFTMAX.replace("dense(4)", "dense(4) |> batch_norm"))
    with pytest.raises(UsageError, match="samples depend on each other"):
        derivation(batch._program.model, "z.dense.W")
    assert derivation(batch._program.model, "z").steps[-1].name == "z"
    plain = netc.compile(source="net N { input x: [2]\n output y = x |> dense(1) }")
    with pytest.raises(UsageError, match="no loss"):
        derivation(plain._program.model, "y.dense.W")


def test_different_slices_and_draws_are_different_atoms() -> None:
    text = """layer drawn(z) = z * (uniform(0, 1, shape=[2]) - uniform(0, 1, shape=[2]))
    net N { input x: [4]
      h = 3 * x
      output h
      loss sum(exp(h[0:2]) - exp(h[2:4])) + sum(drawn(h[0:2])) }"""
    model = netc.compile(source=text)._program.model
    found = {d.name: TEXT.sum(d.formula) for d in derivation(model, "h").definitions}
    assert "exp(slice[0:2](h)) − exp(slice[2:4](h))" in found[LOSS]
    assert found["loss.drawn"].count("random()") == 2


def test_algebra() -> None:
    a, b = symbol("a"), symbol("b")
    assert add(a, scale(-1, a)).number == 0
    product = times(add(a, b), add(a, scale(-1, b)))
    assert TEXT.sum(product) == "(a + b) ⊙ (a − b)"
    assert TEXT.sum(expanded(product)) == "a² − b²"
    one_minus = add(number(1), scale(-1, a))
    slope = times(add(times(b, inverse(a)), inverse(one_minus)), times(a, one_minus))
    assert TEXT.sum(simplest(slope)) in ("b ⊙ (1 − a) + a", "b + a − a ⊙ b")
    assert TEXT.sum(atom(Product(a, add(a, b), False, True))) == "a (a + b)ᵀ"
    assert LATEX.sum(times(number(2), inverse(a))) == r"\frac{2}{a}"
    assert LATEX.name("h.dense.W") == r"W_{\mathrm{h.dense}}"
