"""The reference of the prelude is what its texts say; `python -m docs.make_reference` writes it."""

from __future__ import annotations

import re

import pytest

from docs.curves import curves
from docs.make_reference import FOLDER, pages

PAGES = pages()
WRITTEN = sorted(path.name for path in FOLDER.glob("*.md"))


def test_there_is_a_page_for_every_file() -> None:
    assert sorted(PAGES) == WRITTEN


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name]


def test_every_curve_is_drawn_and_shown() -> None:
    drawn = sorted(path.stem for path in (FOLDER / "plots").glob("*.svg"))
    shown = re.findall(r"\(plots/(\w+)\.svg\)", "".join(PAGES.values()))
    assert drawn == sorted(shown) == sorted(curve.name for curve in curves())


def test_every_activation_has_a_slope() -> None:
    """Computed by the compiler; next to no kink it is the difference of values."""
    activations = [curve for curve in curves() if curve.clock is None]
    assert len(activations) >= 17
    for curve in activations:
        z, value, slope = curve.grid, curve.values(), curve.slopes()
        between = (value[2:] - value[:-2]) / (z[2:] - z[:-2])
        close = abs(between - slope[1:-1]) < 1e-4
        assert close.sum() >= len(close) - 4, curve.name
