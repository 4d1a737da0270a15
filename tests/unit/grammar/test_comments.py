"""Comments and doc comments."""

import pytest

from netc.grammar.comments import comments, docs
from netc.grammar.source import Source


def test_strings_hold_no_comments():
    source = Source("a.net", 'const a = "# \\" # no" # yes  \n# and this')
    assert [span.text for span in comments(source)] == ["# yes", "# and this"]


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        ("## one\nX", "one"),
        ("## one\n##   two\n## three\nX", "one\n  two\nthree"),
        ("##one\n\n\nX", "one"),
        ("## one\n\n## two\nX", "two"),
        ("## one\n# no doc\n## two\nX", "two"),
        ("## one\n# no doc\nX", None),
        ("# no doc\nX", None),
        ("#### a banner\nX", None),
        ("y ## not alone on its line\nX", None),
        ("## for y\ny\nX", None),
        ("## one\n;\n; X", "one"),
    ],
)
def test_docs_are_the_lines_before_a_declaration(text, doc):
    assert docs(Source("a.net", text)).get(text.index("X")) == doc
