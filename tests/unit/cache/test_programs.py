"""Programs from the cache: the same as fresh ones, and never those of something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import inf
from pathlib import Path

import numpy as np
import pytest

import netc
from netc.compiler import driver
from netc.compiler.backend import jit
from netc.compiler.cache.plain import plain, restored
from netc.compiler.cache.store import Store
from netc.compiler.program import FunctionSpec, Manifest, Settings

LIBRARY = "fn double(x) = 2 * x\n"
MAIN = """
import "lib.net"

const hidden = 5

net N {
  input x: [3]
  target t: class[4]
  param scale: [3] = over_data(sqrt(batch_mean(x^2)), before=1)
  h = (x / scale) |> dense(hidden, act=tanh) |> dropout(0.5)
  logits = double(h |> dense(4))
  output p = softmax(logits)
  loss cross_entropy(logits, t)
  metric accuracy = argmax(logits) == t
}

train { optimizer = adam(lr=0.01)  batch = 7  epochs = 2  seed = 3 }
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "lib.net").write_text(LIBRARY)
    (tmp_path / "n.net").write_text(MAIN)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def compiled(monkeypatch):
    """Counts what is made anew: texts and functions."""
    seen = []
    object_of = jit.compile_object
    checked = driver._checked

    def count(name, function):
        return lambda *given: (seen.append(name), function(*given))[1]

    monkeypatch.setattr(jit, "compile_object", count("function", object_of))
    monkeypatch.setattr(driver, "_checked", count("text", checked))
    return seen


def data(rows=20):
    random = np.random.default_rng(1)
    x = random.normal(size=(rows, 3)).astype(np.float32)
    return x, random.integers(0, 4, rows)


def everything(model):
    """All that a model gives after a while, as bytes and plain values."""
    x, t = data()
    found = [model(x).tobytes(), model.step(x, t), json.dumps(model.evaluate(x, t))]
    history = model.fit(x, t, progress=False, clip_norm=0.5)
    found += [repr([(r.steps, r.training) for r in history.epochs]), model.predict(x).tobytes()]
    model.forward(x, training=True)
    found += [model.backward(t), model.update()]
    for values in (model.params, model.state, model.optimizer_state):
        found += [(name, value.tobytes()) for name, value in values.items()]
    return [*found, model.imports, repr([model.manifest, dict(model.scalars), model.name])]


def test_equal_to_a_fresh_one(place, compiled):
    path = place / "n.net"
    fresh = netc.compile(path)
    expected = everything(fresh)
    assert compiled.count("text") == 1
    made = compiled.count("function")
    again = netc.compile(path)
    assert everything(again) == expected
    assert (compiled.count("text"), compiled.count("function")) == (1, made)
    for stage in ("ast", "graph", "simplified", "fused", "loops", "llvm"):
        assert again.ir(stage) == fresh.ir(stage)
    assert again.summary() == fresh.summary()
    assert netc.compile(path, seed=9).params.flat.tobytes() != fresh.params.flat.tobytes()


def test_without_a_cache_the_same(place, compiled, monkeypatch):
    path = place / "n.net"
    netc.compile(path)
    expected = everything(netc.compile(path))
    monkeypatch.setenv("NETC_CACHE", "off")
    assert everything(netc.compile(path)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"defines": {"hidden": 6}},
        {"defines": {"hidden": 5}},
        {"precision": "f64"},
        {"text": MAIN.replace("0.01", "0.02")},
        {"text": MAIN + "# more\n"},
        {"library": LIBRARY.replace("2 *", "3 *")},
        {"library": LIBRARY + "\n"},
        {"compiler": "another"},
        {"llvm": "another"},
    ],
)
def test_what_it_depends_on(place, compiled, monkeypatch, change):
    path = place / "n.net"
    for _ in range(2):
        netc.compile(path).step(*data())
    assert compiled == ["text", "function"]
    match change:
        case {"text": text}:
            path.write_text(text)
        case {"library": text}:
            (place / "lib.net").write_text(text)
        case {"compiler": name}:
            monkeypatch.setattr("netc.compiler.cache.keys._compiler", lambda: name)
        case {"llvm": name}:
            monkeypatch.setattr(jit, "version", lambda: name)
    options = {k: v for k, v in change.items() if k in ("defines", "precision")}
    for _ in range(2):
        netc.compile(path, **options).step(*data())
    assert compiled == ["text", "function"] * 2


def test_the_target_is_part_of_the_key(place, compiled):
    source = driver.compile_text  # every machine runs this one
    text = (place / "n.net").read_text().replace('import "lib.net"', LIBRARY)
    for name in ("portable", None, "portable", None):
        source(netc.compiling.Source("n.net", text), target=name).native("infer")
    best = driver.host_target().name != "portable"
    assert compiled == ["text", "function"] * (2 if best else 1)


def test_an_import_that_is_gone_is_an_error(place):
    netc.compile(place / "n.net")
    (place / "lib.net").unlink()
    with pytest.raises(netc.CompileError, match=r"lib\.net"):
        netc.compile(place / "n.net")


def test_an_import_that_leads_elsewhere_is_another_text(place, compiled):
    netc.compile(place / "n.net")
    (place / "lib.net").rename(place / "other.net")
    (place / "lib.net").symlink_to(place / "other.net")
    assert netc.compile(place / "n.net").imports == {"other.net": LIBRARY}
    assert compiled == ["text", "text"]


def test_the_same_text_in_another_folder_has_other_imports(place):
    for name, factor in (("a", 3), ("b", 4)):
        (place / name).mkdir()
        (place / name / "n.net").write_text(MAIN)
        (place / name / "lib.net").write_text(f"fn double(x) = {factor} * x\n")
    models = [netc.compile(place / n / "n.net", root=place) for n in ("a", "b", "a", "b")]
    assert [next(iter(m.imports)) for m in models] == ["a/lib.net", "b/lib.net"] * 2
    first, second, *again = (m(data()[0]).tobytes() for m in models)
    assert first != second
    assert [first, second] == again


def test_texts_are_those_that_were_compiled(place):
    netc.compile(place / "n.net").step(*data())
    model = netc.compile(place / "n.net")
    (place / "lib.net").write_text("fn double(x) = x / 0 + unknown\n")
    (place / "n.net").write_text("")
    assert "double" in model.ir("ast")
    assert model(data()[0]).shape == (20, 4)
    assert model.imports == {"lib.net": LIBRARY}


def test_damage_is_a_miss_and_is_replaced(place, compiled):
    path = place / "n.net"
    expected = netc.compile(path).step(*data())
    files = sorted((place / "cache").iterdir())
    assert [f.suffix for f in files] in ([".outline", ".step"], [".step", ".outline"])
    whole = {f: f.read_bytes() for f in files}
    for file in files:
        file.write_bytes(whole[file][:-1])
    assert netc.compile(path).step(*data()) == expected
    assert compiled == ["text", "function"] * 2
    assert {f: f.read_bytes() for f in files} == whole


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[1]", b'{"imports": 3}', b"\xff\n\n"])
def test_entries_of_another_form_are_misses(place, compiled, content):
    path = place / "n.net"
    expected = netc.compile(path).step(*data())
    for file in (place / "cache").iterdir():
        Store(str(place / "cache")).write(file.name, content)
    assert netc.compile(path).step(*data()) == expected
    assert compiled == ["text", "function"] * 2


def test_a_broken_text_is_reported_every_time(place):
    (place / "n.net").write_text("net N { input x: [2]  output y = z }\n")
    reports = []
    for _ in range(2):
        with pytest.raises(netc.CompileError) as report:
            netc.compile(place / "n.net")
        reports.append(str(report.value))
    assert reports[0] == reports[1]
    assert not (place / "cache").exists()


def test_processes_compile_the_same_at_once(place):
    command = "import sys, netc; m = netc.compile(sys.argv[1]); print(m.step([[1, 2, 3]], [1]))"
    places = {"cwd": Path(__file__).parents[3], "env": dict(os.environ)}
    words = [sys.executable, "-c", command, str(place / "n.net")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, **places) for _ in range(3)]
    printed = {process.communicate()[0] for process in running}
    assert len(printed) == 1
    assert printed != {b""}
    suffixes = sorted(f.suffix for f in (place / "cache").iterdir())
    assert suffixes == [".outline", ".step"]


def test_timings_say_what_was_done(place):
    fresh, again = (netc.compile(place / "n.net") for _ in "ab")
    fresh.step(*data())
    assert {"parse", "elaborate", "codegen", "load"} <= fresh.timings.keys()
    assert all(seconds >= 0 for seconds in fresh.timings.values())
    again.step(*data())
    assert set(again.timings) == {"cache", "initial values", "load"}


def test_plain_forms_read_back(place):
    model = netc.compile(place / "n.net")
    found = Settings(clip_norm=inf, monitor="loss", patience=3)
    for value in (model.manifest, found, FunctionSpec("infer", "s", ("x",), (), 1, 2)):
        again = restored(type(value), json.loads(json.dumps(plain(value))))
        assert repr(again) == repr(value)  # NaN is not equal to itself
    with pytest.raises((ValueError, TypeError)):
        restored(Manifest, [1, 2])
