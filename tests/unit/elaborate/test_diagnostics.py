"""Every kind of mistake the elaborator knows has a golden case, an explanation and a slug."""

import inspect
import re
from pathlib import Path

import pytest

from netc.compiler.elaborate import (
    derivative_mistakes,
    import_mistakes,
    name_mistakes,
    net_mistakes,
    shape_mistakes,
    window_mistakes,
)
from netc.compiler.elaborate.program import elaborate
from netc.grammar.diagnostics import CompileError, Diagnostic
from netc.grammar.parser import parse
from netc.grammar.source import Source

GOLDEN = Path(__file__).parents[2] / "golden" / "errors"
UNREACHED = {
    "elaboration-too-deep": "the text would be long; tested below",
    "unknown-constant": "comes from `defines`; tested with the constants",
}


def kinds():
    for module in (
        derivative_mistakes,
        import_mistakes,
        name_mistakes,
        shape_mistakes,
        net_mistakes,
        window_mistakes,
    ):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Diagnostic) and kind is not Diagnostic:
                yield kind


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.slug)
def test_every_kind_has_a_golden_case(kind):
    shown = "".join(path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.md"))
    assert (f"error[{kind.slug}]" in shown) != (kind.slug in UNREACHED)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug)
    assert inspect.getdoc(kind)
    assert kind.title
    assert kind.label


def test_definitions_that_call_one_another_without_end_in_sight():
    chain = "".join(f"fn f{i}(x) = f{i + 1}(x) + 1 " for i in range(300))
    text = f"{chain} fn f300(x) = x net N {{ input x: [] output y = f0(x) output z = x |> dens }}"
    with pytest.raises(CompileError) as caught:
        elaborate(parse(Source("deep", text)))
    assert [d.slug for d in caught.value.diagnostics] == [
        "elaboration-too-deep",
        "unknown-function",
    ]


def test_both_modes_report_a_mistake_once():
    text = "net N { input x: [4] output y = if training then x + [1, 2] else x + [1, 2] + x[0:2] }"
    with pytest.raises(CompileError) as caught:
        elaborate(parse(Source("modes", text)))
    assert [d.span.text for d in caught.value.diagnostics] == ["x + [1, 2]", "x + [1, 2]"]
    assert len({d.span for d in caught.value.diagnostics}) == 2
