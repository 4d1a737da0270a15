"""What options take: text to numbers, with the mistake in words.

Invariant: nothing heavy is imported, since every command reads its options.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number of at least `least`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ArgumentTypeError(f"expected a whole number of at least {least}, found `{text}`")
        return value

    return number


def assignment(text: str) -> tuple[str, Any]:
    """`name=value` with a number, `true`, `false` or text."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise ArgumentTypeError(f"expected NAME=VALUE, found `{text}`")
    return name.strip(), _value(value.strip())


def _value(text: str) -> int | float | bool | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
