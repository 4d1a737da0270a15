"""Rendering: the form of reports, and that every kind of the package can be rendered."""

import importlib
import pkgutil
from dataclasses import dataclass, fields
from typing import ClassVar

import pytest

import netc.compiler
import netc.grammar
from netc.grammar import mistakes
from netc.grammar.diagnostics import (
    KINDS,
    CompileError,
    Diagnostic,
    Related,
    complete,
    explain,
    render,
)
from netc.grammar.source import Source, Span


@dataclass(frozen=True, kw_only=True)
class Example(Diagnostic):
    """A kind for these tests; without a slug it is not registered."""

    title: ClassVar[str] = "`{name}` expects a vector"
    label: ClassVar[str] = "its input is no vector"
    help: ClassVar[str] = "{hint}"

    name: str = "dense"
    hint: str = ""


def place(source: Source, text: str, start: int = 0) -> Span:
    offset = source.text.index(text, start)
    return Span(source, offset, offset + len(text))


def test_report_with_a_second_place_and_help():
    source = Source(
        "lenet.net", "\n" * 8 + "  c3 = c1 |> conv(16)\n\n\n  h = c3 |> dense(120) |> tanh\n"
    )
    report = Example(
        span=place(source, "dense(120)"),
        related=(Related(place(source, "c3"), "declared here"),),
        hint="put `flatten` before it",
    )
    assert render(report) == (
        "error[]: `dense` expects a vector\n"
        "  --> lenet.net:12:13\n"
        "   |\n"
        "12 |   h = c3 |> dense(120) |> tanh\n"
        "   |             ^^^^^^^^^^ its input is no vector\n"
        "   |\n"
        " 9 |   c3 = c1 |> conv(16)\n"
        "   |   -- declared here\n"
        "help: put `flatten` before it"
    )


def test_a_second_place_in_another_file_is_named():
    mine, theirs = Source("a.net", "y = f(x)\n"), Source("prelude/b.net", "fn f(x) = 1\n")
    report = Example(span=place(mine, "f(x)"), related=(Related(place(theirs, "f(x)"), "here"),))
    assert render(report).splitlines()[5:] == [
        " --> prelude/b.net:1:4",
        "  |",
        "1 | fn f(x) = 1",
        "  |    ---- here",
    ]


@pytest.mark.parametrize(
    ("line", "marked", "shown", "marks"),
    [
        ("\ta = b", "b", "    a = b", "        ^"),
        ("日本 = b", "b", "日本 = b", "       ^"),
        ("a = 日本", "日本", "a = 日本", "    ^^^^"),
        ("e\u0301 = b", "b", "e\u0301 = b", "    ^"),
        ("a\x00 = b", "b", "a\ufffd = b", "     ^"),
    ],
)
def test_carets_stand_below_their_text(line, marked, shown, marks):
    source = Source("a.net", line)
    _, _, _, text, carets = render(Example(span=place(source, marked))).splitlines()
    assert text == f"1 | {shown}"
    assert carets == f"  | {marks} its input is no vector"


def test_a_span_of_several_lines_is_marked_to_the_end_of_its_first():
    source = Source("a.net", "y = f(a,\n  b)\n")
    lines = render(Example(span=place(source, "f(a,\n  b)"))).splitlines()
    assert lines[3:] == ["1 | y = f(a,", "  |     ^^^^ its input is no vector"]


def test_an_empty_span_at_the_end_has_a_caret():
    source = Source("a.net", "y =")
    assert "  |    ^ " in render(Example(span=Span(source, 3, 3)))
    assert "1 |\n" in render(Example(span=Span(Source("a.net", ""), 0, 0)))


def test_long_lines_are_cut_around_the_place():
    source = Source("a.net", "a + " * 1000 + "HERE" + " + b" * 1000)
    _, _, _, text, carets = render(Example(span=place(source, "HERE"))).splitlines()
    assert len(text) < 200
    assert text[carets.index("^") :].startswith("HERE")


def test_compile_error_is_its_reports():
    source = Source("a.net", "a b")
    first, second = Example(span=place(source, "a")), Example(span=place(source, "b"))
    assert str(CompileError((first, second))) == f"{render(first)}\n\n{render(second)}"


def test_explain_is_the_documentation_of_the_kind():
    assert explain("unterminated-string") == (
        "unterminated-string\n\nA string must end on the line where it begins."
    )
    with pytest.raises(KeyError):
        explain("no-such-kind")


def all_kinds() -> list[type[Diagnostic]]:
    for package in (netc.grammar, netc.compiler):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return list(KINDS.values())


def dummy(annotation: str, span: Span) -> object:
    if annotation.startswith("tuple"):
        return ()
    plain = {"int": 3, "float": 0.5, "bool": True, "Span": span}
    return plain.get(annotation, "something")


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.slug)
def test_every_kind_renders_and_is_explained(kind):
    source = Source("a.net", "const a = 1\n")
    span = place(source, "a", 2)
    complete(kind)
    values = {f.name: dummy(str(f.type), span) for f in fields(kind) if f.name != "span"}
    report = render(kind(span=span, **values))
    assert report.startswith(f"error[{kind.slug}]: ")
    assert "{" not in report.splitlines()[0]
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")
    assert explain(kind.slug).startswith(kind.slug)


def test_kinds_of_reading_are_registered():
    assert KINDS["syntax-error"] is mistakes.SyntaxMistake
