"""Wrong texts, wrong calls and odd nets: a report of the right kind, never another exception."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import netc
from tests.end_to_end.data import EXAMPLES

TRAINED = "input x: [3]; target y: [2]; z = x |> dense(2); loss squared_error(z, y)"

BODIES = {
    "input x: [0]; output x": "not-a-size",
    "input x: [99999999999999999999]; output x": "not-a-size",
    "input x: [2.5]; output x": "not-a-size",
    "input x: [2]; output y = x * (1 / 0)": "bad-arithmetic",
    "input x: [2]; output y = x * log(-1)": "bad-arithmetic",
    "input x: [2]; output y = x * 9^9^9": "bad-arithmetic",
    "input x: [2]; output y = x * " + "9" * 5000: "number-out-of-range",
    "input x: [2]; output y = " + "(" * 3000 + "x" + ")" * 3000: "nested-too-deep",
    "input x: [2]; output y = " + "-" * 3000 + "x": "nested-too-deep",
    "input x: [2]; output y = x" + "[0:2]" * 3000: "nested-too-deep",
    "input x: [2]; " + "if true { " * 500 + "output x" + " }" * 500: "nested-too-deep",
    "input x: [2]; output y = x |> repeat(1000000, tanh)": "not-a-size",
    "input x: [2]; output y = x |> repeat(-1, tanh)": "not-a-size",
    "input x: [3, 2]; output y = sum(x, axis=[0, -2])": "wrong-kind",
    "input x: [3, 2]; output y = sum(x, axis=2)": "axis-out-of-range",
    "input x: [3]; output y = x[2:1]": "index-out-of-range",
    'input x: [3]; output y = einsum("i->->i", x)': "bad-einsum",
    "input x: [3]; output y = x % 2": "unexpected-character",
    "input x: [3]; output y = 0x10 * x": "malformed-number",
    "input x: [3]; output y = x < x < x": "syntax-error",
    "input x: [3]; state s = 0; s <- 1; s <- 2; output x": "assigned-twice",
    "input x: [3]; layer e = dense(4); output y = e(e(x))": "parameter-shape-conflict",
    "input x: [3]; output y = grad(x^2, x)": "derivative-of-many",
    "input x: [3]; output y = grad(sum(x^2), x^2)": "not-a-variable",
}
FILES = {
    "": "no-net",
    "net N { input x: [3]; output x": "syntax-error",
    "net N { input x: [3]\0 }": "unexpected-character",
    "net N {\r\n\tinput x: [3]\r\n\toutput y =\tq\r\n}\r\n": "unknown-name",
    "fn f(x: [.., ..]) = x net N { input x: [3, 2]; output y = f(x) }": "not-supported",
    "fn f(x, n) = if n == 0 then x else f(x, n - 1) net N { input x: [3]; output y = f(x, 3) }":
        "recursion",
    f"net N {{ {TRAINED} }} train {{ optimizer = relu }}": "not-an-optimizer",
    f'net N {{ {TRAINED} }} train {{ optimizer = sgd; freeze("*") }}': "nothing-to-train",
    f"net N {{ {TRAINED} }} train {{ optimizer = sgd; batch = 0 }}": "bad-setting",
}  # fmt: skip
WRONG = {**{f"net N {{ {body} }}": slug for body, slug in BODIES.items()}, **FILES}


@pytest.mark.parametrize("text", WRONG, ids=[f"{i}-{s}" for i, s in enumerate(WRONG.values())])
def test_wrong_texts(text: str) -> None:
    with pytest.raises(netc.CompileError) as caught:
        netc.compile(source=text)
    assert WRONG[text] in [d.slug for d in caught.value.diagnostics]
    assert "<source>:" in str(caught.value)


def test_a_net_without_inputs_is_one_sample() -> None:
    text = "net N { param a: [3] = [1, 2, 3]; output b = 2 * a; penalty l2(a) }"
    model = netc.compile(source=text + "train { optimizer = sgd(lr=0.25) }")
    np.testing.assert_array_equal(model.forward(), [[2, 4, 6]])
    assert model.step() == 14
    np.testing.assert_array_equal(model.params["a"], [0.5, 1, 1.5])
    assert model.evaluate()["loss"] == 0


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), [1]])
def test_constants_from_outside_are_finite_values(value: object) -> None:
    with pytest.raises(netc.UsageError, match="`lambda` takes a finite number"):
        netc.compile(str(EXAMPLES / "logistic.net"), defines={"lambda": value})


def test_constants_from_outside_may_be_numpys() -> None:
    text = "const n = 2 net N { input x: [n]; output x }"
    model = netc.compile(source=text, defines={"n": np.int64(5)})
    assert model.forward(np.ones((1, 5))).shape == (1, 5)


def test_a_run_time_number_is_not_nan() -> None:
    text = f"net N {{ {TRAINED} }} train {{ optimizer = sgd }}"
    with pytest.raises(netc.UsageError, match="`lr` must be a number"):
        netc.compile(source=text).fit(np.ones((2, 3)), np.ones((2, 2)), lr=float("nan"))


def run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netc", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("ir xor.net --stage loops --kernel nope", 2, "no kernel nope; there are"),
        ("check logistic.net -D lambda=nan", 2, "finite number"),
        ("check odd.net", 1, "`odd.net` is not UTF-8 text"),
        ("train xor.net --data xor.csv --set lr=nan", 2, "--set lr: expected a number"),
        ("train xor.net --data xor.csv --out xor.csv/run", 1, "xor.csv` takes no run"),
        ("train xor.net --data xor.csv --set lr=1e30 --epochs 4 --out r", 0, "not a number"),
        ("doc exp", 0, "primitive exp(x)"),
        ("doc", 0, "prelude/activations.net"),
    ],
)
def test_commands(tmp_path: Path, arguments: str, status: int, words: str) -> None:
    for name in ("xor.net", "xor.csv", "logistic.net"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    (tmp_path / "odd.net").write_bytes(b"\xff\xfe")
    found = run(*arguments.split(), folder=tmp_path)
    assert found.returncode == status, found.stderr
    assert words in found.stdout + found.stderr
    assert "Traceback" not in found.stderr


def test_an_interrupted_training_is_saved_and_goes_on(tmp_path: Path) -> None:
    train = ("train", EXAMPLES / "xor.net", "--data", EXAMPLES / "xor.csv")
    long = (*train, "--epochs", "1000000000", "--out", "run")
    command = [sys.executable, "-m", "netc", *map(str, long)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"epoch ")
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
    assert process.returncode == 130
    assert "interrupted: the run so far is saved" in rest
    assert "Traceback" not in rest
    done = len(netc.load(tmp_path / "run").history)
    again = run(*train, "--resume", "run", "--epochs", str(done + 3), "--quiet", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len(netc.load(tmp_path / "run").history) == done + 3
