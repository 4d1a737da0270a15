"""Run folders: written whole or not at all; read back exactly; refused when damaged or foreign."""

import json
import os

import numpy as np
import pytest

from netc.compiler.program import Manifest
from netc.runtime import checkpoint
from netc.runtime.errors import DataError
from netc.runtime.executable import Executable
from netc.runtime.history import EpochRecord, History

TEXT = "net Affine { }\n"


@pytest.fixture
def executable(program):
    found = Executable(program.manifest, program.native, program.initial(3), 3)
    found.counters.step = 12
    return found


def describe(executable, **changes):
    values = {"net": "Affine", "precision": "f32", "seed": 3, "step": executable.counters.step}
    return checkpoint.Description(**{**values, **changes})


@pytest.fixture
def run(tmp_path, executable):
    path = tmp_path / "run"
    history = History([EpochRecord(1, 11, 0.1, {"loss": 2.0})])
    checkpoint.save(path, executable, TEXT, describe(executable), history)
    return path


def test_round_trip(run, executable, fake_program):
    other = fake_program()
    fresh = Executable(other.manifest, other.native, other.initial(9), 9)
    read = checkpoint.read(run)
    checkpoint.restore(read, fresh)
    np.testing.assert_array_equal(fresh.parameters.flat, executable.parameters.flat)
    np.testing.assert_array_equal(fresh.states["s"], executable.states["s"])
    assert (fresh.counters.step, fresh.seed) == (12, 3)
    assert read.text == TEXT
    assert read.history["loss"] == [2.0]
    assert sorted(p.name for p in run.parent.iterdir()) == ["run"]


def test_weights_alone(run, fake_program):
    other = fake_program()
    fresh = Executable(other.manifest, other.native, other.initial(9), 9)
    checkpoint.restore(checkpoint.read(run), fresh, optimizer=False)
    assert (fresh.counters.step, fresh.seed) == (1, 9)


def test_a_run_replaces_a_run(run, executable):
    executable.parameters["h.b"][...] = 5
    checkpoint.save(run, executable, TEXT, describe(executable), History())
    assert (checkpoint.read(run).tensors["parameters"]["h.b"] == 5).all()
    assert sorted(p.name for p in run.parent.iterdir()) == ["run"]


def test_a_failure_overwrites_nothing(run, executable, monkeypatch):
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    executable.parameters["h.b"][...] = 5

    def full(path, content):
        if path.name == checkpoint.HISTORY_FILE:
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(run, executable, TEXT, describe(executable), History())
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before
    assert sorted(p.name for p in run.parent.iterdir()) == ["run"]


def test_a_failing_rename_brings_the_older_run_back(run, executable, monkeypatch):
    rename = os.rename
    monkeypatch.setattr(checkpoint.Path, "rename", flaky := Flaky(rename))
    with pytest.raises(OSError, match="rename"):
        checkpoint.save(run, executable, TEXT, describe(executable), History())
    assert flaky.calls == 3
    assert checkpoint.read(run).history["loss"] == [2.0]
    assert sorted(p.name for p in run.parent.iterdir()) == ["run"]


class Flaky:
    """A rename that fails the second time."""

    def __init__(self, rename):
        self.rename, self.calls = rename, 0

    def __get__(self, path, kind):
        return lambda target: self(path, target)

    def __call__(self, path, target):
        self.calls += 1
        if self.calls == 2:
            raise OSError("rename")
        self.rename(path, target)


def test_other_folders_are_never_written_to(tmp_path, executable):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="other files"):
        checkpoint.save(tmp_path, executable, TEXT, describe(executable), History())
    with pytest.raises(DataError, match="not a folder"):
        checkpoint.check_writable(tmp_path / "thesis.txt")
    checkpoint.check_writable(tmp_path / "new" / "deeper")


def damage(path, name, change):
    content = (path / name).read_bytes()
    (path / name).write_bytes(change(content))


@pytest.mark.parametrize("name", list(checkpoint.TENSOR_FILES.values()))
@pytest.mark.parametrize(
    "change", [lambda b: b[:-3], lambda b: b[:4], lambda b: b"", lambda b: b"x" * 99]
)
def test_damaged_tensors(run, name, change):
    damage(run, name, change)
    with pytest.raises(DataError, match=f"{name}` is damaged"):
        checkpoint.read(run)


@pytest.mark.parametrize("name", ["run.json", "history.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"{}", b"\xff", b'{"format": 1, "net": 3}'])
def test_damaged_json(run, name, content):
    damage(run, name, lambda _: content)
    with pytest.raises(DataError, match="run"):
        checkpoint.read(run)


@pytest.mark.parametrize(
    "name", ["model.net", "parameters.safetensors", "history.json", "run.json"]
)
def test_missing_files(run, name):
    (run / name).unlink()
    with pytest.raises(DataError, match=name):
        checkpoint.read(run)


def test_places_that_are_no_runs(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        checkpoint.read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a run folder"):
        checkpoint.read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="not a folder"):
        checkpoint.read(tmp_path / "file")


def test_a_newer_format_is_named(run):
    data = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**data, "format": 2}))
    with pytest.raises(DataError, match="format 2"):
        checkpoint.read(run)


@pytest.mark.parametrize(
    ("block", "change", "words"),
    [
        ("parameters", {"shape": (2, 4)}, r"`h\.W` is \[4, 2\] there and \[2, 4\]"),
        ("parameters", {"name": "g.W"}, r"it has no parameter `g\.W`"),
        ("optimizer", {"name": "h.W.m"}, r"no optimizer state `h\.W\.m`"),
        ("states", None, "its state `s` is not in this net"),
    ],
)
def test_runs_of_other_models_change_nothing(run, fake_program, block, change, words):
    other = fake_program()
    blocks = getattr(other.manifest, block)
    first, *rest = blocks.values
    values = (type(first)(**{**_fields(first), **change}), *rest) if change else ()
    fields = {**_fields(other.manifest), block: type(blocks)(blocks.size, values)}
    initial = {(k, n): v for (k, n), v in other.initial(9).items()}
    for space, n, shape in (("parameter", "g.W", (4, 2)), ("optimizer", "h.W.m", (4, 2))):
        initial[space, n] = np.zeros(shape)
    if change and "shape" in change:
        initial["parameter", "h.W"] = np.zeros((2, 4))
    fresh = Executable(Manifest(**fields), other.native, initial, 9)
    before = fresh.parameters.flat
    with pytest.raises(DataError, match=words):
        checkpoint.restore(checkpoint.read(run), fresh)
    np.testing.assert_array_equal(fresh.parameters.flat, before)
    assert fresh.counters.step == 1


def test_another_net_with_equal_shapes(run, executable, tmp_path):
    checkpoint.save(tmp_path / "b", executable, TEXT, describe(executable, net="Other"), History())
    with pytest.raises(DataError, match="of the net `Other`, this is `Affine`"):
        checkpoint.restore(checkpoint.read(tmp_path / "b"), executable)


def _fields(data):
    return {name: getattr(data, name) for name in type(data).__dataclass_fields__}
