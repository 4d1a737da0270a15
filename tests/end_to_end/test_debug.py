"""Debug compilation: the same numbers, values that can be read, and the origin of the first NaN."""

from __future__ import annotations

import numpy as np
import pytest

import netc

DEEP = """
net Deep {
  input x: [5]
  target t: class[3]
  h = x |> dense(6) |> batch_norm |> tanh |> dropout(0.2)
  same = h
  s = h |> dense(3)
  p = softmax(s)
  wrong = 1 - p[t]
  output p
  loss -log(p[t]) + 0 * wrong
  metric accuracy = argmax(p) == t
}
train { optimizer = adam(lr=0.01); batch = 16; seed = 4 }
"""
DRAW = np.random.default_rng(0)
X, T = DRAW.normal(size=(40, 5)), DRAW.integers(0, 3, 40)


@pytest.fixture(scope="module")
def debugged():
    return netc.compile(source=DEEP, debug=True)


def stored(model):
    return [v.flat.tobytes() for v in (model.params, model.state, model.optimizer_state)]


def test_a_run_has_the_same_bits(debugged) -> None:
    plain = netc.compile(source=DEEP)
    options = {"epochs": 3, "max_steps": 8, "validation": 0.1, "progress": False}
    histories = [model.fit(X, T, **options) for model in (plain, debugged)]
    assert stored(debugged) == stored(plain)
    records = [
        [(r.training, r.validation, r.steps, r.samples) for r in h.epochs] for h in histories
    ]
    assert records[0] == records[1]
    assert histories[1].stopped == "max_steps"
    for shuffle in (False, "with_replacement"):
        for model in (plain, debugged):
            model.fit(X, T, epochs=3, shuffle=shuffle, resume=True, progress=False)
    assert stored(debugged) == stored(plain)
    assert debugged.step(X, T) == plain.step(X, T)
    assert (debugged.forward(X) == plain.forward(X)).all()
    assert debugged.evaluate(X, T, batch=16) == plain.evaluate(X, T, batch=16)


def test_values_of_a_training_step_are_those_before_its_update(debugged) -> None:
    debugged.step(X, T)
    h, w = debugged.value("h"), debugged.params
    assert (h == 0).mean() == pytest.approx(0.2, abs=0.06)
    after = debugged.params.flat
    first = debugged.value("s")
    assert not np.allclose(first, h @ w["s.dense.W"] + w["s.dense.b"], atol=1e-4), "updated since"
    p = np.exp(first) / np.exp(first).sum(1, keepdims=True)
    assert np.allclose(debugged.value("p"), p, atol=1e-6)
    assert np.allclose(debugged.value("wrong"), 1 - p[np.arange(40), T], atol=1e-6)
    assert (debugged.value("same") == h).all()
    assert np.allclose(debugged.value("x"), X, atol=1e-6)
    assert (debugged.value("t") == T).all()
    assert (debugged.params.flat == after).all()


def test_values_of_inference_have_no_dropout_and_need_no_target(debugged) -> None:
    y = debugged.predict(X[:7])
    assert np.allclose(debugged.value("p"), y, atol=1e-6)
    h, w = debugged.value("h"), debugged.params
    assert (h != 0).all()
    assert np.allclose(debugged.value("s"), h @ w["s.dense.W"] + w["s.dense.b"], atol=1e-5)
    with pytest.raises(netc.UsageError, match="`wrong` depends on a target"):
        debugged.value("wrong")
    debugged.evaluate(X[:7], T[:7])
    assert debugged.value("wrong").shape == (7,)


def test_values_of_the_three_calls_of_a_step(debugged) -> None:
    debugged.forward(X, training=True)
    h = debugged.value("h")
    debugged.backward(T)
    assert (debugged.value("h") == h).all(), "the same draws, the same states"
    debugged.update()
    with pytest.raises(netc.UsageError, match="`update` passes no values"):
        debugged.value("h")


def test_unknown_values_are_refused(debugged) -> None:
    debugged.forward(X)
    with pytest.raises(netc.UsageError, match="no value `hh`\nhelp: did you mean `h`"):
        debugged.value("hh")
    fresh = netc.compile(source=DEEP, debug=True)
    with pytest.raises(netc.UsageError, match="before the first call"):
        fresh.value("h")
    with pytest.raises(netc.UsageError, match="compile the model with `debug=True`"):
        netc.compile(source=DEEP).value("h")


LOG = """
fn surprise(p, t) = -log(p[t])
net Bad {
  input x: [2]
  target t: class[4]
  p = max(x |> dense(4, bias=false), 0)
  output p
  loss surprise(p, t)
}
train { optimizer = adam(); batch = 8 }
"""
OVERFLOW = """
net Bad {
  input x: [2]
  target y: [2]
  param b: [2] = 0
  h = x + b
  g = exp(h)
  output g
  loss squared_error(g, y)
}
train { optimizer = sgd() }
"""
ROOT = """
net Bad {
  input x: [2]
  target y: []
  param b: [2] = 0
  h = x + b
  n = sqrt(sum(h * h))
  output n
  loss squared_error([n], [y])
}
train { optimizer = sgd() }
"""
UPDATE = """
optimizer odd(lr=0.1) {
  w <- w - lr * g / (abs(g) - abs(g))
}
net Bad {
  input x: [2]
  target y: [1]
  p = x |> dense(1)
  output p
  loss squared_error(p, y)
}
train { optimizer = odd() }
"""


def failure(text, *data, call="step", **options):
    model = netc.compile(source=text, debug=True, precision="f64", **options)
    before = stored(model)
    with pytest.raises(netc.DebugError) as caught:
        getattr(model, call)(*data)
    assert stored(model) == before
    return model, caught.value


def test_log_of_zero_in_a_loss_of_ones_own() -> None:
    x = np.zeros((3, 2))
    x[:2] = 1
    model = netc.compile(source=LOG, debug=True)
    model.params["p.dense.W"][...] = 1
    with pytest.raises(netc.DebugError) as caught:
        model.step(x, [0, 1, 3])
    facts, report = caught.value.details, str(caught.value)
    assert facts["place"] == "<source>:2:22"
    assert (facts["operation"], facts["sample"], facts["element"]) == ("log", 2, [])
    assert facts["value"] == -np.inf
    assert list(facts["operands"].values()) == [[0, 0]]
    assert facts["results"] == ["result objective", "result loss"]
    assert "step 1: `log` made -inf of finite numbers" in report
    assert "2 | fn surprise(p, t) = -log(p[t])\n  |                      ^" in report
    assert f"kernel {facts['kernel']}" in report
    assert facts["kernel"] in model.ir("loops", "step")
    assert f"{facts['node']}  # <source>:2:22" in model.ir("simplified", "step")
    assert (facts["name"], facts["derivative"]) == ("loss", False)
    assert model.value("p")[2].tolist() == [0, 0, 0, 0]


def test_overflow_in_a_layer_in_training_and_inference() -> None:
    x = np.ones((3, 2))
    x[1, 0] = 1000
    for call, data in (
        ("step", (x, x)),
        ("forward", (x,)),
        ("predict", (x,)),
        ("evaluate", (x, x)),
    ):
        _, error = failure(OVERFLOW, *data, call=call)
        assert (error.details["operation"], error.details["place"]) == ("exp", "<source>:7:7")
        assert (error.details["sample"], error.details["element"]) == (1, [0])
        assert list(error.details["operands"].values()) == [[1000, 1000]]


def test_a_quotient_of_zeros_in_a_derivative() -> None:
    x = np.ones((3, 2))
    x[1] = 0
    _, error = failure(ROOT, x, np.zeros(3))
    assert (error.details["operation"], error.details["sample"]) == ("div", 1)
    assert [one[0] for one in error.details["operands"].values()][1] == 0
    assert error.details["results"][0].startswith("parameter")
    assert (error.details["place"], error.details["name"]) == ("<source>:7:7", "n")
    assert error.details["derivative"]
    model, _ = failure(ROOT, x, np.zeros(3))
    model.forward(x, training=True)
    with pytest.raises(netc.DebugError, match="step 1: `div` made inf"):
        model.backward(np.zeros(3))


def test_a_nan_that_only_the_update_makes() -> None:
    x = np.ones((3, 2))
    model, error = failure(UPDATE, x, np.zeros((3, 1)))
    assert (error.details["operation"], error.details["sample"]) == ("div", None)
    assert (error.details["place"], error.details["name"]) == (
        "<source>:3:8",
        "update of p.dense.W",
    )
    model.forward(x, training=True)
    model.backward(np.zeros((3, 1)))
    with pytest.raises(netc.DebugError) as caught:
        model.update()
    assert caught.value.details["function"] == "update"


def test_what_was_not_finite_before_is_named() -> None:
    model = netc.compile(source=OVERFLOW, debug=True)
    model.params["b"][1] = np.nan
    with pytest.raises(netc.DebugError, match="parameter `b` holds nan") as caught:
        model.forward(np.zeros((1, 2)))
    assert caught.value.details["element"] == [1]


def test_an_infinity_that_a_choice_leaves_out_stops_nothing() -> None:
    text = """
net Safe {
  input x: [2]
  target y: [2]
  h = x |> dense(2)
  g = where(h * h > -1, h, log(0 * h))
  output g
  loss squared_error(g, y)
}
train { optimizer = sgd() }
"""
    x = np.ones((4, 2))
    model = netc.compile(source=text, debug=True, seed=2)
    model.fit(x, x, epochs=2, progress=False)
    both = "where(h * h < -1, log(min(h * h, 0)), exp(1000 * (h * h + 1)))"
    broken = netc.compile(source=text.replace("where(h * h > -1, h, log(0 * h))", both), debug=True)
    with pytest.raises(netc.DebugError) as caught:
        broken.step(x, x)
    assert caught.value.details["operation"] == "exp", "log is infinite too, and was not chosen"


def test_a_run_stops_before_the_step_that_fails() -> None:
    model = netc.compile(source=LOG, debug=True, seed=1)
    x, t = np.ones((24, 2)), np.zeros(24, int)
    x[20] = 0
    model.params["p.dense.W"][...] = 1
    with pytest.raises(netc.DebugError) as caught:
        model.fit(x, t, shuffle=False, progress=False)
    assert (caught.value.details["step"], caught.value.details["sample"]) == (3, 4)
    assert np.isfinite(model.params.flat).all()
    assert (model.history.epochs[0].steps, model.history.epochs[0].samples) == (2, 16)
    x[20] = 1
    model.fit(x, t, shuffle=False, resume=True, progress=False)
    other = netc.compile(source=LOG, seed=1)
    other.params["p.dense.W"][...] = 1
    other.fit(x, t, shuffle=False, progress=False)
    assert stored(model) == stored(other)


PICKING = """
net Words {
  input id: int[2]
  input u: []
  target y: [3]
  e = mean(id |> embedding(5, 3), 0)
  k = e[floor(10 * u)]
  output z = e + k
  loss squared_error(e + k, y)
}
train { optimizer = sgd() }
"""


def test_indices_out_of_range_are_refused() -> None:
    model = netc.compile(source=PICKING, debug=True)
    ids, u, y = np.array([[0, 4], [-1, 3]]), np.array([0.1, -0.1]), np.zeros((2, 3))
    model.step(ids, u, y)
    model.forward(ids, u)
    before = stored(model)
    for call, data in (("step", (u, y)), ("forward", (u,)), ("evaluate", (u, y))):
        with pytest.raises(netc.DebugError, match=r"the index 5 is none of 0 … 4") as caught:
            getattr(model, call)([[0, 4], [5, 3]], *data)
        facts = caught.value.details
        assert (facts["place"], facts["sample"], facts["element"]) == ("<source>:6:18", 1, [0])
    with pytest.raises(netc.DebugError, match=r"the index 3 is none of 0 … 2") as caught:
        model.step(ids, [0.1, 0.35], y)
    assert caught.value.details["place"] == "<source>:7:9"
    assert "7 |   k = e[floor(10 * u)]" in str(caught.value)
    assert stored(model) == before
    netc.compile(source=PICKING).forward([[0, 4], [5, 3]], [0.1, 0.35])
