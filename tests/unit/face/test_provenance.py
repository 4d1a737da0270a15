"""Where nodes come from: places and names, chains of rewrites, and what one pass did."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import netc
from netc.__main__ import main
from netc.compiler.driver import compile_text
from netc.compiler.ir.trail import current_trail
from netc.compiler.ops.reader import read
from netc.grammar.source import Source

NET = """\
net Line {
  input  x: [2]
  target y: [1]
  p = x |> dense(1, act=tanh)
  output p
  loss squared_error(p, y)
}
train { optimizer = sgd(lr=0.1) }
"""


@pytest.fixture
def line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.net").write_text(NET)


@pytest.fixture
def ir(line, capsys):
    def run(*arguments, status=0):
        assert main(["ir", "line.net", *arguments]) == status
        captured = capsys.readouterr()
        return captured.out if status == 0 else captured.err

    return run


def test_every_line_of_a_graph_has_its_place_and_name(ir):
    text = ir("--stage", "simplified")
    named = dict(re.findall(r"^(%\d+) = (?:.*)  # (.*)$", text, re.MULTILINE))
    plain = [line for line in text.splitlines() if line.startswith("%") and "  # " not in line]
    assert all("constant" in line or "batch_size" in line for line in plain)
    assert set(named.values()) == {
        "line.net:2:3 x",
        "line.net:3:3 y",
        "line.net:4:12 p",
        "line.net:4:12 derivative of p",
        "line.net:6:8 loss",
        "line.net:6:8 derivative of loss",
        "line.net:8:21 lr",
        "line.net:8:28 train.1",
        "line.net:8:21 update of p.dense.W",
        "line.net:8:21 update of p.dense.b",
    }


def test_why_leads_back_to_the_text(ir):
    text = ir("--stage", "simplified")
    found = re.search(r"^(%\d+) = contract\{spec='z,y->yz'", text, re.MULTILINE)
    assert found is not None
    steps = ir("--why", found[1]).splitlines()
    assert steps[0].startswith(f"{found[1]} = contract{{spec='z,y->yz', sum_batch=True}} %")
    assert steps[1] == "  simplify: the same operation on new arguments"
    assert "  derivatives: chain rule through the contract, argument 2" in steps
    assert steps[-2:] == ["  line.net:4:12 derivative of p", "    dense(1, act=tanh)"]
    two = re.search(r"^(%\d+) = constant\{value=2.0\}", text, re.MULTILINE)
    assert "x + x = x * 2" in ir("--why", two[1][1:])


def test_why_at_an_earlier_stage(ir):
    assert ir("--stage", "graph", "--why", "%5") == (
        "%5 = tanh %4 : f32[B, 1]\n  line.net:4:12 p\n    dense(1, act=tanh)\n"
    )


def test_a_diff_shows_what_a_pass_changed_and_nothing_else(ir):
    lines = ir("--diff", "simplify").splitlines()
    assert lines[:2] == ["--- before simplify", "+++ after simplify"]
    changed = [line[:1] + re.sub(r"  #.*", "", line[1:]) for line in lines if line[0] in "+-"][2:]
    assert "-%20 = add %19 %19 : f32[B, 1]" in changed
    assert "+%20 = mul %19 %new2 : f32[B, 1]" in changed
    assert not any(line.startswith(("-%27", "+%27")) for line in changed)
    assert ir("--diff", "affine") == ""


def test_the_graph_after_a_pass_is_the_one_before_the_next(line):
    program = compile_text(Source("line.net", NET))
    found = program.provenance("step")
    assert found.changes[0].before == found.backward == program.stages("step").graph
    assert found.changes[-1].after == found.simplified == program.stages("step").simplified
    for one, following in zip(found.changes, found.changes[1:], strict=False):
        assert one.after == following.before


def test_dump_after_reads_back(ir, line):
    program = compile_text(Source("line.net", NET))
    expected = program.provenance("step").changes[0].after
    assert read(ir("--dump-after", "release")) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--why", "%99"], "no node %99; there are %0 to %34"),
        (["--diff", "simplifi"], "no pass `simplifi`; there are release, fold, simplify"),
        (["--dump-after", "x"], "no pass `x`; there are release"),
        (["--stage", "fused", "--why", "%1"], "some in `graph`, `backward`, `simplified`"),
        (["--stage", "graph", "--kernel", "k"], "some in `loops`, `llvm`, `asm`"),
        (["--stage", "loops", "--kernel", "zz"], "no kernel zz; there are nests_0, pack_1"),
        ([], "pass --stage"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(ir, arguments, words):
    assert words in ir(*arguments, status=2)


def test_nothing_is_noted_unless_asked_for(line):
    program = compile_text(Source("line.net", NET))
    program.stages("step")
    assert current_trail() is None
    program.provenance("step")
    assert current_trail() is None


DUMP = """
import netc, sys
model = netc.compile("line.net")
for stage in ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm"):
    print(model.ir(stage))
from netc.__main__ import main
main(["ir", "line.net", "--diff", "simplify"])
main(["ir", "line.net", "--why", "%24"])
"""


def test_two_processes_print_the_same_bytes(line, monkeypatch, capsys):
    exec(DUMP, {})
    here = capsys.readouterr().out
    monkeypatch.setenv("PYTHONPATH", str(Path(netc.__file__).parents[1]))
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    there = subprocess.run([sys.executable, "-c", DUMP], capture_output=True, check=True).stdout
    assert len(here) > 20_000
    assert here.encode() == there
