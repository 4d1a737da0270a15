"""`compare`: native code agrees with the interpreter, and an injected pass or kernel is found."""

from __future__ import annotations

import json

import numpy as np
import pytest

import netc
from netc.__main__ import main
from netc.checking.compare import compare, differences, tolerance
from netc.compiler.backend.math import MATH
from netc.compiler.ir.graph import make
from netc.compiler.ops.elementwise import Sigmoid, Tanh, mul
from netc.compiler.passes import pipeline
from netc.compiler.passes.pipeline import PASSES, Pass
from netc.compiler.passes.rewrite import rewrite

TEXT = """net Deep {
  input x: [4]
  target t: class[3]
  h = x |> dense(6) |> sigmoid |> dropout(0.3) |> batch_norm
  k = h |> dense(5) |> tanh
  logits = k |> dense(3)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
  penalty 0.01 * l2(weights)
  metric accuracy = argmax(p) == t
}
train { optimizer = adam(lr=0.01) }
"""


@pytest.fixture(scope="module")
def data():
    draws = np.random.default_rng(0)
    return draws.normal(size=(20, 4)), draws.integers(0, 3, 20)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "deep.net"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_every_value_of_every_function_agrees(data, precision) -> None:
    model = netc.compile(source=TEXT, precision=precision, seed=3)
    before = model.params.flat, model.state.flat, model.optimizer_state.flat
    found = [one for one, _ in compare(model, *data)]
    assert [one for one in found if not one.passed] == []
    eps = np.finfo(model.dtype).eps
    for one in found:
        assert one.tolerance <= 2e4 * eps * max(1, abs(one.reference)), one.name
    names = [(one.function, one.kind, one.name) for one in found]
    values = [name for function, kind, name in names if (function, kind) == ("forward", "value")]
    slopes = [name for function, kind, name in names if (function, kind) == ("forward", "gradient")]
    assert values[0] == "h.dense"
    assert values[-1] == "p"
    assert slopes == [name for name in values[::-1] if name != "p"]
    assert {
        name for function, kind, name in names if (function, kind) == ("step", "parameter")
    } == {*model.params}
    assert ("step", "state", "h.batch_norm.mean") in names
    assert ("infer", "output", "p") in names
    assert ("evaluate", "result", "accuracy") in names
    lines = {one.name: one.span.line for one in found if one.span is not None}
    assert (lines["h.dense"], lines["k"], lines["accuracy"]) == (4, 5, 10)
    moved = [one for one in found if (one.function, one.kind) == ("step", "parameter")]
    old = dict(model.params)
    assert any(one.reference != old[one.name][one.at] for one in moved), "the step does something"
    for was, now in zip(before, (model.params, model.state, model.optimizer_state), strict=True):
        assert (was == now.flat).all()


def test_a_wrong_pass_is_named(file, monkeypatch, capsys) -> None:
    def halved(node):
        return mul(make(Sigmoid(), *node.args), 0.5) if isinstance(node.op, Tanh) else None

    wrong = Pass("halved", lambda graph: rewrite(graph, (halved,)), "tanh → sigmoid / 2")
    run = pipeline.run
    passes = (*PASSES[:4], wrong, *PASSES[4:])
    monkeypatch.setattr(
        pipeline, "run", lambda graph, observers=(), passes=passes: run(graph, observers, passes)
    )
    assert main(["compare", str(file), "--json"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found["pass"] == "halved"
    first = found["first"]
    assert (first["name"], first["kind"], first["line"]) == ("k", "value", 5)
    text = "\n".join(lines)
    assert f"{file}:5: `k` of forward is the first to differ, element [" in text
    assert "the pass `halved` changes it: " in text


def test_a_wrong_kernel_is_no_pass(file, monkeypatch, capsys) -> None:
    monkeypatch.setitem(MATH, "sigmoid", MATH["tanh"])
    assert main(["compare", str(file), "--json"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    first = found["first"]
    assert (first["name"], first["line"], found["pass"]) == ("h.sigmoid", 4, None)
    assert np.tanh(np.arctanh(first["native"])) == pytest.approx(
        np.tanh(np.log(first["interpreter"] / (1 - first["interpreter"]))), rel=1e-4
    )
    assert "every pass keeps it: a kernel or its machine code is wrong" in "\n".join(lines)


def test_numbers_that_are_none_agree_with_their_like() -> None:
    inf, nan = np.inf, np.nan
    native = np.array([nan, inf, nan, 1.0, 5.0, inf])
    exact = np.array([nan, inf, 1.0, 1.5, 1e300, -inf])
    coarse = np.array([1.0, inf, 1.0, 1.5, inf, 2.0])
    assert differences(native, exact, coarse).tolist() == [0, 0, inf, 0.5, 0, inf]


def test_the_tolerance_comes_from_the_precision() -> None:
    exact = np.array([1.0, 2.0])
    coarse = np.array([1.0, 2.0 + 1e-6])
    single, double = (tolerance(exact, coarse, kind) for kind in (False, True))
    assert single == pytest.approx(32e-6 + 128 * np.finfo(np.float32).eps)
    assert double == pytest.approx(single * 2.0**-29)


def test_a_net_without_training_is_compared_too(capsys, tmp_path) -> None:
    path = tmp_path / "plain.net"
    path.write_text("net N { input x: [2]\n y = x |> dense(3)\n output y }")
    assert main(["compare", str(path), "--precision", "f64"]) == 0
    out = capsys.readouterr().out
    assert "net N in f64 on 8 random samples" in out
    assert "all 2 values agree" in out
