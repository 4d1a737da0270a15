"""The graphs of a program's functions, from a model made by hand: y = x w, loss (y - t)^2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netc.compiler.elaborate.model import Model, Named, Port, Stored, Update, Values
from netc.compiler.functions import function_graph, functions
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ir.verify import verify
from netc.compiler.ops.contract import contract
from netc.compiler.ops.elementwise import add, mul, sub
from netc.compiler.ops.reduce import broadcast, reduce_sum
from netc.compiler.ops.source import constant, source
from netc.compiler.program import Settings
from netc.grammar.source import Source, Span

TEXT = Source("hand.net", "")
SPAN = Span(TEXT, 0, 0)


def scalar(name: str):
    return source("scalar", name, (), False, "f64")


def hand_model(**settings: float) -> Model:
    x = source("input", "x", (3,), True, "f64")
    t = source("input", "t", (), True, "f64")
    w = source("parameter", "w", (3,), False, "f64")
    frozen = source("parameter", "b", (), False, "f64")
    s = source("state", "count", (), False, "f64")
    y = add(contract("k,k->", x, w), frozen)
    error = sub(y, t)
    values = Values(
        outputs=(Named("y", y, SPAN), Named("error", error, SPAN)),
        loss=mul(error, error),
        penalty=mul(reduce_sum(mul(w, w), (0,)), 0.1),
        metrics=(Named("bias", error, SPAN),),
        next_states=(Named("count", add(s, 1), SPAN),),
    )
    g = source("gradient", "w", (3,), False, "f64")
    v = source("optimizer", "w.v", (3,), False, "f64")
    next_v = sub(mul(v, 0.9), mul(g, broadcast(scalar("lr"), (3,), ())))
    moved = add(add(w, next_v), mul(broadcast(scalar("objective"), (3,), ()), 0.01))
    zeros = constant(0, (3,), "f64")
    return Model(
        name="hand",
        source=TEXT,
        precision="f64",
        inputs=(Port("x", (3,), "real", None, False, SPAN),),
        targets=(Port("t", (), "real", None, False, SPAN),),
        parameters=(
            Stored("w", (3,), zeros, SPAN),
            Stored("b", (), constant(0, (), "f64"), SPAN, frozen=True),
        ),
        states=(Stored("count", (), constant(0, (), "f64"), SPAN),),
        training=values,
        inference=replace(values, next_states=()),
        updates=(
            Update("w", "momentum", moved, (Stored("w.v", (3,), zeros, SPAN),),
                   (Named("w.v", next_v, SPAN),)),
        ),
        scalars=(),
        settings=Settings(**settings),
        layers=(),
    )  # fmt: skip


def call(model: Model, name: str, **more) -> dict:
    rng = np.random.default_rng(0)
    values = {
        ("input", "x"): rng.normal(size=(5, 3)),
        ("input", "t"): rng.normal(size=5),
        ("parameter", "w"): rng.normal(size=3),
        ("parameter", "b"): np.array(0.5),
        ("optimizer", "w.v"): rng.normal(size=3),
        ("state", "count"): np.array(7.0),
        ("scalar", "lr"): np.array(0.1),
        ("scalar", "clip_norm"): np.array(0.01),
        ("scalar", "clip_value"): np.array(0.02),
    } | {tuple(k.split("__")): v for k, v in more.items()}
    graph = function_graph(model, name)
    verify(graph)
    return interpret(graph, Environment(values, 5))


def test_every_function_gives_what_it_is_for():
    found = {
        name: set(call(hand_model(), name))
        for name in ("infer", "evaluate", "forward", "backward", "step")
    }
    results = {("result", "objective"), ("result", "loss"), ("result", "bias")}
    assert found["infer"] == {("output", "y")}
    assert found["evaluate"] == {("output", "error")} | results
    assert found["forward"] == {("output", "y"), ("state", "count")}
    assert found["backward"] == {("gradient", "w")} | results
    assert found["step"] == {("parameter", "w"), ("optimizer", "w.v"), ("state", "count")} | results


def test_the_gradient_is_that_of_the_objective():
    found = call(hand_model(), "backward")
    rng = np.random.default_rng(0)
    x, t, w = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
    error = x @ w + 0.5 - t
    np.testing.assert_allclose(found["result", "loss"], np.mean(error**2))
    np.testing.assert_allclose(found["result", "objective"], np.mean(error**2) + 0.1 * w @ w)
    np.testing.assert_allclose(found["result", "bias"], np.mean(error))
    np.testing.assert_allclose(found["gradient", "w"], 2 * x.T @ error / 5 + 0.2 * w)


@pytest.mark.parametrize(
    "settings", [{}, {"clip_norm": 1.0}, {"clip_value": 1.0, "clip_norm": 1.0}]
)
def test_step_is_backward_and_update(settings: dict):
    model = hand_model(**settings)
    back, step = call(model, "backward"), call(model, "step")
    updated = call(model, "update", gradient__w=back["gradient", "w"],
                   scalar__objective=back["result", "objective"])  # fmt: skip
    for key, value in updated.items():
        np.testing.assert_allclose(step[key], value, rtol=1e-12)


def test_clipping_by_value_then_by_norm():
    g = np.array([1.0, -0.5, 0.001])
    objective = np.array(0.0)
    more = {"gradient__w": g, "scalar__objective": objective, "optimizer__w.v": np.zeros(3)}
    by_value = call(hand_model(clip_value=1.0), "update", **more)["optimizer", "w.v"]
    np.testing.assert_allclose(by_value, -0.1 * np.clip(g, -0.02, 0.02))
    by_norm = call(hand_model(clip_norm=1.0), "update", **more)["optimizer", "w.v"]
    np.testing.assert_allclose(by_norm, -0.1 * g * 0.01 / np.linalg.norm(g))
    both = call(hand_model(clip_value=1.0, clip_norm=1.0), "update", **more)["optimizer", "w.v"]
    limited = np.clip(g, -0.02, 0.02)
    np.testing.assert_allclose(both, -0.1 * limited * 0.01 / np.linalg.norm(limited))
    zero = call(hand_model(clip_norm=1.0), "update", **(more | {"gradient__w": np.zeros(3)}))
    assert zero["optimizer", "w.v"].tolist() == [0, 0, 0]


def test_a_net_without_loss_has_no_gradients():
    model = hand_model()
    silent = replace(model.training, loss=None, penalty=None, metrics=())
    model = replace(model, training=silent, inference=silent)
    assert functions(model) == ("infer", "infer_one", "infer_group", "forward")
    with pytest.raises(ValueError, match="hand has no function step"):
        function_graph(model, "step")
