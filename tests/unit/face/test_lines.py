"""Line tables in text, object files and running processes; the names that perf reads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import netc
from netc.__main__ import main
from netc.compiler.backend.line_table import LineTable, Places
from netc.compiler.driver import compile_text
from netc.compiler.lines import lined
from netc.compiling import library_of, program_of, read_source
from netc.grammar.source import Source

NET = """\
net Line {
  input  x: [2]
  target y: [1]
  h = x |> dense(3, act=tanh)
  p = h |> dense(1)
  output p
  loss squared_error(p, y)
}
train { optimizer = sgd(lr=0.1) }
"""
PRODUCT, SECOND, LOSS, UPDATE = 4, 5, 7, 9

needs_gdb = pytest.mark.skipif(shutil.which("gdb") is None, reason="there is no gdb")


@pytest.fixture
def line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.net").write_text(NET)
    return tmp_path


@pytest.fixture(scope="module")
def program():
    return compile_text(Source("line.net", NET))


@pytest.fixture(scope="module")
def text(program):
    return text_of(program, "step")


def text_of(program, name):
    origins = program.provenance(name).origins
    stages = program.stages(name)
    return lined(stages, origins, name, program.manifest, program.target, program.source)


def kernels(text: str) -> dict[str, tuple[str, list[str]]]:
    """The subprogram and the instructions of every function that has a subprogram."""
    heads = r"^define .*?@(\w+)\(.* !dbg (!\d+) \{\n((?:.*\n)*?)\}"
    found = re.findall(heads, text, re.MULTILINE)
    return {
        name: (scope, [line for line in body.splitlines() if line.startswith("  ")])
        for name, scope, body in found
    }


def places(text: str) -> dict[str, tuple[int, str]]:
    """Line and scope of every location."""
    found = re.findall(r"^(!\d+) = !DILocation\(line: (\d+).*?scope: (!\d+)\)", text, re.MULTILINE)
    return {name: (int(line), scope) for name, line, scope in found}


def place_of(instruction: str) -> str:
    return instruction.rpartition(", !dbg ")[2]


def lines_of(text: str) -> dict[str, set[int]]:
    """The lines of every kernel."""
    known = places(text)
    return {
        name: {known[place_of(i)][0] for i in instructions} - {0}
        for name, (_, instructions) in kernels(text).items()
    }


def gdb(*commands: str, run: list[str]) -> str:
    """What gdb prints in batch mode."""
    given = [part for command in commands for part in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-q", "-batch", "-nx", *given, "--args", *run],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(netc.__file__).parent.parent)},
        check=False,
    )
    return done.stdout + done.stderr


# -- the text --------------------------------------------------------------------------------------


def test_without_the_metadata_the_text_is_that_of_any_compilation(program, text):
    functions = text[: text.index("!llvm.dbg.cu")]
    assert " !dbg " in functions
    assert " !dbg " not in program.stages("step").llvm
    assert re.sub(r",? !dbg !\d+", "", functions) == program.stages("step").llvm


def test_kernels_have_the_lines_of_what_they_compute(program, text):
    assert lines_of(text_of(program, "infer")) == {
        "pack_0": {2},
        "contract_1": {PRODUCT},
        "contract_2": {SECOND},
        "unpack_3": {SECOND},
    }
    found = lines_of(text)
    assert found["results_10"] == {LOSS}
    written = {frozenset(lines) for lines in found.values() if UPDATE in lines}
    assert {frozenset({PRODUCT, UPDATE}), frozenset({SECOND, UPDATE})} <= written


def test_every_instruction_of_a_kernel_has_a_place_in_that_kernel(text):
    known = places(text)
    assert kernels(text)
    for scope, instructions in kernels(text).values():
        assert all(known[place_of(instruction)][1] == scope for instruction in instructions)


def test_layers_of_equal_structure_have_their_own_lines():
    layers = "".join(f"  h{n} = h{n - 1} |> dense(4)\n" for n in range(1, 4))
    net = f"net N {{\n  input h0: [4]\n{layers}  output h3\n}}\n"
    program = compile_text(Source("deep.net", net))
    shared = re.findall(r"^define internal void @contract", program.stages("infer").llvm, re.M)
    apart = text_of(program, "infer")
    heads = re.findall(r'!DISubprogram\(name: "contract_\d+".*? line: (\d+)', apart)
    assert len(shared) == 1
    assert heads == ["3", "4", "5"]


def test_places_in_an_imported_file_name_that_file(tmp_path):
    (tmp_path / "own.net").write_text("fn twice(x) {\n  return 2 * tanh(x)\n}\n")
    main_text = 'import "own.net"\nnet N {\n  input x: [2]\n  output p = 1 - twice(x)\n}\n'
    path = tmp_path / "main.net"
    path.write_text(main_text)
    program = program_of(read_source(str(path)), {}, "f32", library_of(str(path), None))
    text = text_of(program, "infer")
    files = re.findall(r'!DIFile\(filename: "(.*?)", directory: "(.*?)"\)', text)
    assert files == [("main.net", str(tmp_path)), ("own.net", str(tmp_path))]
    assert "!DILexicalBlockFile(scope" in text
    assert set(lines_of(text)["nests_1"]) == {2, 4}
    assert program.object_file("infer").startswith(b"\x7fELF")


def test_file_names_may_have_any_characters():
    source = Source('/tmp/a "b"\\é/c\n.net', "")
    text = LineTable(Places(lambda kernel, statement: None, source)).text()
    assert 'filename: "c\\0A.net", directory: "/tmp/a \\22b\\22\\5C\\C3\\A9"' in text


# -- the object file -------------------------------------------------------------------------------


def test_no_file_is_written_where_there_is_no_folder(line, capsys):
    assert main(["ir", "line.net", "--object", "nowhere/step.o"]) == 1
    assert "nowhere/step.o" in capsys.readouterr().err


@needs_gdb
def test_gdb_finds_the_lines_of_an_object_file(line, capsys):
    assert main(["ir", "line.net", "--function", "infer", "--object", "infer.o"]) == 0
    assert capsys.readouterr().out == ""
    found = gdb(f"break line.net:{PRODUCT}", "break line.net:1000", "info line 5", run=["infer.o"])
    assert re.search(rf"Breakpoint 1 at 0x\w+: file line\.net, line {PRODUCT}\.", found), found
    assert "No line 1000" in found
    assert re.search(rf'Line {SECOND} of "line\.net" starts at address 0x\w+ <contract_\d', found)


# -- a running process -----------------------------------------------------------------------------


def test_a_model_with_lines_computes_the_same(line):
    x, y = np.ones((5, 2), np.float32), np.zeros((5, 1), np.float32)
    plain, wary = netc.compile("line.net"), netc.compile("line.net", lines=True)
    assert plain.step(x, y) == wary.step(x, y)
    assert (plain.params.flat == wary.params.flat).all()


@needs_gdb
def test_gdb_stops_in_a_running_model(line):
    (line / "call.py").write_text(
        "import netc\nmodel = netc.compile('line.net', lines=True, threads=1)\n"
        "print(model.forward([[1.0, 2.0]] * 64))\n"
    )
    found = gdb(
        "set breakpoint pending on",
        f"break line.net:{SECOND}",
        "run",
        "kill",
        run=[sys.executable, "call.py"],
    )
    where = rf"hit Breakpoint 1\.\d, contract_\d+ \(\) at line\.net:{SECOND}"
    assert re.search(where, found), found
    assert re.search(rf"^{SECOND}\s+p = h \|> dense\(1\)$", found, re.MULTILINE)


# -- perf ------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="perf is of Linux")
def test_loaded_functions_are_in_the_map_of_perf(line, monkeypatch):
    file = Path(f"/tmp/perf-{os.getpid()}.map")
    file.unlink(missing_ok=True)
    netc.compile("line.net", precision="f64").forward([[1.0, 2.0]] * 100)
    assert not file.exists()
    monkeypatch.setenv("NETC_PERF", "map")
    program = program_of(read_source("line.net"), {}, "f64")
    address, _ = program.native("infer")
    entries = [entry.split() for entry in file.read_text().splitlines()]
    file.unlink()
    found = {name: (int(start, 16), int(size, 16)) for start, size, name in entries}
    assert found["netc_infer"][0] == address
    assert {"netc_infer:pack_0", "netc_infer:contract_1"} <= set(found)
    ranges = sorted(found.values())
    assert all(size > 0 for _, size in ranges)
    following = pairwise(ranges)
    assert all(start + size <= after for (start, size), (after, _) in following)
