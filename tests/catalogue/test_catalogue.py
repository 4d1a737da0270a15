"""The catalogue is whole: every system is shown or absent, and the page is what the tests say."""

from __future__ import annotations

import re

import pytest

from docs.make_catalogue import PAGE, page
from tests.catalogue.experiment import FOLDER, PARTS, experiments, systems


@pytest.mark.parametrize("part", PARTS)
def test_every_system_is_shown_or_absent(part: str) -> None:
    shown = {name for test in experiments(part) for name in test.systems}
    known = {system.id: system for system in systems(part)}
    assert not shown - known.keys(), "unknown ids"
    missing = [name for name, s in known.items() if name not in shown and not s.absent]
    assert not missing
    assert not [name for name in shown if known[name].absent], "absent and shown"


@pytest.mark.parametrize("part", PARTS)
def test_every_test_is_an_experiment(part: str) -> None:
    found = {(test.module, test.test) for test in experiments(part)}
    for file in (FOLDER / part).glob("test_*.py"):
        module = f"tests.catalogue.{part}.{file.stem}"
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            assert (module, name) in found, f"{name} has no @experiment"


@pytest.mark.parametrize("part", PARTS)
def test_tests_are_named_after_their_ids_and_say_what_they_show(part: str) -> None:
    for test in experiments(part):
        assert test.test.startswith(f"test_{re.sub(r'[^0-9a-z]', '_', test.id.lower())}"), test
        assert test.result, test
        assert test.where, test


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
