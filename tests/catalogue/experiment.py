"""The catalogue: what the lecture texts describe, and the tests that show it.

Invariant: a folder of this room is a part of the texts. Its `systems.txt` names every system there
is, `id | name` or `id | name | absent: reason`, and its tests say with `@experiment` which systems
they show; `docs/catalogue.md` is made of nothing else.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Test = TypeVar("Test", bound="Callable[..., Any]")

FOLDER: Final = Path(__file__).parent

PARTS: Final = {
    "architectures": "Text 000, chapters 1 to 5: architectures, back-propagation, generalisation",
    "learning": "Text 000, chapters 6 and 7: convolutional nets, learning methods",
    "regularisation": "Text 000, chapter 8: regularisation, growing, pruning",
    "normalisation": "Text 000, chapters 9 and 10, appendices: initialisation, normalisation, data",
    "feedforward": "Text 001: feedforward neural networks",
    "summaries": "Texts 002 and 003: two summaries of lectures on deep learning",
    "notes": "Text 004: notes on machine learning and neural networks",
}
"""The folders in the order of the texts."""


@dataclass(frozen=True, slots=True)
class System:
    """A model, layer, loss, procedure or fact of the texts."""

    id: str
    name: str
    absent: str = ""
    """Why there is nothing to run, for what the texts only name."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A test of one or more systems."""

    id: str
    systems: tuple[str, ...]
    where: str
    """What of netc it shows, in Markdown: a definition of the prelude, a form, a function."""
    module: str
    test: str
    result: str
    """The first paragraph of the test's docstring, with the numbers that it asserts."""


_FOUND: Final[dict[tuple[str, str], Experiment]] = {}


def experiment(name: str, systems: str = "", *, where: str) -> Callable[[Test], Test]:
    """Enters a test under the id of its experiment; `systems` are ids with spaces between.

    An experiment whose id is that of a system shows that one.
    """

    def enter(test: Test) -> Test:
        result = " ".join((test.__doc__ or "").split("\n\n")[0].split())
        shown = tuple(systems.split()) or (name,)
        found = Experiment(name, shown, where, test.__module__, test.__name__, result)
        _FOUND[test.__module__, test.__name__] = found
        return test

    return enter


def systems(part: str) -> list[System]:
    """The systems of a part, in the order of its text."""
    lines = (FOLDER / part / "systems.txt").read_text(encoding="utf-8").splitlines()
    return [_system(line) for line in lines if line]


def _system(line: str) -> System:
    name, title, *rest = (field.strip() for field in line.split(" | "))
    return System(name, title, *(reason.removeprefix("absent: ") for reason in rest))


def experiments(part: str) -> list[Experiment]:
    """The experiments of a part, file by file in the order of their names."""
    files = sorted((FOLDER / part).glob("test_*.py"))
    modules = [f"tests.catalogue.{part}.{file.stem}" for file in files]
    for module in modules:
        importlib.import_module(module)
    return [found for found in _FOUND.values() if found.module in modules]
