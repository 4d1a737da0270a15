"""Texts of graphs that are none: every mistake has its place, and no text gets past unseen."""

from __future__ import annotations

import random

import pytest

from netc.compiler.elaborate import elaborate
from netc.compiler.functions import function_graph, functions
from netc.compiler.ops.reader import TextError, verified
from netc.compiler.ops.text import show
from netc.compiler.passes import pipeline
from netc.grammar.parser import parse
from netc.grammar.source import Source

NET = """\
net Small {
  input  x: [2, 6, 6]
  target y: class[3]
  p = x |> conv(4, kernel=3) |> batch_norm |> relu |> max_pool(2) |> flatten
      |> dropout(0.5) |> dense(3)
  output p
  loss cross_entropy(p, y)
}
train { optimizer = adam(lr=0.1) }
"""

HEAD = """\
graph f
%0 = source{space='input', name='x'} : f32[B, 3]
%1 = source{space='parameter', name='w'} : f32[3]
%2 = lift %1 : f32[B, 3]
"""


@pytest.fixture(scope="module")
def texts():
    model = elaborate(parse(Source("small.net", NET)))
    graphs = [function_graph(model, name) for name in functions(model)]
    return {graph: show(graph) for graph in [*graphs, *map(pipeline.run, graphs)]}


def test_every_function_reads_back_to_itself(texts):
    assert len(texts) > 10
    for graph, text in texts.items():
        assert verified(text) == graph


@pytest.mark.parametrize(
    ("lines", "place", "words"),
    [
        ("%3 = ad %0 %2 : f32[B, 3]", (5, 6, 7), "no operation `ad`; there are abs, absorb, add"),
        ("%3 = add %0 %7 : f32[B, 3]", (5, 13, 14), "no node %7 stands above; there are %0, "),
        ("  %3 = add %0 %2 : f32[B, 4]", (5, 20, 28), r"the type is f32\[B, 3\]"),
        ("%3 = reshape %0 : f32[B, 4]", (5, 6, 12), "the sizes differ"),
        ("%3 = add %0 %2", (5, 1, 14), "expected %NODE = OP"),
        ("%2 = add %0 %2 : f32[B, 3]", (5, 1, 2), "%2 stands above already"),
        ("%3 = reduce{kind='sum', axis=0} %0 : f32[B]", (5, 13, 30), "`axis`; it has kind, axes"),
        ("%3 = reduce{kind=} %0 : f32[B]", (5, 13, 17), "attributes of `reduce`"),
        ("%3 = add %0 %2 : f32[B, x]", (5, 18, 26), "axes of a type are whole numbers"),
        ("graph g", (5, 1, 7), "a second graph"),
        ("return nowhere 'y' %0", (5, 8, 14), "no space `nowhere`; there are input, parameter"),
        ("return output y %0", (5, 1, 18), "expected return SPACE"),
        ("return result 'r' %0", (5, 1, 20), r"has type f32\[B, 3\]"),
        ("return output 'y' %0\nreturn output 'y' %2", (6, 1, 20), "two results are output 'y'"),
        ("%3 = reduce{kind='sum', axes=(0,)} %1 : f32[]\nreturn parameter 'w' %3",
         (6, 1, 23), r"read as f32\[3\] and written as f32\[\]"),
        ("%3 = source{space='input', name='x'} : f32[B]\nreturn output 'y' %3\n"
         "return output 'z' %0",
         (2, 1, 48), "is read as"),
        ("%3 = source{space='inputs', name='x'} : f32[3]\nreturn output 'y' %3",
         (5, 1, 46), "space cannot be 'inputs'; there are input"),
        ("%3 = constant{value=1} : f64[]\nreturn output 'y' %3\nreturn output 'z' %0",
         (2, 1, 48), "more than one precision"),
        ("", (5, 1, 1), "a graph returns something"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line_and_columns(lines, place, words):
    with pytest.raises(TextError, match=words) as found:
        verified(HEAD + lines + "\n")
    assert (found.value.line, found.value.first, found.value.last) == place


@pytest.mark.parametrize("text", ["", "net A { }", "%0 = iota{n=2} : f32[2]"])
def test_a_graph_begins_with_its_name(text):
    with pytest.raises(TextError, match="begins with the line `graph NAME`"):
        verified(text)


def test_nothing_but_places_comes_of_damaged_texts(texts):
    draw = random.Random(1)
    known = [text for text in texts.values() if len(text) < 8000]
    found = []
    for _ in range(200):
        lines = draw.choice(known).splitlines()
        at = draw.randrange(len(lines))
        place = draw.randrange(len(lines[at]))
        mark = draw.choice(["", *"0123456789(),'%={}[]B x-#"])
        lines[at] = lines[at][:place] + mark + lines[at][place + draw.randrange(2) :]
        try:
            verified("\n".join(lines))
        except TextError as error:
            found.append((error.line, len(lines)))
    assert len(found) > 100
    assert all(1 <= line <= last for line, last in found)
