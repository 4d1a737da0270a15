"""Any text gives a tree or a diagnostic, and formatting keeps every tree."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark

from netc.grammar.comments import comments
from netc.grammar.diagnostics import CompileError
from netc.grammar.format import format_source
from netc.grammar.parser import RESERVED, parse
from netc.grammar.show import same, show
from netc.grammar.source import Source
from netc.grammar.tables import GRAMMAR
from netc.grammar.tree import File

PROGRAM = """## A net.
const k = 10
net N {
  input x: [1, 28, 28]
  target t: class[k] missing
  layer enc = conv(6, kernel=5, padding="same") |> relu  # one
  h = enc(x) |> flatten |> dense(2 * k, init=normal(0, 1e-3))
  output p = softmax(h @ enc.conv.W' + -h[1:3, ..]^-2)
  if training and not k < 3 { loss nll(p, t) } else { penalty l2(weights) }
}
fn f(x: [.., n], g: fn = i -> i) { return where(x > 0, x, g(x)) } gradient(d) = d
optimizer o(lr = 0.1) { state v: [] = 0; v <- v + 1; w <- w - lr * g }
train { optimizer("enc.*") = o(lr=0.1 * 0.95^epoch) freeze("h") batch = 64 }
"""
SYMBOLS = ["|>", "->", "<-", "..", "==", "!=", "<=", *"()[]{},:;=<>+-*/@^'.\"#\\%?²é", "##"]
WORDS = [*sorted(RESERVED), "x", "y1", "class", "int", "missing", "gradient", "1", "2.5", "1e-3"]

tokens = st.sampled_from([*SYMBOLS, *WORDS, '"a"', "# c\n", "\n", "\n\n"])
places = st.integers(0, len(PROGRAM))


def read(text: str) -> File | None:
    try:
        return parse(Source("fuzz.net", text))
    except CompileError as error:
        report = error
    assert len(report.diagnostics) == 1
    assert str(report).startswith("error[")
    return None


def check(text: str) -> None:
    """A tree that can be shown and survives formatting, or a diagnostic."""
    file = read(text)
    if file is None:
        return
    assert show(file)
    once = format_source(Source("fuzz.net", text))
    assert same(file, parse(Source("fuzz.net", once)))
    assert format_source(Source("fuzz.net", once)) == once
    before, after = (comments(Source("fuzz.net", t)) for t in (text, once))
    assert [c.text for c in before] == [c.text for c in after]


@given(st.text())
def test_any_text(text):
    check(text)


@given(st.lists(tokens, max_size=40).map(" ".join))
def test_token_soup(text):
    check(text)


@given(places, places, st.lists(tokens, max_size=3).map(" ".join))
def test_a_program_with_a_part_replaced(start, length, text):
    check(PROGRAM[:start] + text + PROGRAM[start + length % 20 :])


@given(st.lists(st.tuples(places, st.sampled_from(["\n", "# c\n", "\n\n", " ", ";", "## d\n"]))))
def test_a_program_with_comments_and_line_breaks_between(insertions):
    text = PROGRAM
    for place, inserted in sorted(insertions, reverse=True):
        text = text[:place] + inserted + text[place:]
    check(text)


names = st.sampled_from(["x", "y1", "η", "dense"])
programs = from_lark(
    Lark(GRAMMAR.read_text(encoding="utf-8"), parser="lalr", start="file"),
    explicit={
        "NAME": names,
        "NUMBER": st.sampled_from(["1", "0.5", "1e-3", "1_0"]),
        "STRING": st.sampled_from(['"a"', '"\\n#"']),
        "COMMENT": st.just("# c\n"),
        "SPACE": st.sampled_from([" ", "\n"]),
    },
)


@given(programs)
def test_texts_made_from_the_grammar(text):
    check(text)
