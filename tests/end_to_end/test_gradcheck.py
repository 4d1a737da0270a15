"""`gradcheck`: right gradients pass, a wrong clause or rule is found and named with its line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import netc
from netc.__main__ import main
from netc.checking.differences import slope
from netc.checking.gradcheck import gradcheck
from netc.checking.locate import Inside
from netc.compiler.ops.elementwise import Tanh, mul
from netc.runtime.errors import DataError

RIGHT = """
fn swish(z) {
  s = sigmoid(z)
  return z * s
} gradient(g) = g * (s + z * s * (1 - s))
net Right {
  input x: [4]
  target t: class[3]
  h = x |> dense(6) |> relu |> dropout(0.3) |> batch_norm
  k = h * stop_gradient(tanh(h)) |> dense(12) |> swish
  logits = k |> dense(3)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
  penalty 0.01 * l2(weights)
}
"""
WRONG = """fn swish(z) {
  s = sigmoid(z)
  return z * s
} gradient(g) = g * s
net Wrong {
  input x: [4]
  target t: class[3]
  h = x |> dense(3) |> tanh
  k = h |> dense(5) |> swish
  logits = k |> dense(3)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
}
"""


@pytest.fixture(scope="module")
def data():
    draws = np.random.default_rng(0)
    return draws.normal(size=(6, 4)), draws.integers(0, 3, 6)


def test_right_gradients_pass_in_both_precisions(data) -> None:
    model = netc.compile(source=RIGHT, seed=2)
    before, state = model.params.flat, model.state.flat
    found = gradcheck(model, *data)
    assert [one.name for one in found] == list(model.params)
    assert all(one.passed for one in found)
    assert all(one.error < 1e-6 and 0 < one.single < 1e-4 for one in found if one.gradient)
    tried = {one.name: one.tried for one in found}
    assert tried["h.dense.b"] == 6, "all elements of a small one"
    assert 6 < tried["k.dense.W"] < 72, "directions and some elements of a large one"
    assert (model.params.flat == before).all()
    assert (model.state.flat == state).all()
    inside = Inside(model, *data)
    assert all(one.passed for one in inside.values())
    assert [rule.wrong for rule in inside.clauses()] == [None]
    assert inside.operations() == []


def test_a_wrong_clause_is_named_with_its_line(tmp_path, capsys) -> None:
    file = tmp_path / "wrong.net"
    file.write_text(WRONG)
    assert main(["gradcheck", str(file), "--json"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    wrong = {one["name"] for one in found["parameters"] if not one["passed"]}
    assert wrong == {"h.dense.W", "h.dense.b", "k.dense.W", "k.dense.b"}
    assert {v["name"]: v["passed"] for v in found["values"]} == {
        "h.dense": False,
        "h": False,
        "k.dense": False,
        "k": True,
        "logits": True,
    }
    assert found["rules"] == [{"name": "swish", "line": 4, "passed": False}]
    text = "\n".join(lines)
    assert f"{file}:4: the gradient clause of `swish` is wrong for argument 1, element [" in text
    assert "4 | } gradient(g) = g * s" in text
    assert f"{file}:9: that of `k` is still right" in text
    assert f"{file}:9: that of `k.dense` is wrong" in text


def test_a_wrong_rule_of_the_compiler_is_named(data, monkeypatch) -> None:
    pull = staticmethod(lambda times, g, y, x: times(g, mul(y, y)))
    monkeypatch.setattr(Tanh, "pull", pull)
    model = netc.compile(source=WRONG.replace("g * s\n", "g * (s + z * s * (1 - s))\n"), seed=1)
    assert {one.name: one.passed for one in gradcheck(model, *data)}["h.dense.b"] is False
    (rule,) = Inside(model, *data).operations()
    assert (rule.name, rule.span.line) == ("tanh", 8)
    wrong = rule.wrong
    assert wrong is not None
    slope_ = 1 - np.tanh(wrong.value) ** 2
    assert wrong.rule / wrong.difference == pytest.approx((1 - slope_) / slope_, rel=1e-6)


def test_a_kink_has_many_derivatives() -> None:
    text = "net N { input x: [2]\n y = x |> dense(1, init=zeros)\n output y\n loss sum(abs(y)) }"
    model = netc.compile(source=text, precision="f64")
    found = gradcheck(model, np.ones((3, 2)))
    assert all(one.passed and one.kinks == one.tried and one.single is None for one in found)
    at_zero = slope(lambda x: 3 * abs(x))
    assert (at_zero.low, at_zero.high) == pytest.approx((-3, 3))
    assert at_zero.distance(2.9) == 0
    assert at_zero.distance(-4) == pytest.approx(1)


def test_steps_shorten_until_they_agree() -> None:
    found = slope(lambda x: np.sin(1 + 40 * x))
    assert not found.kink
    assert found.distance(40 * np.cos(1)) < 1e-6


def test_kinks_on_the_way_do_not_mislead() -> None:
    """Long steps across kinks may agree with each other by chance: 2e-6 away, one is still seen."""
    found = slope(lambda x: 3 * x + max(x - 2e-6, 0))
    assert found.value == pytest.approx(3, rel=1e-6)


def test_an_objective_that_is_not_finite_is_an_error(data) -> None:
    model = netc.compile(source=RIGHT, seed=2)
    model.params["h.dense.b"] = np.full(6, np.nan)
    with pytest.raises(DataError, match="the objective is nan"):
        gradcheck(model, *data)


def test_a_net_without_loss_has_nothing_to_check(tmp_path, capsys) -> None:
    file = tmp_path / "plain.net"
    file.write_text("net N { input x: [2]\n output y = x |> dense(1) }")
    assert main(["gradcheck", str(file)]) == 2
    assert "loss" in capsys.readouterr().err
