"""The formatter beyond its golden cases."""

import pytest

from netc.grammar.comments import comments
from netc.grammar.diagnostics import CompileError
from netc.grammar.format import format_file, format_source
from netc.grammar.parser import parse
from netc.grammar.show import same
from netc.grammar.source import Source


def formatted(text: str) -> str:
    return format_source(Source("test.net", text))


def remarks(text: str) -> list[str]:
    return [span.text for span in comments(Source("test.net", text))]


@pytest.mark.parametrize(
    "text",
    [
        "",
        'train { freeze("a" # one\n) optimizer("b" # two\n) # three\n = c }',
        "# only a comment",
        "const a = 1; # one\n;# two\n\n\n;const b = 2",
        "## doc\n;\n## more\nconst a = 1",
        "## not for a\n\n## for a\n;const a = 1",
        "const a = f( # one\n# two\n)",
        "const a = f(b, # one\n)",
        "const a = f(b # one\n,)",
        "const a # one\n# two\n= # three\n1 # four",
        "net N { # one\n# two\n}",
        "net N { a = 1 } # end",
        "net N {\n\n\n# one\n\na = 1\n\n\n# two\n\n}\n\n",
        "layer f(x) { if x { } # one\nelse # two\n{ a = 1 } }",
        "const a = x[ # one\n1:2 # two\n, ..]",
        "const a = b\n# one\n+ c # two\n- d",
        'const a = "# no comment" # one',
    ],
)
def test_twice_is_once_and_meaning_and_comments_stay(text):
    once = formatted(text)
    assert formatted(once) == once
    assert same(parse(Source("test.net", text)), parse(Source("test.net", once)))
    assert remarks(once) == remarks(text)


def test_lines_fit_where_they_can_break():
    text = "const a = f(" + ", ".join(f"argument_{i} + 1" for i in range(40)) + ")"
    assert max(map(len, formatted(text).splitlines())) <= 100


def test_long_pipes_break_at_every_stage():
    lines = formatted("net N { y = x" + " |> dense(3)" * 1000 + "}").splitlines()
    assert len(lines) == 1000 + 3
    assert set(lines[2:-1]) == {"    |> dense(3)"}


def test_a_file_formats_its_text():
    assert format_file(parse(Source("test.net", "const   a=1"))) == "const a = 1\n"


def test_a_wrong_text_is_a_compile_error():
    with pytest.raises(CompileError):
        formatted("const a =")
    with pytest.raises(CompileError):
        formatted("const a = " + "(" * 500 + "1" + ")" * 500)
