"""Golden cases in Markdown: `## name`, prose, one `net` block, then blocks tagged with a stage.

A block `net lib/other.net` is a file that the text may import (for the stage `error`).
Reading and rewriting of the files; `conftest.py` makes pytest items of the cases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netc.grammar.source import Source
from tests.golden_stages import STAGES, error

if TYPE_CHECKING:
    from pathlib import Path

# A fenced block hides the `##` comments in it, so both are found by one pattern.
_PART = re.compile(
    r"^```(?P<words>[^\n]*)\n(?P<text>(?:.*\n)*?)```$|^## (?P<name>.+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, its text and where the text stands in the file."""

    words: tuple[str, ...]
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Case:
    """One `##` section with its blocks."""

    name: str
    blocks: tuple[Block, ...]

    def source(self) -> Source:
        texts = [b.text for b in self.blocks if b.words == ("net",)]
        assert len(texts) == 1, f"a case has one ```net block, found {len(texts)}"
        return Source("example.net", texts[0])

    def files(self) -> dict[str, str]:
        """The files beside the text, by their paths."""
        return {b.words[1]: b.text for b in self.blocks if b.words[:1] == ("net",) != b.words}

    def expectations(self) -> tuple[Block, ...]:
        shown = tuple(b for b in self.blocks if b.words[:1] != ("net",))
        assert shown, "a case shows at least one stage"
        return shown


def read_cases(path: Path) -> list[Case]:
    """The cases of a file in text order; names are unique."""
    sections: list[tuple[str, list[Block]]] = []
    for part in _PART.finditer(path.read_text(encoding="utf-8")):
        if part["name"]:
            sections.append((part["name"].strip(), []))
        elif sections:
            words = tuple(part["words"].split())
            sections[-1][1].append(Block(words, part["text"], *part.span("text")))
    cases = [Case(name, tuple(blocks)) for name, blocks in sections]
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), f"{path}: two cases with one name"
    return cases


def actual(case: Case, block: Block) -> str:
    """What the stage of a block shows now, ending in one line break."""
    tag, *arguments = block.words or ("",)
    assert tag in STAGES, f"unknown stage `{tag}`; the stages are {', '.join(STAGES)}"
    if files := case.files():
        assert tag == "error", "other stages than `error` have no files beside the text"
        return error(case.source(), files).rstrip("\n") + "\n"
    return STAGES[tag](case.source(), *arguments).rstrip("\n") + "\n"


def rewrite(path: Path, name: str) -> None:
    """Replaces what a case's blocks show by what they show now."""
    (case,) = (c for c in read_cases(path) if c.name == name)
    text = path.read_text(encoding="utf-8")
    for block in reversed(case.expectations()):
        text = text[: block.start] + actual(case, block) + text[block.end :]
    path.write_text(text, encoding="utf-8")
