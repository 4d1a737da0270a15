"""What the explorer's page is made of: complete, linked, and safe whatever the text holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netc.__main__ import main
from netc.compiling import library_of, program_of, read_source
from netc.explore.collect import function_data, program_data
from netc.grammar.source import Source

from .conftest import TEXT, unpacked

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(html):
    return unpacked(html)


def lines_of(function, kernel):
    return {line + 1 for line in function["lines"][kernel["lines"]]}


def test_page_has_the_program_and_each_function(data):
    assert list(data) == ["program", "function-infer", "function-step"]
    assert "\n".join(data["program"]["texts"][0]["lines"]) == TEXT
    assert data["program"]["names"]["5"] == ["c", "c.conv", "c.max_pool"]


@pytest.mark.parametrize("name", ["infer", "step"])
def test_every_stage_is_there_and_every_line_of_it_is_marked(data, name):
    texts = {text["name"]: text for text in data[f"function-{name}"]["texts"]}
    stages = ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm")
    assert set(stages) <= set(texts)
    for text in texts.values():
        rows = text["text"].split("\n")
        assert sum(count for count, _, _ in text["marks"]) == len(rows)
        assert text["left_out"] == 0


def test_texts_are_those_of_the_command(data, small):
    texts = {text["name"]: text["text"] for text in data["function-step"]["texts"]}
    for stage in ("ast", "graph", "simplified", "fused"):
        assert texts[stage].split() == small.show(stage, "step").split()
    for stage, mark in (("loops", "#"), ("llvm", ";"), ("asm", "#")):  # there with places
        shown = re.sub(rf"(?m)\s*{mark} small\.net:.*$", "", small.show(stage, "step"))
        assert texts[stage].split() == shown.split()
        assert "@0" not in texts[stage]


def test_kernels_name_the_lines_that_they_come_from(data):
    function = data["function-step"]
    for kernel in function["kernels"]:
        assert lines_of(function, kernel), kernel["symbol"]
        assert kernel["line"] in function["lines"][kernel["lines"]]
    products = {k["what"]: lines_of(function, k) for k in function["kernels"]}
    assert {6} == next(lines for what, lines in products.items() if "convolution 6x3" in what)
    # the update is written by the product that is the gradient
    assert products["product, summed 3x5 → logits.dense.W"] == {8, 14}


def test_lines_inside_a_layer_belong_to_those_that_apply_it():
    text = """layer twice(x) {
  return x |> dense(3, act=tanh)
}
net N {
  input x: [4]
  h = x |> twice
  output p = h |> twice
}
"""
    program = program_of(Source("twice.net", text), {}, "f32")
    function = function_data(program, "infer", 64)
    found = [lines_of(function, k) for k in function["kernels"] if k["kind"] == "contract"]
    assert found == [{2, 6}, {2, 7}]


def test_a_kernel_has_the_same_lines_in_every_text(data):
    function = data["function-step"]
    number = next(n for n, k in enumerate(function["kernels"]) if k["what"].startswith("conv"))
    symbol = function["kernels"][number]["symbol"]
    for text in function["texts"]:
        if text["name"] not in ("loops", "llvm", "asm"):
            continue
        head = {"loops": f"kernel {symbol}(", "llvm": f"@{symbol}(", "asm": f"{symbol}:"}
        at = next(n for n, r in enumerate(text["text"].split("\n")) if head[text["name"]] in r)
        mark = next(m for n, m in expanded(text["marks"]) if n == at)
        assert function["lines"][mark[1]][0] == function["kernels"][number]["line"]
        assert number in function["kernel_sets"][mark[2]]


@pytest.mark.parametrize("stage", ["loops", "llvm"])
def test_statements_of_a_fused_kernel_have_their_own_lines(data, stage):
    function = data["function-step"]
    number = next(n for n, k in enumerate(function["kernels"]) if "→ logits.dense.W" in k["what"])
    text = next(text for text in function["texts"] if text["name"] == stage)
    marks = [mark for _, mark in expanded(text["marks"])]
    own = [mark for mark in marks if function["kernel_sets"][mark[2]] == [number]]
    found = {tuple(function["lines"][mark[1]]) for mark in own}
    assert (7,) in found  # the product
    assert any(lines[0] == 13 for lines in found)  # the update


@pytest.mark.parametrize("stage", ["graph", "backward", "simplified"])
def test_every_node_of_a_graph_has_its_own_line(data, stage):
    function = data["function-step"]
    text = next(text for text in function["texts"] if text["name"] == stage)
    marks = [mark for _, mark in expanded(text["marks"])]
    rows = text["text"].split("\n")
    noted = [re.search(r"# small.net:(\d+):", row) for row in rows]
    assert sum(note is not None for note in noted) > 20
    for note, mark in zip(noted, marks, strict=True):
        if note is not None:
            assert function["lines"][mark[1]][0] == int(note[1]) - 1


def expanded(marks):
    rows = 0
    for mark in marks:
        for _ in range(mark[0]):
            yield rows, mark
            rows += 1


def test_edges_lead_to_later_kernels_and_buffers_lie_in_the_arena(data):
    function = data["function-step"]
    for number, kernel in enumerate(function["kernels"]):
        assert all(earlier < number for earlier in kernel["from"])
        for place, operation in enumerate(kernel["nodes"]):
            assert all(earlier < place for earlier in operation["from"])
    memory = function["memory"]
    totals = {"batch": memory["per_block"], "fixed": memory["fixed"]}
    for buffer in memory["buffers"]:
        assert 0 <= buffer["offset"] <= totals[buffer["space"]] - buffer["size"]
        assert buffer["first"] <= buffer["from"] <= buffer["to"] <= buffer["last"]
    assert sum(phase["count"] for phase in function["phases"]) == len(function["kernels"])


def test_page_asks_for_nothing_and_holds_no_text_of_the_net(html):
    assert not re.findall(r"https?://|src=|href=\"(?!data:,)|@import|url\((?!#)|fetch\(", html)
    assert "window.broken" not in html
    assert html.count("<script") == html.count("</script>") == 4  # three of data, one that runs


@pytest.mark.parametrize("example", ["logistic", "xor", "gradient_penalty"])
def test_examples_link_every_kernel(example):
    path = str(ROOT / f"examples/{example}.net")
    program = program_of(read_source(path), {}, "f32", library_of(path, None))
    function = function_data(program, "step", 64)
    rows = len(program_data(program, 64)["texts"][0]["lines"])
    for kernel in function["kernels"]:
        found = lines_of(function, kernel)
        assert found, kernel["symbol"]
        assert found <= set(range(1, rows + 1))


def test_measured_times_are_those_of_the_kernels(small):
    function = function_data(small, "infer", 64, 0.01)
    assert len(function["times"]["kernels"]) == len(function["kernels"])
    assert function["times"]["seconds"] > 0


def test_long_texts_say_what_is_left_out(small, monkeypatch):
    monkeypatch.setattr("netc.explore.texts.MOST_LINES", 10)
    texts = {t["name"]: t for t in function_data(small, "infer", 64)["texts"]}
    whole = small.show("simplified", "infer").splitlines()
    assert texts["simplified"]["text"].split("\n") == whole[:10]
    assert texts["simplified"]["left_out"] == len(whole) - 10


def test_command_writes_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("small.net").write_text(TEXT)
    assert main(["explore", "small.net", "-o", "page.html", "--batch", "32"]) == 0
    assert capsys.readouterr().out.startswith("page.html: infer, step; ")
    assert unpacked(Path("page.html").read_text())["program"]["samples"] == 32


def test_command_names_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bare.net").write_text("net Bare {\n  input x: [2]\n  output y = x\n}\n")
    assert main(["explore", "bare.net", "-o", "page.html", "--function", "step"]) == 2
    assert "has no loss" in capsys.readouterr().err
    assert not Path("page.html").exists()
