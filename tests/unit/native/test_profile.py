"""Profiles: every kernel is found, counted and placed, and the stamps change no result."""

import json

import numpy as np
import pytest

from netc.__main__ import main
from netc.compiler.backend.stamps import stamped, stamps_module
from netc.compiler.driver import compile_text
from netc.grammar.source import Source
from netc.profile import BODY, Stamped, example, order, profile
from netc.runtime.arguments import Signature
from netc.runtime.errors import UsageError
from netc.runtime.evaluate import addresses
from netc.runtime.executable import Executable

TEXT = """\
net Small {
  input x: [6]
  target t: class[3]
  h = x |> dense(5, act=tanh)
  logits = h
    |> dense(3)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
}
train { optimizer = adam() }
"""
SAMPLES = 9
QUICK = 0.01


@pytest.fixture(scope="module")
def program():
    return compile_text(Source("small.net", TEXT))


@pytest.fixture(scope="module")
def step(program):
    return profile(program, "step", SAMPLES, seconds=QUICK)


def test_stamps_are_all_that_is_added(program):
    stages = program.stages("step")
    text, places = stamped(stages.llvm, {*stages.kernels, BODY})
    added = ("%stamp.", "@netc_counters = ", "declare i64 @llvm.readcyclecounter")
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(added)]
    assert [line for line in kept if line] == [x for x in stages.llvm.splitlines() if x]
    assert places.count(BODY) == 1
    assert len(places) == 1 + len(stages.launches)
    assert stamps_module().count("call void @nothing()") == 64


def test_every_kernel_of_the_plan_is_timed(program, step):
    launches = program.stages("step").launches
    assert len(step.kernels) == len(launches)
    assert [k.description.symbol.split("_")[0] for k in step.kernels] == [
        launch.unit.kind for launch in launches
    ]
    assert all(k.calls >= 1 for k in step.kernels)
    assert all(k.seconds >= 0 for k in step.kernels)
    assert step.seconds > 0
    assert step.threads == 1


def test_operations_are_those_of_the_products(step):
    first, second = 6 * 5, 5 * 3
    found = [k.description.operations for k in step.kernels]
    assert sum(found) == 2 * SAMPLES * (2 * first + 3 * second)
    assert any(n == 0 for n in found)


def test_bytes_count_each_buffer_once(step):
    packs = {k.description.what: k.description.bytes for k in step.kernels}
    block = 16 if step.lanes == 16 else step.lanes
    blocks = -(-SAMPLES // block)
    assert packs["pack x"] == 4 * 6 * (SAMPLES + blocks * block)


def test_kernels_know_their_lines(step):
    by_name = {k.description.what: k.description.lines for k in step.kernels}
    update = next(lines for what, lines in by_name.items() if "→ h.dense.W" in what)
    assert "4" in update
    assert not {"5", "6"} & set(update)
    assert all(1 <= int(line) <= 10 for lines in by_name.values() for line in lines)


def test_machine_is_measured(step):
    assert step.peak > 1e8
    assert step.bandwidth > 1e8
    assert all(step.roofline(k) >= 0 for k in step.kernels)


def test_stamped_function_computes_the_same(program):
    given = example(program.manifest, SAMPLES)
    assert given["x"].shape == (SAMPLES, 6)
    assert set(np.unique(given["t"])) <= {0, 1, 2}
    batch = Signature(program.manifest).converted(given)
    found = []
    for native in (program.native, Stamped(program, "step").native):
        executable = Executable(program.manifest, native, program.initial(0), 0)
        slots = addresses(executable, batch, {})
        losses = [executable.run("step", SAMPLES, slots) for _ in range(3)]
        found.append((losses, executable.parameters.flat.tolist()))
    assert found[0] == found[1]


def test_few_samples_go_one_by_one_and_some_in_groups(program):
    few = program.manifest.inference.few
    assert few > 0
    found = profile(program, "infer", few, seconds=QUICK)
    assert found.function == "infer_one"
    assert all(k.calls == few for k in found.kernels if k.description.operations)
    assert sum(k.description.operations for k in found.kernels) == 2 * few * (6 * 5 + 5 * 3)
    ways = program.manifest.inference
    assert few < ways.several
    some = profile(program, "infer", ways.several, seconds=QUICK)
    groups = -(-ways.several // ways.group)
    assert some.function == "infer_group"
    assert all(k.calls == groups for k in some.kernels if k.description.operations)
    computed = 2 * groups * ways.group * (6 * 5 + 5 * 3)
    assert sum(k.description.operations for k in some.kernels) == computed
    many = profile(program, "infer", ways.several + 1, seconds=QUICK)
    assert many.function == "infer"


def test_variants_call_the_same_kernels():
    places = ["a", "b", "a", "a", "b", "a", BODY]
    assert order(places, ["a", "b", "a"]) == [(0, 3), (1, 4), (2, 5), (6,)]
    with pytest.raises(LookupError):
        order(["a", "a", "b", BODY], ["a", "b", "a"])


def test_a_function_that_is_not_there():
    program = compile_text(Source("s.net", "net N { input x: [2]\n output y = x }"))
    with pytest.raises(UsageError, match="no loss"):
        profile(program, "step", 1)


def test_command(tmp_path, capsys):
    path = tmp_path / "small.net"
    path.write_text(TEXT)
    assert main(["profile", str(path), "--batch", "7", "--seconds", "0.01", "--json"]) == 0
    out = capsys.readouterr().out
    data = json.loads(out.splitlines()[-1])
    assert (data["function"], data["samples"]) == ("step", 7)
    assert {"kernel", "what", "lines", "seconds", "operations", "roofline"} <= set(
        data["kernels"][0]
    )
    times = [kernel["seconds"] for kernel in data["kernels"]]
    assert times == sorted(times, reverse=True)
    assert "total" in out
    with pytest.raises(SystemExit):
        main(["profile", str(path), "--function", "train"])
