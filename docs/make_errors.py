"""`python -m docs.make_errors`: writes `docs/errors.md`, the page of all error codes.

Invariant: it says what `netc explain` says; meanings are written beside the checks that find the
mistakes, examples in `grammar/explanations`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from netc.explained import explanations

if TYPE_CHECKING:
    from netc.explained import Explanation

PAGE: Final = Path(__file__).parent / "errors.md"

_HEAD: Final = """\
# Error codes

<!-- written by `python -m docs.make_errors`: change `grammar/explanations`, not this page -->

What each `error[CODE]` means, with an example of the mistake and one without it, as
`netc explain CODE` prints it. A report also says what was expected and found, where, and where
possible the fix. Every example is compiled by the tests: the wrong one is refused with this code
and no other."""


def page() -> str:
    """The whole page: a table of the codes, then a section for each."""
    found = explanations().values()
    rows = [f"| [`{e.slug}`](#{e.slug}) | {e.meaning.replace('|', chr(92) + '|')} |" for e in found]
    table = "\n".join(["| code | meaning |", "|---|---|", *rows])
    return "\n\n".join([_HEAD, table, *map(_section, found)]) + "\n"


def _section(found: Explanation) -> str:
    parts = [f"## {found.slug}", found.meaning]
    parts += [f"Wrong:\n\n{_block('wrong', found.wrong.text)}"]
    parts += [f"Right:\n\n{_block('right', found.right.text)}"]
    parts += [f"`{name}`:\n\n{_block(f'beside {name}', text)}" for name, text in found.files]
    return "\n\n".join([*parts, found.remedy] if found.remedy else parts)


def _block(words: str, text: str) -> str:
    return f"```net {words}\n{text}```"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
