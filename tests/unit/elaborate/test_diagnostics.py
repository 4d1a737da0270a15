"""Every kind of mistake the elaborator knows has a golden case, an explanation and a slug."""

import inspect
import re
from pathlib import Path

import pytest

from netc.compiler.elaborate import name_mistakes, net_mistakes, shape_mistakes
from netc.grammar.diagnostics import Diagnostic

GOLDEN = Path(__file__).parents[2] / "golden" / "errors"
UNREACHED = {
    "operand-mismatch": "a type rule that no check before it has caught",
    "elaboration-too-deep": "hundreds of definitions that call one another; tested below",
    "unknown-constant": "comes from `defines`; tested with the constants",
}


def kinds():
    for module in (name_mistakes, shape_mistakes, net_mistakes):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Diagnostic) and kind is not Diagnostic:
                yield kind


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.slug)
def test_every_kind_has_a_golden_case(kind):
    shown = "".join(path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.md"))
    assert (f"error[{kind.slug}]" in shown) != (kind.slug in UNREACHED)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", kind.slug)
    assert inspect.getdoc(kind)
    assert kind.title
    assert kind.label
