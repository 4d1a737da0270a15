"""The train block: settings, run-time numbers, optimizers by group, frozen parameters."""

import math

import numpy as np
import pytest

from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.program import Settings
from tests.prelude.harness import model

NET = (
    "net T { input x: [4] target t: [2] layer enc = dense(3) y = x |> enc |> dense(2) "
    "output y loss squared_error(y, t) } "
)


def update(text, parameter="y.dense.b", changes=None, clock=None, **states):
    """One update of a parameter at 1 with gradient 2, and the states that follow."""
    found = model(NET + text)
    rule = next(u for u in found.updates if u.parameter == parameter)
    shape = next(p.shape for p in found.parameters if p.name == parameter)
    values = {
        ("parameter", parameter): np.ones(shape),
        ("gradient", parameter): np.full(shape, 2.0),
    }
    numbers = {s.name: s.default for s in found.scalars} | (changes or {})
    clock = {"epoch": 1.0, "steps": 100.0, "epochs": 10.0, "objective": 0.5} | (clock or {})
    values |= {("scalar", k): np.float64(v) for k, v in (numbers | clock).items()}
    env = Environment(values, step=int(clock.get("step", 1)))
    for state in rule.states:
        start = evaluate([state.initial], env)[0]
        local = state.name.removeprefix(f"{parameter}.")
        values["optimizer", state.name] = np.full(state.shape, states.get(local, start))
    new = evaluate([rule.new], env)[0]
    assert (new == new.flat[0]).all()
    return float(new.flat[0])


def test_settings_have_the_languages_defaults():
    assert model(NET).settings == Settings()
    assert model(NET + "train { }").settings == Settings()
    assert model(NET).updates == ()


def test_settings_are_read():
    text = (
        'train { batch = 2 * 8 epochs = 3 max_steps = 100 shuffle = "with_replacement" seed = 7 '
        "clip_norm = 5 clip_value = 0.5 validation = 0.1 patience = 3 min_delta = 1e-3 "
        'monitor = "loss" restore_best = true stop_change = 1e-6 }'
    )
    assert model(NET + text).settings == Settings(
        batch=16,
        epochs=3,
        max_steps=100,
        shuffle="with_replacement",
        seed=7,
        clip_norm=5.0,
        clip_value=0.5,
        validation=0.1,
        patience=3,
        min_delta=1e-3,
        monitor="loss",
        restore_best=True,
        stop_change=1e-6,
    )
    scalars = {s.name: s.default for s in model(NET + text).scalars}
    assert scalars == {"clip_norm": 5.0, "clip_value": 0.5}


def test_every_number_of_an_optimizer_is_a_run_time_scalar():
    found = model(NET + "train { optimizer = sgd(lr = 0.1 * 0.5^epoch) }")
    defaults = {s.name: s.default for s in found.scalars}
    assert list(defaults) == ["train.1", "train.2", "lr"]
    assert (defaults["train.1"], defaults["train.2"]) == (0.1, 0.5)
    assert math.isnan(defaults["lr"])


def test_sgd_with_a_schedule():
    text = "train { optimizer = sgd(lr = 0.1 * 0.5^epoch) }"
    assert update(text) == pytest.approx(1 - 0.05 * 2)
    assert update(text, clock={"epoch": 3.0}) == pytest.approx(1 - 0.0125 * 2)
    assert update(text, changes={"train.1": 1.0}) == pytest.approx(1 - 0.5 * 2)
    assert update(text, changes={"lr": 0.25}) == pytest.approx(1 - 0.25 * 2)


def test_a_whole_exponent_is_part_of_the_formula():
    text = "train { optimizer = sgd(lr = 0.1 * (epoch - 5)^2) }"
    assert update(text) == pytest.approx(1 - 1.6 * 2)
    assert len([s for s in model(NET + text).scalars if s.name.startswith("train.")]) == 2


def test_a_default_argument_can_be_overridden():
    text = "train { optimizer = momentum(lr = 0.1) }"
    assert update(text, v=1.0) == pytest.approx(1 + 0.9 - 0.2)
    assert update(text, v=1.0, changes={"beta": 0.5}) == pytest.approx(1 + 0.5 - 0.2)


def test_the_last_group_that_matches_wins():
    text = (
        'train { optimizer("*.W") = sgd(lr = 0.2) optimizer("enc.*") = sgd(lr = 0.3) '
        "optimizer = sgd(lr = 0.1) }"
    )
    assert update(text, "y.dense.b") == pytest.approx(1 - 0.2)
    assert update(text, "y.dense.W") == pytest.approx(1 - 0.4)
    assert update(text, "enc.dense.W") == pytest.approx(1 - 0.6)
    assert update(text, "enc.dense.W", {"enc.*.lr": 1.0}) == pytest.approx(1 - 2)
    assert update(text, "y.dense.W", {"enc.*.lr": 1.0, "lr": 5.0}) == pytest.approx(1 - 0.4)


def test_frozen_parameters_have_no_update():
    found = model(NET + 'train { optimizer = sgd() freeze("enc.*") }')
    assert [p.name for p in found.parameters if p.frozen] == ["enc.dense.W", "enc.dense.b"]
    assert [u.parameter for u in found.updates] == ["y.dense.W", "y.dense.b"]


OWN = (
    "optimizer mine(lr = 0.5, start = 3, square = true) { state v = 2 * start  state n: [] = 1 "
    "n <- n + 1  if square { d = g^2 } else { d = g }  v <- v + n * d  w <- w - lr * v / n } "
)


def test_an_optimizer_of_ones_own():
    found = update(OWN + "train { optimizer = mine() }")
    assert found == pytest.approx(1 - 0.5 * (6 + 2 * 4) / 2)
    found = update(OWN + "train { optimizer = mine(start = 1, square = false) }")
    assert found == pytest.approx(1 - 0.5 * (2 + 2 * 2) / 2)


def test_states_are_named_after_the_parameter():
    found = model(NET + "train { optimizer = adam() }")
    rule = next(u for u in found.updates if u.parameter == "enc.dense.W")
    assert [(s.name, s.shape) for s in rule.states] == [
        ("enc.dense.W.m", (4, 3)),
        ("enc.dense.W.v", (4, 3)),
    ]
    assert [s.name for s in rule.next_states] == ["enc.dense.W.m", "enc.dense.W.v"]


def test_an_optimizer_may_be_chosen_at_compile_time():
    text = "const fast = true train { optimizer = if fast then sgd(lr = 1) else adam() }"
    assert update(text) == -1


def test_an_optimizer_may_read_the_objective_and_reduce():
    text = (
        "optimizer mine(lr = 0.1) { w <- w - lr * objective * g / sqrt(sum(g^2)) } "
        "train { optimizer = mine() }"
    )
    assert update(text) == pytest.approx(1 - 0.1 * 0.5 / math.sqrt(2))
