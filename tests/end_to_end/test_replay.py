"""`netc train --debug` and `netc replay`: the step that failed, or the last one, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import netc
from netc.__main__ import main
from netc.runtime.replay import read_step

TEXT = """
fn surprise(p, t) = -log(p[t])
net Sinking {
  input x: [2]
  target t: class[3]
  h = x |> dense(4, act=tanh) |> dropout(0.5)
  p = softmax(h |> dense(3))
  output p
  loss surprise(p - 0.01 * step, t)
}
train { optimizer = momentum(lr=1e-3); batch = 8; seed = 5 }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "sinking.net").write_text(TEXT)
    draws = np.random.default_rng(0)
    np.savez(folder / "d.npz", x=draws.normal(size=(32, 2)), t=draws.integers(0, 3, 32))
    return folder


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


def run(capsys, *arguments):
    """Exit status, standard output as lines, standard error."""
    try:
        status = main(list(arguments))
    except SystemExit as error:
        status = error.code
    found = capsys.readouterr()
    return status, found.out.splitlines(), found.err


TRAIN = ("train", "sinking.net", "--data", "d.npz", "--quiet", "--debug")


def test_the_step_that_failed_is_kept_with_the_values_before_it(capsys) -> None:
    status, out, err = run(capsys, *TRAIN, "--epochs", "30", "--out", "bad", "--json")
    assert status == 1
    failure = json.loads(out[-1])["failure"]
    step = failure["step"]
    assert step > 4
    assert failure["operation"] == "log"
    assert failure["place"].startswith("sinking.net:2:")
    assert f"error: step {step}: `log` made" in err
    assert f"help: the run so far is in `bad`; `netc replay bad --step {step}` does" in err
    history = json.loads(Path("bad/history.json").read_text())
    assert history["stopped"] == "not_finite"
    assert history["epochs"][-1]["steps"] == step - 1
    again, out, _ = run(capsys, "replay", "bad", "--step", str(step), "--json")
    assert again == 0
    assert "again     every bit is as in the run" in out
    report = err.removeprefix("error: ").split("\nhelp:")[0].replace("sinking.net", "bad/model.net")
    assert report in "\n".join(out)
    found = json.loads(out[-1])
    assert found["same"]
    assert {**found["failure"], "place": None} == {**failure, "place": None}
    plain = netc.compile("sinking.net")
    data = np.load("d.npz")
    plain.fit(data["x"], data["t"], epochs=30, max_steps=step - 1, progress=False)
    kept = netc.load("bad")
    assert kept.params.flat.tobytes() == plain.params.flat.tobytes()
    assert kept.optimizer_state.flat.tobytes() == plain.optimizer_state.flat.tobytes()


def test_the_last_step_of_a_sound_run_is_kept(capsys) -> None:
    assert run(capsys, *TRAIN, "--epochs", "1", "--out", "good")[0] == 0
    status, out, err = run(capsys, "replay", "good", "--values", "v.npz", "--json")
    assert status == 0
    assert out[0] == "step 4 of net Sinking: 8 samples, epoch 1"
    assert "again     every bit is as in the run" in out
    assert json.loads(out[-1])["failure"] is None
    values = np.load("v.npz")
    assert values["h"].shape == (8, 4)
    assert (values["h"] == 0).any(), "dropout as in the run"
    assert "wrote v.npz" in err


def test_a_bit_that_differs_is_reported(capsys) -> None:
    run(capsys, *TRAIN, "--epochs", "1", "--out", "other")
    data = json.loads(Path("other/step.json").read_text())
    data["seed"] += 1
    Path("other/step.json").write_text(json.dumps(data))
    status, out, _ = run(capsys, "replay", "other")
    assert status == 1
    assert "again     not as in the run" in out


def test_an_update_of_ones_own_is_done_again(place) -> None:
    data = np.load("d.npz")
    model = netc.compile("sinking.net", debug=True)
    model.forward(data["x"], training=True)
    model.backward(data["t"])
    model.grads["h.dense.W"][...] *= 2
    model.update()
    model.evaluate(data["x"], data["t"])
    model.save("by_hand")
    kept = read_step(place / "by_hand")
    assert (kept.function, kept.number) == ("update", 1)
    again = netc.load("by_hand", debug=True)
    assert again.repeat(kept).same
    assert again.params.flat.tobytes() == model.params.flat.tobytes()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("sound", "--step", "3"), 1, "cannot do step 3 again: it keeps step 4 alone"),
        (("plain",), 1, "keeps no step to do again\nhelp: `netc train --debug` keeps"),
        (("nothing",), 1, "keeps no step"),
        (("sound", "--step", "0"), 2, "at least 1"),
        (("sound", "--values", "v.txt"), 2, "written as .npz"),
        (("damaged",), 1, "the step in `damaged` is damaged"),
    ],
)
def test_mistakes_are_reported(place, capsys, arguments, status, message) -> None:
    if not (place / "plain").exists():
        sound = netc.compile("sinking.net", debug=True)
        sound.fit(*np.load("d.npz").values(), epochs=1, progress=False)
        sound.save("sound")
        netc.compile("sinking.net").save("plain")
        netc.compile("sinking.net").save("damaged")
        (place / "damaged" / "step.json").write_text("{}")
        (place / "damaged" / "step.safetensors").write_bytes(b"x")
    found, _, err = run(capsys, "replay", *arguments)
    assert found == status
    assert message in err
