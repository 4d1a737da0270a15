"""Spans, sizes and refusals of the parser; the shapes of trees are golden cases."""

import subprocess
import sys

import pytest

from netc.grammar import tree
from netc.grammar.diagnostics import CompileError
from netc.grammar.parser import parse
from netc.grammar.source import Source


def read(text: str) -> tree.File:
    return parse(Source("test.net", text))


def value(text: str) -> tree.Expr:
    item = read(f"const value = {text}").items[0]
    assert isinstance(item, tree.Const)
    return item.value


def slug(text: str) -> str:
    with pytest.raises(CompileError) as caught:
        read(text)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.slug


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "1_000.5e-3",
        '"a\\n"',
        "true",
        "training",
        "enc.dense.W",
        "f(a, b=c)",
        "(a + b) * c",
        "a * (b + c)",
        "-x^2",
        "not (a)",
        "a' ",
        "x[1:3, ..]",
        "[a, b,]",
        "x |> f |> (g)",
        "if a then b else (c)",
        "i -> (i)",
        "(a) < (b)",
        "(a)^(b)",
        "((a))",
    ],
)
def test_span_covers_the_whole_expression(text):
    assert value(f"  {text} ").span.text == text.strip()


def test_spans_of_parts():
    pipe = value("x |> dense( 3 ) |> relu")
    assert isinstance(pipe, tree.Pipe)
    assert [stage.span.text for stage in pipe.stages] == ["x", "dense( 3 )", "relu"]
    call = value("f(a, key = (b))")
    assert isinstance(call, tree.Call)
    assert [argument.span.text for argument in call.arguments] == ["a", "key = (b)"]
    assert call.callee.span.text == "f"
    assert call.arguments[1].value.span.text == "(b)"


def test_spans_of_statements_and_items():
    text = """net N {
  input x: [3] missing
  param W: [3]
  output x loss x;
  if true { a = 1 } else { }
}
fn f(x) = x gradient(g) = g
train { batch = 1 }"""
    net, fn, train = read(text).items
    assert isinstance(net, tree.Net)
    assert [s.span.text for s in net.body] == [
        "input x: [3] missing",
        "param W: [3]",
        "output x",
        "loss x",
        "if true { a = 1 } else { }",
    ]
    assert fn.span.text == "fn f(x) = x gradient(g) = g"
    assert isinstance(fn, tree.Definition)
    assert [s.span.text for s in fn.body] == ["x"]
    assert train.span.text == "train { batch = 1 }"


def test_file_spans_the_text():
    assert read("\n const a = 1 # end\n").span.text == "\n const a = 1 # end\n"


def test_integers_and_floats_differ():
    assert [type(n.value) for n in map(value, ["1", "1.0", "1e0", "1_0"])] == [
        int,
        float,
        float,
        int,
    ]


def test_long_runs_are_flat():
    stages = 5000
    pipe = value("x" + " |> f" * stages)
    assert isinstance(pipe, tree.Pipe)
    assert len(pipe.stages) == stages + 1
    total = value("x" + " + y" * stages)
    assert isinstance(total, tree.Operation)
    assert len(total.rest) == stages


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1000 + "x" + ")" * 1000,
        "f(" * 1000 + "x" + ")" * 1000,
        "[" * 1000 + "x" + "]" * 1000,
        "-" * 1000 + "x",
        "x" + "'" * 1000,
        "x" + "^x" * 1000,
        "i -> " * 1000 + "i",
        "if a then b else " * 1000 + "c",
    ],
)
def test_deep_nesting_is_a_diagnostic(text):
    assert slug(f"const a = {text}") == "nested-too-deep"


def test_deep_blocks_are_a_diagnostic():
    assert slug("fn f(x) {" + "if x {" * 1000 + "}" * 1001) == "nested-too-deep"
    assert slug("fn f(x) { if x { }" + " else if x { }" * 1000 + "}") == "nested-too-deep"


def test_moderate_nesting_is_fine():
    assert isinstance(value("f(" * 60 + "x" + ")" * 60), tree.Call)


def test_names_are_normalised():
    item = read("const e\u0301 = 1").items[0]
    assert isinstance(item, tree.Const)
    assert item.name.name == "\u00e9"
    assert type(item.name.name) is str


def test_gradient_is_a_name_where_no_clause_of_a_function_can_stand():
    inside = "{ y = 2 * x\n gradient = y\n return gradient }"
    file = read(f"fn f(x) {inside} gradient(g) = 3 * g\nnet A {{ z = 1\n gradient = z }}")
    definition, net = file.items
    assert isinstance(definition, tree.Definition)
    assert isinstance(net, tree.Net)
    assert definition.gradient is not None
    assert definition.gradient.span.text == "gradient(g) = 3 * g"
    assert isinstance(definition.body, tuple)
    assert definition.body[1].span.text == "gradient = y"
    assert net.span.text.endswith("gradient = z }")


@pytest.mark.parametrize("word", ["gradient", "class", "int", "missing"])
def test_words_of_one_place_are_names_elsewhere(word):
    assert isinstance(value(word), tree.Name)


@pytest.mark.parametrize(
    "text",
    ["const a = \x00", "\ufeffconst a = 1", "const a = \ud800", "const \u0301 = 1", "const a = 1٣"],
)
def test_odd_characters_are_diagnostics(text):
    assert slug(text) in {"unexpected-character", "malformed-number"}


def test_windows_line_ends_are_spaces():
    assert len(read("const a = 1\r\nconst b = 2\r\n").items) == 2


def test_importing_the_parser_does_not_import_lark():
    check = "import sys, netc.grammar.parser; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
