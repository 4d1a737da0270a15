"""`python -m docs.make_catalogue`: writes `docs/catalogue.md` from the tests of the catalogue.

Invariant: every line comes from a `systems.txt` or from an `@experiment` of a test.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.catalogue.experiment import PARTS, experiments, systems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.catalogue.experiment import Experiment, System

PAGE: Final = Path(__file__).parent / "catalogue.md"

_HEAD: Final = """\
<!-- written by `python -m docs.make_catalogue`: change the tests, not this page -->

# The catalogue

netc follows five lecture texts on neural networks. This page lists what they describe: where each
thing is in netc, and the test that shows it. Ids name the text and the section: `000.7.4.4` is text
000, section 7.4.4. Where a text prints a wrong formula, the test shows that the right one holds and
the printed one does not.
"""


def page() -> str:
    """The whole page."""
    parts = {title: (systems(part), experiments(part)) for part, title in PARTS.items()}
    counts = [
        f"| {title} | {len(known)} | {sum(bool(s.absent) for s in known)} | {len(tests)} |"
        for title, (known, tests) in parts.items()
    ]
    head = ["| part | systems | only named | tests |", "|---|---:|---:|---:|", *counts]
    sections = [_section(title, *part) for title, part in parts.items()]
    return "\n".join([_HEAD, *head, "", *sections])


def _section(title: str, known: Sequence[System], tests: Sequence[Experiment]) -> str:
    lines = [f"## {title}", "", "| id | system | where | experiments |", "|---|---|---|---|"]
    lines += [_system_line(system, tests) for system in known]
    lines += ["", "| experiment | test | shows |", "|---|---|---|"]
    lines += [_test_line(test) for test in tests]
    return "\n".join([*lines, ""])


def _system_line(system: System, tests: Sequence[Experiment]) -> str:
    if system.absent:
        return f"| {system.id} | {_cell(system.name)} | absent: {_cell(system.absent)} | |"
    shown = [test for test in tests if system.id in test.systems]
    where = "; ".join(dict.fromkeys(test.where for test in shown))
    names = ", ".join(dict.fromkeys(test.id for test in shown))
    return f"| {system.id} | {_cell(system.name)} | {_cell(where)} | {names} |"


def _test_line(test: Experiment) -> str:
    path = "../" + test.module.replace(".", "/") + ".py"
    return f"| {test.id} | [`{test.test}`]({path}) | {_cell(test.result)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
