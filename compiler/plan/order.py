"""What waits for what, for anything that is computed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

Key = TypeVar("Key")


def knots(after: Mapping[Key, Set[Key]]) -> set[Key]:
    """The keys that wait for themselves through others, and those between such; in no order.

    Empty exactly when everything can come after what `after` says.
    """
    before: dict[Key, set[Key]] = {key: set() for key in after}
    for key, earlier in after.items():
        for other in earlier:
            before[other].add(key)
    return _peeled(_peeled(set(after), after, before), before, after)


def _peeled(
    keys: set[Key], waits: Mapping[Key, Set[Key]], frees: Mapping[Key, Set[Key]]
) -> set[Key]:
    """What is left of `keys` when those that wait for none of the rest are taken away."""
    left = set(keys)
    count = {key: len(waits[key] & left) for key in keys}
    ready = [key for key in keys if count[key] == 0]
    while ready:
        key = ready.pop()
        left.discard(key)
        for other in frees[key] & left:
            count[other] -= 1
            if count[other] == 0:
                ready.append(other)
    return left
