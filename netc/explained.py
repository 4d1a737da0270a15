"""What an error code means: in words, by an example of the mistake and by one without it.

Invariant: every kind of mistake has both examples. They are texts of `grammar/explanations`;
the tests compile them all.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.resources import files
from inspect import cleandoc
from textwrap import indent
from typing import Final

from netc.grammar.diagnostics import KINDS
from netc.records import record

_FENCE: Final = re.compile(r"^```net (?P<words>[^\n]+)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
_SECTION: Final = re.compile(r"^## (.+)\n", re.MULTILINE)


@record
class Example:
    """A text, and the words that say how it is compiled."""

    text: str
    words: tuple[str, ...] = ()


@record
class Explanation:
    """One kind of mistake.

    `meaning` is the rule that is broken, `remedy` a remark on the examples, perhaps empty. `files`
    are those that the examples import, by name.
    """

    slug: str
    meaning: str
    remedy: str
    wrong: Example
    right: Example
    files: tuple[tuple[str, str], ...]


@cache
def explanations() -> dict[str, Explanation]:
    """Every kind of mistake by its code, in the order of the alphabet."""
    import_module("netc.compiler.stages")  # every kind of mistake declares itself on import
    found = sections()
    return {slug: _explanation(slug, found[slug]) for slug in sorted(found)}


def sections() -> dict[str, str]:
    """The examples of each code as they are written."""
    folder = files("netc.grammar").joinpath("explanations")
    found: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".md"):
            _, *parts = _SECTION.split(entry.read_text(encoding="utf-8"))
            found |= dict(zip(parts[::2], parts[1::2], strict=True))
    return found


def _explanation(slug: str, section: str) -> Explanation:
    blocks = [(tuple(m["words"].split()), m["text"]) for m in _FENCE.finditer(section)]
    examples = {words[0]: Example(text, words[1:]) for words, text in blocks}
    return Explanation(
        slug,
        " ".join(cleandoc(KINDS[slug].__doc__ or "").split()),
        " ".join(_FENCE.sub("", section).split()),
        examples.pop("wrong"),
        examples.pop("right"),
        tuple((name, example.text) for name, example in examples.items()),
    )


def show(found: Explanation) -> str:
    """The page of a code for a terminal."""
    meaning = cleandoc(KINDS[found.slug].__doc__ or "")
    parts = [f"error[{found.slug}]", meaning]
    parts += ["Wrong:", indent(found.wrong.text.rstrip(), "  ")]
    parts += ["Right:", indent(found.right.text.rstrip(), "  ")]
    for name, text in found.files:
        parts += [f"`{name}`:", indent(text.rstrip(), "  ")]
    return "\n\n".join([*parts, found.remedy] if found.remedy else parts)
