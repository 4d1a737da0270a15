"""The documentation as blocks: what a fenced block claims, so that a test can hold it to it.

`net`: a file that compiles; without a net of its own it is a library. Words after it:
`body` (statements inside a net), `error SLUG` (must be refused so), `NAME.net` (kept as a file for
the blocks that follow), `wrong`, `right`, `beside` (examples of an error code, which
`tests/test_errors.py` compiles).
`python`: runs; the blocks of a document share their names. `<!-- python` … `-->` runs unseen.
`console`: every `$ netc …` succeeds and prints the lines shown, in this order; `…` stands for
anything. Words after it: `fails` (exit status 1), `avx512` (only on such a machine).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("netc", "grammar", "compiler", "runtime", "tests", "examples", "benchmarks")

_BLOCK: Final = re.compile(
    r"^```(?P<words>[^\n`]*)\n(?P<text>(?:.*\n)*?)```$"
    r"|^<!-- (?P<hidden>python)\n(?P<setup>(?:.*\n)*?)-->$",
    re.MULTILINE,
)
_LINK: Final = re.compile(r"\]\((?!https?://|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words after the fence, its text, and the line where it starts."""

    words: tuple[str, ...]
    text: str
    line: int

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else ""

    def after(self, word: str) -> str | None:
        """The word that follows `word`."""
        following = dict(zip(self.words, self.words[1:], strict=False))
        return following.get(word)

    @property
    def explains(self) -> bool:
        """Whether it is an example of an error code."""
        return bool({"wrong", "right", "beside"} & set(self.words))

    @property
    def file(self) -> str | None:
        """The file that the block is kept as."""
        return next((w for w in self.words if w.endswith(".net")), None)


def documents() -> list[Path]:
    """Every Markdown file that speaks to readers."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found += [ROOT / folder / "README.md" for folder in FOLDERS]
    return [path for path in found if path.exists()]


def blocks(document: Path) -> list[Block]:
    """The blocks of a document in text order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for part in _BLOCK.finditer(text):
        words = (part["hidden"],) if part["hidden"] else tuple(part["words"].split())
        line = text.count("\n", 0, part.start()) + 2
        found.append(Block(words, part["setup"] or part["text"] or "", line))
    return found


def prose(document: Path) -> str:
    """The text of a document without its blocks."""
    return _BLOCK.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> list[str]:
    """The targets of a document's links to other files."""
    return [m["target"] for m in _LINK.finditer(document.read_text(encoding="utf-8"))]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def missing_line(shown: list[str], printed: str) -> str | None:
    """The first shown line that the output lacks after those before it."""
    waiting = iter(printed.splitlines())
    for line in shown:
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("…")))
        if line.strip() and not any(pattern.fullmatch(out.rstrip()) for out in waiting):
            return line
    return None
