"""`probe`: statistics inside nets against NumPy on the same weights, and the command around it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import netc
from netc.__main__ import main
from netc.probing import follow, probed
from netc.procedures.probe import probe

TEXT = """
net Deep {
  input x: [5]
  target t: class[3]
  layer enc = dense(5) |> tanh
  h = x |> dense(5) |> relu |> dropout(0.2)
  a = enc(h)
  b = enc(a)
  p = softmax(b |> dense(3))
  output p
  loss -log(p[t])
  penalty 0.1 * l2(weights)
  metric accuracy = argmax(p) == t
}
train { optimizer = sgd() }
"""
NAMES = ["h.dense", "h.relu", "h", "enc.dense", "a", "enc.dense (2)", "b", "p.dense", "p"]


@pytest.fixture(scope="module")
def model():
    return netc.compile(source=TEXT, precision="f64", seed=3)


@pytest.fixture(scope="module")
def data():
    draws = np.random.default_rng(0)
    return draws.normal(size=(40, 5)), draws.integers(0, 3, 40)


def values(model, x, t):
    """The net by hand, in inference mode: values, and gradients of each sample's loss."""
    w = {name: np.array(value) for name, value in model.params.items()}
    s = x @ w["h.dense.W"] + w["h.dense.b"]
    h = np.maximum(s, 0)
    a = np.tanh(h @ w["enc.dense.W"] + w["enc.dense.b"])
    b = np.tanh(a @ w["enc.dense.W"] + w["enc.dense.b"])
    z = b @ w["p.dense.W"] + w["p.dense.b"]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    dz = p - np.eye(3)[t]
    db = dz @ w["p.dense.W"].T
    da = (db * (1 - b**2)) @ w["enc.dense.W"].T
    return {"h.dense": s, "h": h, "a": a, "b": b, "p.dense": z, "p": p}, {
        "p.dense": dz,
        "b": db,
        "a": da,
        "p": np.where(np.eye(3)[t] == 1, -1 / p, 0),
    }


def test_values_and_gradients_are_those_of_the_net(model, data) -> None:
    found = {one.name: one for one in probe(model, *data, training=False, batch=16)}
    seen, slopes = values(model, *data)
    for name, array in seen.items():
        value = found[name].value
        assert found[name].shape == array.shape[1:]
        assert value.mean == pytest.approx(array.mean(), abs=1e-12)
        assert value.std == pytest.approx(array.std(), abs=1e-12)
        assert (value.least, value.most) == pytest.approx((array.min(), array.max()), abs=1e-12)
        assert value.histogram.sum() == array.size
        assert value.dead == (array == array[0]).all(0).sum()
    for name, array in slopes.items():
        gradient = found[name].gradient
        assert gradient is not None
        assert gradient.mean == pytest.approx(array.mean(), abs=1e-12)
        assert gradient.std == pytest.approx(array.std(), abs=1e-12)


def test_every_binding_layer_and_stage_of_a_chain_is_seen_in_order(model, data) -> None:
    found = probe(model, *data)
    assert [one.name for one in found] == NAMES
    assert all(one.gradient is not None for one in found)


def test_training_mode_has_dropout_on_and_repeats_its_draws(model, data) -> None:
    still, drawn = probe(model, *data, training=False), probe(model, *data)
    assert [one.name for one in still] == [name for name in NAMES if name != "h.relu"]
    assert drawn[1].value.std == still[1].value.std, "before dropout"
    assert drawn[2].value.std > 1.05 * still[1].value.std
    assert drawn[2].value.saturated > still[1].value.saturated + 0.05
    again = probe(model, *data)
    assert [one.value.mean for one in again] == [one.value.mean for one in drawn]


def test_the_model_stays_as_it_is_and_is_followed(model, data) -> None:
    before = model.params.flat
    first = probe(model, *data, training=False)
    assert (model.params.flat == before).all()
    model.params["h.dense.W"][...] *= 2
    second = probe(model, *data, training=False)
    model.params.flat = before
    assert second[0].value.std == pytest.approx(2 * first[0].value.std, rel=1e-12)


def test_states_counters_and_numbers_are_those_of_the_model() -> None:
    text = """net N {
      input x: [2]
      target t: [2]
      y = step * (x |> batch_norm(eps=0))
      output y
      loss squared_error(y, t)
    }
    train { optimizer = sgd(lr=0) }"""
    model = netc.compile(source=text, precision="f64")
    x = np.random.default_rng(2).normal(size=(30, 2))
    model.step(x, x)
    model.step(x, x)
    model.state["y.batch_norm.mean"] = [50, 50]
    found = probe(model, x, x, training=False)
    value = next(one.value for one in found if one.name == "y")
    assert value.mean == pytest.approx(model.forward(x).mean(), rel=1e-12)
    assert value.mean < -140


def test_dead_and_saturated_units() -> None:
    text = """net N {
      input x: [4]
      h = x |> dense(6, act=relu)
      s = x |> dense(6) |> tanh
      output h
      output s
    }"""
    model = netc.compile(source=text, precision="f64")
    x = np.random.default_rng(1).normal(size=(500, 4))
    model.params["h.dense.b"][:2] = -100
    model.params["s.dense.W"][...] *= 50
    found = {one.name: one for one in probe(model, x)}
    assert found["h"].value.dead == 2
    assert found["h"].gradient is None
    zeros = (np.maximum(x @ model.params["h.dense.W"] + model.params["h.dense.b"], 0) == 0).mean()
    assert zeros <= found["h"].value.saturated <= zeros + 0.02
    assert found["s"].value.saturated > 0.9
    assert found["s.dense"].value.saturated < 0.01


def test_channels_are_units_and_infinities_are_counted() -> None:
    text = """net N {
      input x: [2, 3, 3]
      y = exp(x)
      output y
    }"""
    model = netc.compile(source=text, precision="f64")
    x = np.zeros((4, 2, 3, 3))
    x[0, 1, 0, 0], x[1, 1, 0, 0] = 1e4, 1
    (found,) = probe(model, x)
    assert (found.value.units, found.value.dead, found.value.unbounded) == (2, 1, 1)
    assert found.value.mean == pytest.approx((70 + np.e) / 71)


def test_batch_statistics_are_those_of_each_minibatch() -> None:
    text = "net N { input x: [2]; y = x |> batch_norm; output y }"
    model = netc.compile(source=text, precision="f64")
    x = np.arange(16.0).reshape(8, 2) ** 2
    (whole,), (halves,) = probe(model, x, batch=8), probe(model, x, batch=4)
    assert whole.value.std == pytest.approx(1, abs=1e-5)
    assert halves.value.std == pytest.approx(1, abs=1e-4)
    assert whole.value.most != pytest.approx(halves.value.most)
    assert (model.state["y.batch_norm.mean"] == 0).all()


def test_a_net_without_targets_takes_its_data_by_name() -> None:
    model = netc.compile(source="net N { input x: [2]; y = tanh(x); output y }", precision="f64")
    x = np.array([[0.0, 1], [2, 3]])
    assert np.allclose(model.forward({"x": x}), np.tanh(x))
    model.forward(x)  # few samples have their own function
    assert np.allclose(model.forward({"x": x}), np.tanh(x))
    (found,) = probe(model, {"x": x}, training=False)
    assert found.value.mean == pytest.approx(np.tanh(x).mean())


def test_a_probed_model_is_a_model() -> None:
    model = netc.compile(source=TEXT)
    inside = probed(model, training=False)
    follow(inside, model)
    assert inside.manifest.targets == ()
    x, t = np.ones((2, 5)), [0, 1]
    assert np.allclose(inside.forward(x, t)["p"], model.forward(x))


def test_mistakes_are_reported(model, data) -> None:
    with pytest.raises(netc.DataError, match="missing `t`"):
        probe(model, data[0])
    empty = netc.compile(source="net N { input x: [2]; output x }")
    with pytest.raises(netc.UsageError, match="no value to look at"):
        probe(empty, np.ones((2, 2)))


@pytest.fixture
def place(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep.net").write_text(TEXT)
    np.savez(tmp_path / "d.npz", x=data[0], t=data[1])
    np.savez(tmp_path / "x.npz", x=data[0])
    return tmp_path


def test_the_command_prints_a_table_and_draws(place, capsys) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["probe", "deep.net", "--data", "d.npz", "--samples", "30"]
    assert main([*arguments, "--plot", "p.png", "--json"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    assert table[0].startswith("net Deep in training mode on 30 samples")
    assert [line.split()[0] for line in table if "[5]" in line] == [
        "h.dense", "h.relu", "h", "enc.dense", "a", "enc.dense", "b",
    ]  # fmt: skip
    values = json.loads(last)["values"]
    assert [one["name"] for one in values] == NAMES
    assert values[0]["gradient"]["std"] > 0
    assert (place / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_takes_a_run(place, capsys) -> None:
    model = netc.compile("deep.net", seed=1)
    model.params["h.dense.b"][...] = 7
    model.save("run")
    arguments = ["probe", "deep.net", "--data", "d.npz", "--inference", "--json"]
    assert main([*arguments, "--weights", "run"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["mode"] == "inference"
    assert found["values"][0]["value"]["mean"] == pytest.approx(7, abs=0.5)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("deep.net",), 2, "--data"),
        (("deep.net", "--data", "x.npz"), 1, "`t`"),
        (("deep.net", "--data", "none.npz"), 1, "none.npz"),
        (("deep.net", "--data", "d.npz", "--samples", "0"), 2, "at least 1"),
    ],
)
def test_the_command_reports_mistakes(place, capsys, arguments, status, message) -> None:
    try:
        found = main(["probe", *arguments])
    except SystemExit as error:
        found = error.code
    assert found == status
    assert message in capsys.readouterr().err


def test_a_picture_has_a_known_ending(place, capsys) -> None:
    pytest.importorskip("matplotlib")
    assert main(["probe", "deep.net", "--data", "d.npz", "--plot", "p.txt"]) == 2
    assert "pictures are written as" in capsys.readouterr().err


def test_a_picture_needs_matplotlib(place, capsys, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.backend_bases", None)
    assert main(["probe", "deep.net", "--data", "d.npz", "--plot", "p.png"]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
