"""`netc check --cost`: work, traffic and memory of a small net, counted by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import netc.cost
from netc.__main__ import main
from netc.compiling import program_of, read_source
from netc.cost import Cost, cost
from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """net N {
  input x: [4]
  target t: [3]
  h = x |> dense(5, act=tanh)
  y = h |> dense(3)
  output y
  loss squared_error(y, t)
}
train { optimizer = sgd() }
"""
SAMPLES = 320
PEAK, BANDWIDTH = 1e9, 1e8


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(netc.cost, "limits", lambda machine: (PEAK, BANDWIDTH))
    path = tmp_path / "net.net"
    path.write_text(TEXT, encoding="utf-8")
    return path


def found(file: Path, function: str | None) -> Cost:
    return cost(program_of(read_source(str(file)), {}, "f32", None), function, SAMPLES)


def test_lines_of_a_step(file):
    step = found(file, None)
    assert step.function == "step"
    macs = {line.line: line.macs for line in step.lines}
    assert macs["4"] == 2 * 4 * 5 * SAMPLES  # the product and its weights' gradient
    assert macs["5"] == 3 * 5 * 3 * SAMPLES  # and that of the samples
    assert sum(macs.values()) == step.total.macs
    assert sum(line.bytes for line in step.lines) == step.total.bytes
    assert sum(line.bound for line in step.lines) == pytest.approx(step.total.bound)
    assert [line.text for line in step.lines if line.line == "4"] == ["h = x |> dense(5, act=tanh)"]


def test_bounds_and_memory_of_inference(file):
    infer = found(file, "infer")
    first = next(line for line in infer.lines if line.line == "4")
    moved, padding = first.bytes, 4 * 5 * 64  # rows of weights are whole vectors in memory
    assert 0 <= moved - 4 * (4 * SAMPLES + 4 * 5 + 5 + 5 * SAMPLES) < padding  # x, W, b, h
    assert first.bound == max(2 * 20 * SAMPLES / PEAK, moved / BANDWIDTH)
    assert first.limit == "traffic"
    assert first.intensity == 2 * 20 * SAMPLES / moved
    assert first.live == 4 * (4 + 5) * SAMPLES
    assert infer.total.live == max(moment.live for moment in infer.moments) <= infer.arena
    assert sum(moment.kernels for moment in infer.moments) == infer.total.kernels


def test_a_function_that_is_not_there(file):
    file.write_text("net N { input x: [4]\n  y = x |> dense(3)\n  output y }", encoding="utf-8")
    assert found(file, None).function == "infer"
    with pytest.raises(UsageError, match="has no loss"):
        found(file, "step")


def test_the_command(file, capsys):
    assert main(["check", str(file), "--cost", "--batch", "320", "--json"]) == 0
    printed = capsys.readouterr().out
    assert "h = x |> dense(5, act=tanh)" in printed
    data = json.loads(printed.splitlines()[-1])
    assert data["total"]["macs"] == 85 * SAMPLES
    assert main(["check", str(file), "--batch", "320"]) != 0
    assert "--cost" in capsys.readouterr().err
