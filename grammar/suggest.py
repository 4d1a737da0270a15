"""Names that a misspelt name may have meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_FARTHEST: Final = 2
_MOST: Final = 3


def did_you_mean(name: str, candidates: Iterable[str]) -> list[str]:
    """At most three candidates within edit distance 2 of a name, nearest first, then by alphabet.

    A candidate needs more letters in common than changed: nothing resembles `x`.
    """
    ranked = sorted(
        (distance, candidate)
        for candidate in set(candidates) - {name}
        if (distance := _distance(name, candidate)) <= _FARTHEST
        and distance < max(len(name), len(candidate)) - 1
    )
    return [candidate for _, candidate in ranked[:_MOST]]


def _distance(a: str, b: str) -> int:
    """Edits that turn one word into the other, a swap of neighbours being one edit.

    Optimal string alignment (Damerau 1964); more than `_FARTHEST` edits are not counted exactly.
    """
    if abs(len(a) - len(b)) > _FARTHEST:
        return _FARTHEST + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]
