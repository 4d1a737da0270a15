"""What a runtime reports: data that do not fit, calls that make no sense, numbers gone wrong.

Invariant: after any of them all values are as they were before the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class NetcError(Exception):
    """A user's mistake: one sentence, and a help line where the fix is known."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message, help)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return f"{self.message}\nhelp: {self.help}" if self.help else self.message


class DataError(NetcError):
    """Arrays, files or run folders that do not fit the net, or cannot be read."""


class UsageError(NetcError):
    """A call that the net or its present condition does not allow, or an unknown option."""


class DebugError(NetcError):
    """The first NaN or infinity, or index out of range, in a model compiled with `debug=True`.

    `details` are the facts of the message as plain data.
    """

    def __init__(
        self, message: str, help: str = "", details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, help)
        self.details = dict(details or {})


def suggestion(name: str, known: Iterable[str]) -> str:
    """The help line for an unknown name: the nearest known ones, else all of them."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for who mistypes

    names = list(known)
    near = [n for n in names if n.lower() == name.lower()]
    near = near or get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(f'`{n}`' for n in near)}?"
    return f"known: {listing(names)}" if names else ""


def listing(names: Iterable[str]) -> str:
    """Names in backquotes, separated by commas; long lists are cut."""
    quoted = [f"`{n}`" for n in names]
    cut = quoted[:12] + ([f"and {len(quoted) - 12} more"] if len(quoted) > 12 else [])
    return ", ".join(cut)


def count(number: int, noun: str) -> str:
    """`1 sample`, `2 samples`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
