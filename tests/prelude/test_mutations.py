"""The checks notice a wrong number or operator; `tests.prelude.mutations` tries them all."""

from __future__ import annotations

import pytest

from tests.prelude.harness import definitions
from tests.prelude.mutations import checks_of, mutations, noticed
from tests.prelude.reference import TABLES

SAMPLE = ("gelu", "huber", "weight_elimination", "he_normal", "adam", "dense", "one_cycle")
FOUND = {d.name.name: d for room in TABLES for d in definitions(room)}


@pytest.mark.parametrize("name", SAMPLE)
def test_every_change_is_noticed(name: str) -> None:
    changes = list(mutations(FOUND[name]))
    assert changes
    survivors = [m.change for m in changes if not noticed(m, checks_of(name))]
    assert survivors == []


def test_without_a_change_nothing_is_noticed() -> None:
    for name in SAMPLE:
        for check in checks_of(name):
            check()
