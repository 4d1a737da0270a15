"""Initialisers: moments, bounds, and independence of names and seeds."""

from __future__ import annotations

import pytest

from tests.prelude.drawing import Drawing, initialisers


@pytest.mark.parametrize("drawing", initialisers(), ids=lambda d: d.law.call)
def test_draws(drawing: Drawing) -> None:
    assert drawing.values() > 0
