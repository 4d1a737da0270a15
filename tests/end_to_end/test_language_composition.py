"""How texts are put together: instances, arguments that are callables, groups, totals, imports."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import netc
from netc.__main__ import main
from tests.end_to_end.language import Case, check, cross_entropy, softmax, total
from tests.end_to_end.test_language_values import labelled, normal


def dense(p, name, x):
    return x @ p[f"{name}.W"] + p[f"{name}.b"]


def cells(p, x, z):
    def cell(h):
        return np.tanh(dense(p, "cell.dense", h))

    a = cell(cell(cell(x)))
    b = z + cell(z)
    c = cell(np.tanh(dense(p, "c.dense", cell(x))))
    norm = (p["cell.dense.W"] ** 2).sum() + (p["cell.dense.b"] ** 2).sum()
    return {"a": a, "b": b, "c": c, "loss": total(a * b + c), "penalty": 0.1 * float(norm)}


def arguments(p, x):
    def around(name, f, g):
        return f(g(x @ p[f"{name}.around.W"] + p[f"{name}.around.shift"]))

    a = around("a", lambda z: z**2, np.tanh)
    b = around("b", np.sin, lambda z: dense(p, "b.around.dense", np.maximum(z, 0)))
    c = around("c", lambda z: 3 * np.exp(-z * z), lambda z: z)
    return {"a": a, "b": b, "c": c, "loss": total(a) + total(b) + total(c)}


def many(p, left, right, value, label):
    h = np.tanh(dense(p, "h.dense", left) + dense(p, "h.dense_2", right))
    y, z = dense(p, "y.dense", h), dense(p, "z.dense", h)
    named = sum(np.abs(p[k]).sum() for k in ("h.dense.W", "h.dense.b"))
    weights = sum((p[k] ** 2).sum() for k in p if k.endswith(".W"))
    error = ((y - value) ** 2).sum(1)
    return {
        "y": y,
        "p": softmax(z),
        "error": y - value,
        "loss": error + 0.5 * cross_entropy(z, label) + total(h**2),
        "penalty": float(0.01 * named + 0.02 * weights),
        "hit": np.argmax(z, 1) == label,
        "rmse": np.sqrt(error),
    }


CASES = (
    Case("instances_as_chains", """
      input x: [3]; input z: [3]
      layer cell = dense(3) |> tanh
      a = x |> repeat(3, cell)
      b = z |> residual(cell)
      c = x |> cell |> dense(3) |> tanh |> cell
      output a; output b; output c
      loss sum(a * b + c)
      penalty 0.1 * l2(params("cell.*"))
    """, normal(x=(3,), z=(3,)), cells),
    Case("callables_as_arguments", """
      const scale = 3
      fn square(z) = z^2
      fn bell(z, top = 1) = top * exp(-square(z))
      init half(by = 2) = 1 / by
      layer around(x: [n], f: fn, g: layer = identity, start: init = half) {
        param W: [n, 4] = start
        param shift: [4] = start
        return f(g(x @ W + shift))
      }
      net Arguments {
        input x: [3]
        a = x |> around(square, tanh)
        b = x |> around(sin, relu |> dense(2), start=normal(0, 0.5))
        c = x |> around(bell(top=scale), start=half(by=4))
        output a; output b; output c
        loss sum(a) + sum(b) + sum(c)
        assert count(params) == 3 * (12 + 4) + 10 and scale == 3
      }
    """, normal(x=(3,)), arguments),
    Case("several_of_everything", """
      input left: [3]; input right: [5]
      target value: [2]; target label: class[4]
      h = tanh(dense(left, 6) + dense(right, 6))
      y = h |> dense(2)
      z = h |> dense(4)
      output y
      output p = softmax(z)
      output error = y - value
      loss squared_error(y, value)
      loss 0.5 * cross_entropy(z, label)
      loss sum(h^2)
      penalty 0.01 * l1(params("h.dense.*"))
      penalty 0.02 * l2(weights)
      metric hit = argmax(z) == label
      metric rmse = sqrt(sum((y - value)^2))
    """, labelled(normal(left=(3,), right=(5,), value=(2,)), label=(4, ())), many, (1, 17, 33)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_net_is_numpys(case: Case) -> None:
    check(case)


TOTALS = """
const wide = 4
net Totals {
  input x: [1, 6, 6]
  state s: [5] = 0
  h = x |> flatten |> dense(wide)
  if training { s <- s + 1 }
  output p = h |> dense(2, bias=false) |> softmax
  assert count(params) == 36 * wide + wide + 2 * wide and count(weights) == 38 * wide
  assert macs == 38 * wide
  assert memory == BYTES * (count(params) + 5)
  assert shape(x) == [1, 6, 6] and shape(h) == [wide] and size(x) == 36
}
"""


@pytest.mark.parametrize(("precision", "bytes"), [("f32", 4), ("f64", 8)])
@pytest.mark.parametrize("wide", [4, 7])
def test_totals(precision: netc.model.Precision, bytes: int, wide: int) -> None:
    text = TOTALS.replace("BYTES", str(bytes))
    netc.compile(source=text, precision=precision, defines={"wide": wide})
    other = TOTALS.replace("BYTES", str(bytes + 1))
    with pytest.raises(netc.CompileError, match=f"{bytes * (39 * wide + 5)} == "):
        netc.compile(source=other, precision=precision, defines={"wide": wide})


COUNTED = """
layer drift(x: [n], rate = 0.5) {
  state mean: [n] = 0
  mean <- (1 - rate) * mean + rate * batch_mean(x)
  return x - mean
}
net Counted {
  input left: [2]; input right: [2]
  layer shift = drift(rate=0.25)
  a = shift(left)
  b = shift(right)
  c = left |> drift |> drift
  output a; output b; output c
  loss sum(a + b + c)
}
"""


def test_states_of_an_instance_are_one_and_move_in_text_order() -> None:
    model = netc.compile(source=COUNTED, precision="f64")
    random = np.random.default_rng(0)
    left, right = random.normal(1, 1, (2, 9, 2))
    assert list(model.state) == ["shift.drift.mean", "c.drift.mean", "c.drift_2.mean"]
    found = model.forward(left, right, training=True)
    first = 0.25 * left.mean(0)
    second = 0.75 * first + 0.25 * right.mean(0)
    np.testing.assert_allclose(found["a"], left - first, rtol=1e-12)
    np.testing.assert_allclose(found["b"], right - second, rtol=1e-12)
    np.testing.assert_allclose(model.state["shift.drift.mean"], second, rtol=1e-12)
    once = left - 0.5 * left.mean(0)
    np.testing.assert_allclose(found["c"], once - 0.5 * once.mean(0), rtol=1e-12, atol=1e-15)
    before = {name: value.copy() for name, value in model.state.items()}
    found = model.forward(left, right)
    np.testing.assert_allclose(found["a"], left - second, rtol=1e-12)
    np.testing.assert_allclose(found["b"], right - second, rtol=1e-12)
    for name, value in before.items():
        np.testing.assert_array_equal(model.state[name], value)


# -- imports ---------------------------------------------------------------------------------------

ONE_FILE = """
const hidden = 5
const slope = 0.2
fn bent(z) = where(z > 0, z, slope * z)
layer block(x: [n], units = hidden) {
  param scale: [units] = 1
  return bent(x |> dense(units)) * scale
}
fn close(p, t) = sum((p - t)^2)
optimizer plain(lr = 0.1) { state n = 0; n <- n + 1; w <- w - lr * g / sqrt(n) }
net Parts {
  input x: [3]
  target t: [2]
  y = x |> block |> dropout(0.2) |> block(2)
  output y
  loss close(y, t)
}
train { optimizer = plain(lr=0.05); batch = 7; epochs = 3 }
"""
FILES = {
    "nets/parts.net": """
import "blocks.net"
import "../shared/rules.net"
net Parts {
  input x: [3]
  target t: [2]
  y = x |> block |> dropout(0.2) |> block(2)
  output y
  loss close(y, t)
}
train { optimizer = plain(lr=0.05); batch = 7; epochs = 3 }
""",
    "nets/blocks.net": """
import "../shared/bent.net"
const hidden = 5
## A bent dense layer with a scale.
layer block(x: [n], units = hidden) {
  param scale: [units] = 1
  return bent(x |> dense(units)) * scale
}
""",
    "shared/bent.net": """
const slope = 0.2
fn bent(z) = where(z > 0, z, slope * z)
""",
    "shared/rules.net": """
fn close(p, t) = sum((p - t)^2)
optimizer plain(lr = 0.1) { state n = 0; n <- n + 1; w <- w - lr * g / sqrt(n) }
""",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.normal(0, 1, (40, 3)), random.normal(0, 1, (40, 2))


def test_several_files_are_one_text(place: Path) -> None:
    one = netc.compile(source=ONE_FILE, precision="f64")
    several = netc.compile("nets/parts.net", root=".", precision="f64")
    assert list(one.params) == list(several.params)
    for model in (one, several):
        model.fit(*data(), progress=False)
    assert one.params.flat.tobytes() == several.params.flat.tobytes()
    assert set(several.imports) == set(FILES) - {"nets/parts.net"}


def test_a_saved_model_needs_no_libraries(place: Path) -> None:
    model = netc.compile(place / "nets" / "parts.net", root=place)
    model.fit(*data(), progress=False)
    model.save(place / "run")
    kept = {p.relative_to(place / "run" / "imports").as_posix() for p in walk(place / "run")}
    assert kept == set(FILES) - {"nets/parts.net"}
    for name in FILES:
        (place / name).unlink()
    loaded = netc.load(place / "run")
    assert loaded(data()[0]).tobytes() == model(data()[0]).tobytes()
    for each in (model, loaded):
        each.fit(*data(), progress=False, resume=True, epochs=5)
    assert loaded.params.flat.tobytes() == model.params.flat.tobytes()
    loaded.save(place / "again")
    assert netc.load(place / "again").imports == model.imports


def walk(run: Path) -> list[Path]:
    return [p for p in (run / "imports").rglob("*") if p.is_file()]


def test_a_link_is_kept_too(place: Path) -> None:
    (place / "nets" / "blocks.net").rename(place / "shared" / "real.net")
    (place / "shared" / "real.net").write_text(FILES["nets/blocks.net"].replace("../shared/", ""))
    (place / "nets" / "blocks.net").symlink_to("../shared/real.net")
    model = netc.compile("nets/parts.net", root=".")
    model.save("run")
    assert list(netc.load("run").params) == list(model.params)


@pytest.mark.parametrize("file", ["../x.net", "/x.net", "nets/../../x.net", "", ".", 3, None])
def test_a_damaged_list_of_imports(place: Path, file: object) -> None:
    netc.compile("nets/parts.net", root=".").save("run")
    path = place / "run" / "run.json"
    description = json.loads(path.read_text())
    description["imports"]["nets/blocks.net"] = file
    path.write_text(json.dumps(description))
    with pytest.raises(netc.DataError, match="damaged"):
        netc.load("run")


def test_an_import_missing_from_a_run(place: Path) -> None:
    netc.compile("nets/parts.net", root=".").save("run")
    (place / "run" / "imports" / "shared" / "bent.net").unlink()
    with pytest.raises(netc.DataError, match=r"bent\.net"):
        netc.load("run")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_root_bounds_imports(place: Path) -> None:
    with pytest.raises(netc.CompileError, match="import-outside-root") as caught:
        netc.compile("nets/parts.net")
    assert "nets/parts.net:3:8" in str(caught.value)
    with pytest.raises(netc.UsageError, match=r"`nets/parts\.net` is not in the folder `shared`"):
        netc.compile("nets/parts.net", root="shared")
    with pytest.raises(netc.UsageError, match="`nothing` is not a folder"):
        netc.compile("nets/parts.net", root="nothing")


def test_a_text_imports_from_a_root_only(place: Path) -> None:
    text = 'import "bent.net" net N { input x: [2]; output y = bent(x) }'
    assert netc.compile(source=text, root="shared").forward(-np.ones((1, 2)))[0, 0] < 0
    with pytest.raises(netc.CompileError, match="import-without-root"):
        netc.compile(source=text)


def command(capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(text.split())
    return status, "".join(capsys.readouterr())


def test_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data()
    np.savez("d.npz", x=x, t=t)
    file = "nets/parts.net --root ."
    assert "y.block_2" in command(capsys, f"check {file}")[1]
    status, text = command(capsys, f"ir {file} --stage simplified --function infer")
    assert (status, "graph infer" in text or "infer" in text) == (0, True)
    status, text = command(capsys, f"train {file} --data d.npz --out run --quiet")
    assert status == 0, text
    status, text = command(capsys, f"eval {file} --weights run --data d.npz")
    assert (status, "note" in text) == (0, False), text
    assert command(capsys, f"predict {file} --weights run --data d.npz -o p.npz")[0] == 0
    assert np.load("p.npz")["y"].shape == (40, 2)
    replace(place / "shared" / "bent.net", "0.2", "0.3")
    status, text = command(capsys, f"eval {file} --weights run --data d.npz")
    assert (status, "imports other texts than `run`" in text) == (0, True), text
    assert command(capsys, f"train {file} --data d.npz --resume run --epochs 4 --quiet")[0] == 0
    status, text = command(capsys, "check nets/parts.net")
    assert (status, "import-outside-root" in text) == (1, True)
    assert command(capsys, "check nets/parts.net --root nothing")[0] == 2


def test_fmt_and_doc(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = command(capsys, "fmt nets/parts.net nets/blocks.net")
    assert status == 0
    assert 'import "../shared/rules.net"' in text
    status, text = command(capsys, "doc block --file nets/parts.net --root .")
    assert (status, "A bent dense layer" in text) == (0, True), text
    status, text = command(capsys, "doc bent --file nets/parts.net --root .")
    assert (status, "nor the compiler has `bent`" in text) == (1, True), text
    assert command(capsys, "doc bent --file nets/blocks.net --root .")[0] == 0
    assert os.fspath(place) not in text
