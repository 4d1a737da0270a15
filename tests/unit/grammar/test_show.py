"""Structural comparison and the text form of trees; their form is shown by the golden cases."""

import pytest

from netc.grammar.parser import parse
from netc.grammar.show import same, show
from netc.grammar.source import Source


def read(text):
    return parse(Source("test.net", text))


def test_places_do_not_count():
    assert same(read("const a = (1)"), read("\n\nconst   a = 1;"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("const a = 1", "const b = 1"),
        ("const a = 1", "const a = 1.0"),
        ("const a = 1", "const a = 2"),
        ("const a = b + c", "const a = b - c"),
        ("const a = b + c + d", "const a = b + (c + d)"),
        ("const a = f(b)", "const a = f(b, b)"),
        ("const a = f(b)", "const a = f(b=b)"),
        ("## doc\nconst a = 1", "const a = 1"),
        ("net N { input x: [3] }", "net N { input x: [3] missing }"),
        ("net N { input x: [3] }", "net N { target x: [3] }"),
        ("net N { param x: [] }", "net N { param x }"),
    ],
)
def test_every_difference_of_values_counts(first, second):
    assert not same(read(first), read(second))
    assert show(read(first)) != show(read(second))


def test_wide_and_deep_trees():
    text = "const a = " + "f(" * 90 + "x" + ")" * 90 + "\nconst b = x" + " |> f" * 5000
    assert show(read(text)).count("Name f") == 5000
    assert same(read(text), read(text))


def test_lines_end_with_their_places_when_asked():
    tree = read("\nnet N {\n  input x: [3]\n  y = x\n}\n")
    lines = show(tree, places=True).splitlines()
    assert [line.partition("  # ")[0] for line in lines] == show(tree).splitlines()
    assert "  Net N  # test.net:2:1" in lines
    assert "    (Binding y (Name x))  # test.net:4:3" in lines
