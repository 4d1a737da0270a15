"""The numbers of a training run that are decided when it starts, not when the net is compiled.

Invariant: every `RunOptions` is valid; a bad value is a UsageError that names the option.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, SupportsFloat

from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Shuffle = Literal["true", "false", "with_replacement"]
SHUFFLE_CODES: Final[Mapping[Shuffle, int]] = {"false": 0, "true": 1, "with_replacement": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How long and on what a run trains. `epochs` None: as many as `max_steps` needs."""

    batch: int = 32
    epochs: int | None = 1
    max_steps: int | None = None
    shuffle: Shuffle = "true"
    validation: float = 0.0
    monitor: str | None = None
    patience: int | None = None
    min_delta: float = 0.0
    restore_best: bool = False
    stop_change: float | None = None

    def override(self, changes: Mapping[str, object]) -> RunOptions:
        """These options with some replaced; a `max_steps` without `epochs` lifts the epochs."""
        checked: dict[str, Any] = {name: _checked(name, value) for name, value in changes.items()}
        if "max_steps" in checked and "epochs" not in checked:
            checked["epochs"] = None
        return replace(self, **checked)


OPTION_NAMES: Final = tuple(f.name for f in fields(RunOptions))


def _checked(name: str, value: object) -> object:
    accept, wanted = _RULES[name]
    result = accept(value)
    if result is None:
        raise UsageError(f"`{name}` must be {wanted}, found {value!r}")
    return result


def _whole(least: int) -> Callable[[object], int | None]:
    def accept(value: object) -> int | None:
        number = _number(value)
        if number is None or number != int(number) or not least <= number < _END:
            return None
        return int(number)

    return accept


_END: Final = 2**63


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return None
    number = float(value)
    return number if isfinite(number) else None


def _at_least_zero(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _fraction(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number < 1 else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _shuffle(value: object) -> Shuffle | None:
    match value:
        case True | "true":
            return "true"
        case False | "false":
            return "false"
        case "with_replacement":
            return "with_replacement"
        case _:
            return None


_RULES: Final[dict[str, tuple[Callable[[object], object], str]]] = {
    "batch": (_whole(1), "a whole number of at least 1"),
    "epochs": (_whole(1), "a whole number of at least 1"),
    "max_steps": (_whole(1), "a whole number of at least 1"),
    "shuffle": (_shuffle, 'true, false or "with_replacement"'),
    "validation": (_fraction, "a fraction of at least 0 and below 1"),
    "monitor": (_name, "the name of a result"),
    "patience": (_whole(0), "a whole number of at least 0"),
    "min_delta": (_at_least_zero, "a number of at least 0"),
    "restore_best": (_flag, "true or false"),
    "stop_change": (_at_least_zero, "a number of at least 0"),
}
