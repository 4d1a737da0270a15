"""The command line on a program of Python callbacks: outputs, exit codes, no traceback."""

import json
import os
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from netc import compiling
from netc.__main__ import main
from netc.compiler.cache.store import Store
from netc.compiler.program import PortSpec
from netc.runtime.checkpoint import read


@pytest.fixture
def place(tmp_path, monkeypatch, samples, fake_program):
    """A folder with a net and data; the compiler is replaced by the small program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.net").write_text("net Affine { }\n")
    x, t = samples
    np.savez(tmp_path / "d.npz", x=x, t=t)
    made = []

    def program_of(source, defines, precision, library):
        made.append(fake_program(precision=precision))
        made[-1].source = source
        return made[-1]

    monkeypatch.setattr(compiling, "program_of", program_of)
    return SimpleNamespace(path=tmp_path, made=made)


def run(capsys, *arguments):
    try:
        status = main(list(arguments))
    except SystemExit as error:
        status = error.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return status, captured.out, captured.err


def test_train_eval_predict(place, capsys):
    status, out, err = run(
        capsys,
        *("train", "a.net", "--data", "d.npz", "--test", "d.npz", "--epochs", "30"),
        *("--set", "lr=0.1", "--set", "batch=5", "--out", "r", "--json"),
    )
    assert status == 0
    data = json.loads(out.splitlines()[-1])
    assert data["epochs"] == 30
    assert set(data["metrics"]) == {"error"}
    assert data["test"]["loss"] < 0.1
    assert data["loss"] < 1
    assert "epoch 30/30" in err
    assert "samples/s" in err
    saved = read(place.path / "r")
    assert saved.text == "net Affine { }\n"
    assert saved.description.scalars == {"lr": 0.1}
    assert saved.description.options == {"batch": 5, "epochs": 30}

    status, out, _ = run(capsys, "eval", "a.net", "--weights", "r", "--data", "d.npz", "--json")
    assert status == 0
    scores = json.loads(out.splitlines()[-1])
    assert scores["loss"] == pytest.approx(data["test"]["loss"])
    assert scores["samples"] == 20

    for name in ("o.npz", "o.csv"):
        status, out, err = run(
            capsys, "predict", "a.net", "--weights", "r", "--data", "d.npz", "-o", name
        )
        assert (status, out) == (0, "")
        assert f"20 samples to {name}" in err
    assert [p for p in place.path.iterdir() if p.name.startswith(".")] == []
    lines = (place.path / "o.csv").read_text().splitlines()
    assert lines[0] == "y[0],y[1]"
    with np.load("o.npz") as archive:
        np.testing.assert_allclose(
            archive["y"], [[float(v) for v in line.split(",")] for line in lines[1:]]
        )


def test_default_run_folder_and_quiet(place, capsys):
    for _ in range(2):
        status, out, err = run(capsys, "train", "a.net", "--data", "d.npz", "--quiet")
        assert (status, err) == (0, "")
    folders = sorted((place.path / "runs").iterdir())
    assert len(folders) == 2
    assert folders[0].name.startswith("Affine-")
    assert f"run         runs/{folders[1].name}" in out or "runs/" in out


def test_resume(place, capsys):
    def train(*more):
        return run(capsys, "train", "a.net", "--data", "d.npz", "--json", *more)

    assert train("--epochs", "2", "--out", "r", "--seed", "4")[0] == 0
    status, out, _ = train("--resume", "r", "--epochs", "5")
    assert status == 0
    assert json.loads(out.splitlines()[-1])["epochs"] == 5
    run_folder = read(place.path / "r")
    assert run_folder.description.step == 16
    assert run_folder.description.seed == 4
    assert place.made[-1].steps_seen[0] == (7, 3)
    status, _, err = train("--resume", "r")
    assert status == 0
    assert "had done all its epochs" in err


def test_interrupt_saves_the_run(place, capsys):
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    status, out, err = run(
        capsys,
        *("train", "a.net", "--data", "d.npz", "--epochs", "300"),
        *("--set", "pause=0.01", "--out", "r", "--json"),
    )
    assert status == 130
    assert "the run so far is saved" in err
    assert json.loads(out.splitlines()[-1])["stopped"] == "interrupted"
    saved = read(place.path / "r")
    assert saved.history.interrupted
    assert saved.description.step == len(place.made[-1].steps_seen) + 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("", 2, "COMMAND"),
        ("trane a.net", 2, "invalid choice"),
        ("train a.net", 2, "--data"),
        ("train a.net --data d.npz --epochs 0", 2, "at least 1"),
        ("train a.net --data d.npz --epochs x", 2, "found `x`"),
        ("train a.net --data d.npz --threads 0", 2, "at least 1"),
        ("train a.net --data d.npz --set lr", 2, "NAME=VALUE"),
        ("train a.net --data d.npz --set lrr=1", 2, "did you mean `lr`"),
        ("train a.net --data d.npz --set lr=fast", 2, "expected a number"),
        ("train a.net --data d.npz --set batch=0", 2, "`batch` must be"),
        ("train a.net --data d.npz --set shuffle=perhaps", 2, "`shuffle` must be"),
        ("train a.net --data d.npz --set validation=1", 2, "`validation` must be"),
        ("train a.net --data d.npz -D x", 2, "NAME=VALUE"),
        ("train b.net --data d.npz", 1, "`b.net`: No such file"),
        ("train . --data d.npz", 1, "Is a directory"),
        ("train a.net --data e.npz", 1, "`e.npz` does not exist"),
        ("train a.net --data a.net", 1, "`.net` are not known"),
        ("train a.net --data digits", 1, "[4] for each sample"),
        ("train a.net --data d.npz --out .", 1, "other files"),
        ("train a.net --data d.npz --out a.net", 1, "not a folder"),
        ("train a.net --data d.npz --resume nowhere", 1, "does not exist"),
        ("train a.net --data d.npz --resume .", 1, "not a run folder"),
        ("eval a.net --weights nowhere --data d.npz", 1, "does not exist"),
        ("predict a.net --weights r --data d.npz -o out.txt", 2, ".npz or .csv"),
    ],
)
def test_mistakes_are_reported(place, capsys, arguments, status, words):
    before = sorted(p.name for p in place.path.rglob("*"))
    found = run(capsys, *arguments.split())
    assert found[0] == status
    assert words in found[2], found[2]
    assert sorted(p.name for p in place.path.rglob("*")) == before


def test_data_that_do_not_fit_write_nothing(place, capsys):
    np.savez("wrong.npz", x=np.ones((3, 5)), t=np.ones((3, 2)))
    status, _, err = run(capsys, "train", "a.net", "--data", "wrong.npz", "--out", "r")
    assert status == 1
    assert "(B, 4)" in err
    assert "(3, 5)" in err
    assert not (place.path / "r").exists()


def test_a_run_of_another_net(place, capsys):
    run(capsys, "train", "a.net", "--data", "d.npz", "--out", "r", "--quiet")
    path = place.path / "r" / "run.json"
    path.write_text(path.read_text().replace('"Affine"', '"Other"'))
    for command in ("eval", "train"):
        flag = "--weights" if command == "eval" else "--resume"
        status, _, err = run(capsys, command, "a.net", flag, "r", "--data", "d.npz")
        assert status == 1
        assert "net `Other`" in err


def test_another_text_with_the_same_shapes_is_noted(place, capsys):
    run(capsys, "train", "a.net", "--data", "d.npz", "--out", "r", "--quiet")
    (place.path / "a.net").write_text("# changed\n")
    status, _, err = run(capsys, "eval", "a.net", "--weights", "r", "--data", "d.npz")
    assert status == 0
    assert "not the text" in err


def test_predict_failing_leaves_the_old_file(place, capsys, monkeypatch):
    run(capsys, "train", "a.net", "--data", "d.npz", "--out", "r", "--quiet")
    (place.path / "o.csv").write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("netc.cli.score._write_table", fail)
    status, _, err = run(
        capsys, "predict", "a.net", "--weights", "r", "--data", "d.npz", "-o", "o.csv"
    )
    assert status == 1
    assert "No space left" in err
    assert (place.path / "o.csv").read_text() == "old"
    assert [p.name for p in place.path.iterdir() if p.name.startswith(".")] == []


def test_tables_keep_their_labels_through_the_run(place, capsys, fake_program, monkeypatch):
    def program_of(source, defines, precision, library):
        program = fake_program(precision, target=PortSpec("t", (), "class", 2))
        program.source = source
        return program

    monkeypatch.setattr(compiling, "program_of", program_of)
    lines = "".join(f"{i},0,1,2,{'yes' if i % 2 else 'no'}\n" for i in range(6))
    (place.path / "t.csv").write_text("a,b,c,d,answer\n" + lines)
    model = compiling.compiled(compiling.read_source("a.net"), {}, "f32", threads=1, seed=0)
    table = {"target": "answer", "labels": ["no", "yes"]}
    model.save_run(place.path / "r", table)
    (place.path / "u.csv").write_text("a,b,c,d,answer\n1,2,3,4,yes\n")
    status, out, err = run(capsys, "eval", "a.net", "--weights", "r", "--data", "u.csv", "--json")
    assert status == 0, err
    assert json.loads(out.splitlines()[-1])["samples"] == 1
    (place.path / "u.csv").write_text("a,b,c,d,answer\n1,2,3,4,perhaps\n")
    status, _, err = run(capsys, "eval", "a.net", "--weights", "r", "--data", "u.csv")
    assert status == 1
    assert "`perhaps` is unknown" in err


def test_cache_says_what_is_kept_and_removes_it(tmp_path, monkeypatch, capsys):
    where = tmp_path / "kept"
    monkeypatch.setenv("NETC_CACHE", str(where))
    store = Store(str(where))
    store.write(f"{'a' * 64}.step", b"x" * 3_000_000)
    (where / "other").write_text("not ours")
    status, out, _ = run(capsys, "cache", "--json")
    assert status == 0
    assert str(where) in out
    assert "1 file, 2.9 MiB of at most 256 MiB" in out
    assert json.loads(out.splitlines()[-1])["files"] == 1
    status, out, _ = run(capsys, "cache", "--clear")
    assert status == 0
    assert "removed     1 file, 2.9 MiB" in out
    assert "0 files, 0.0 MiB" in out
    assert [p.name for p in where.iterdir()] == ["other"]


def test_cache_may_be_nowhere(monkeypatch, capsys):
    monkeypatch.setenv("NETC_CACHE", "off")
    status, out, _ = run(capsys, "cache", "--clear", "--json")
    assert status == 0
    assert "none" in out
    assert json.loads(out.splitlines()[-1])["folder"] is None


def test_timings_are_on_standard_error(tmp_path, capsys):
    (tmp_path / "a.net").write_text("net A { input x: [2]; output y = x |> dense(1) }")
    status, out, err = run(capsys, "check", str(tmp_path / "a.net"), "--timings")
    assert status == 0
    stages = [line.split()[0] for line in err.splitlines()]
    assert {"parse", "elaborate", "together"} <= set(stages)
    assert "elaborate" not in out
