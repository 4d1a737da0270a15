"""Tracks against the definition of a window: each term of each result once, and no other."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from netc.compiler.loops.loops import Affine
from netc.compiler.loops.tracks import tracks
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.window import Window

ROLES = {
    "place": "e,k->p",
    "element": "p,k->e",
    "tap": "e,p->k",
}
"""What is the result; e is the element, p the place, k the tap."""
GEOMETRIES = [
    window
    for length, size, stride, dilation, before, after in product(
        (1, 2, 5, 8, 11), (1, 2, 3, 5), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2, 5), (0, 3)
    )
    if (window := Window(length, size, stride, dilation, before, after)).places >= 1
]


def defined(window: Window) -> Counter[tuple[int, int, int]]:
    """All (element, place, tap) of a window that lie on its axis."""
    return Counter(
        (place * window.stride + tap * window.dilation - window.before, place, tap)
        for place in range(window.places)
        for tap in range(window.size)
        if 0 <= place * window.stride + tap * window.dilation - window.before < window.length
    )


@pytest.mark.parametrize("role", ROLES)
def test_tracks_are_the_terms_of_a_window(role: str) -> None:
    for window in GEOMETRIES:
        (found_tracks,) = tracks(Contract(ROLES[role], windows=(("epk", window),)))
        found: Counter[tuple[int, int, int]] = Counter()
        results = []
        for track in found_tracks:
            line = track.lines[track.result]
            for t in range(track.results):
                results.append(line.at(Affine(t), Affine()).constant)
                for j in range(track.terms):
                    at = {c: i.constant for c, i in track.letters(Affine(t), Affine(j)).items()}
                    if track.valid(t, j):
                        assert at[track.result] == results[-1], window
                        found[at["e"], at["p"], at["k"]] += 1
        extent = {"p": window.places, "e": window.length, "k": window.size}
        assert sorted(results) == list(range(extent[ROLES[role][-1]])), window
        assert found == defined(window), window


@pytest.mark.parametrize("role", ROLES)
def test_valid_terms_are_neighbours(role: str) -> None:
    """The loops over terms run from the first to the last valid one: there is no hole."""
    for window in GEOMETRIES:
        (found_tracks,) = tracks(Contract(ROLES[role], windows=(("epk", window),)))
        for track in found_tracks:
            assert track.inside.per_t > 0
            assert track.inside.per_j > 0
            for t in range(track.results):
                valid = [j for j in range(track.terms) if track.valid(t, j)]
                assert valid == list(range(valid[0], valid[-1] + 1)) if valid else True
