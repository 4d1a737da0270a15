"""Errors as documentation: every code has a page, and its examples do what the page says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import netc
from docs.make_errors import PAGE, page
from netc.__main__ import main
from netc.explained import Example, Explanation, explanations, sections
from netc.grammar.diagnostics import KINDS, CompileError

if TYPE_CHECKING:
    from pathlib import Path

EXPLANATIONS = explanations()
SHORTENED = {
    "nested-too-deep": ("((…x…))", "(" * 400 + "x" + ")" * 400),
    "elaboration-too-deep": ("…", "\n".join(f"fn f{i}(x) = f{i + 1}(x)" for i in range(1, 300))),
}
"""What the dots of an example stand for."""


def compiled(example: Example, found: Explanation, folder: Path) -> set[str]:
    """The codes with which an example is refused; it stands in a folder beside its files."""
    text = example.text
    if "shortened" in example.words:
        dots, meant = SHORTENED[found.slug]
        assert text.count(dots) == 1
        text = text.replace(dots, meant)
    for name, beside in found.files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(beside, encoding="utf-8")
    defines = {w.removeprefix("define="): 5 for w in example.words if w.startswith("define=")}
    root = None if "no-root" in example.words else folder
    try:
        netc.compile(source=text, defines=defines, root=root)
    except CompileError as refused:
        return {diagnostic.slug for diagnostic in refused.diagnostics}
    return set()


def test_every_code_has_an_explanation() -> None:
    kinds = {
        s for s, kind in KINDS.items() if kind.__module__.startswith("netc.")
    }  # not tests' own
    assert sections().keys() == kinds
    assert all(e.meaning for e in EXPLANATIONS.values())


@pytest.mark.parametrize("slug", sorted(EXPLANATIONS))
def test_examples_do_what_is_said(slug: str, tmp_path: Path) -> None:
    found = EXPLANATIONS[slug]
    assert compiled(found.wrong, found, tmp_path) == {slug}
    assert compiled(found.right, found, tmp_path) == set()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m docs.make_errors"


def test_explain_prints_both_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "import-missing"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("error[import-missing]\n\n")
    places = [printed.index(part) for part in ("Wrong:", "Right:", "`lib/blocks.net`:")]
    assert places == sorted(places)
    assert main(["explain", "import-mising"]) == 1
    assert "import-missing" in capsys.readouterr().err
