"""From what a train block states, and what a call of `fit` adds, to the numbers of one run.

Invariant: an unknown name or a value that is no number is a UsageError that names it.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, Final, SupportsFloat

from numpy import integer as Integer

from netc.runtime.errors import UsageError, suggestion
from netc.runtime.options import OPTION_NAMES, RunOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from netc.compiler.program import Settings


_MAX_SEED: Final = 2**63 - 1
CLIPS: Final = ("clip_norm", "clip_value")
"""Numbers that a run can switch on where the text lacks them."""


def options_of(settings: Settings) -> RunOptions:
    """The run options that a train block states."""
    # a text with `max_steps` alone means: as many epochs as these steps take
    unlimited = settings.max_steps is not None and settings.epochs == 1
    return RunOptions(
        batch=settings.batch,
        epochs=None if unlimited else settings.epochs,
        max_steps=settings.max_steps,
        shuffle=settings.shuffle,
        validation=settings.validation,
        monitor=settings.monitor,
        patience=settings.patience,
        min_delta=settings.min_delta,
        restore_best=settings.restore_best,
        stop_change=settings.stop_change,
    )


def checked_seed(seed: object) -> int:
    """A seed in the range of the native generator."""
    if isinstance(seed, bool) or not isinstance(seed, int | Integer) or not 0 <= seed <= _MAX_SEED:
        raise UsageError(f"`seed` must be a whole number from 0 to 2^63 - 1, found {seed!r}")
    return int(seed)


def checked_threads(threads: object) -> int:
    """A number of threads."""
    if isinstance(threads, bool) or not isinstance(threads, int | Integer) or threads < 1:
        raise UsageError(f"`threads` must be a whole number of at least 1, found {threads!r}")
    return int(threads)


def given(**options: object) -> dict[str, Any]:
    """The options that a caller has given."""
    return {name: value for name, value in options.items() if value is not None}


def numbers_of(
    named: dict[str, object], scalars: Collection[str], ports: Sequence[str]
) -> dict[str, float]:
    """Takes the run-time numbers out of the named arguments of `fit`; arrays stay."""
    found = {name: named.pop(name) for name in list(named) if name not in ports}
    for name, value in found.items():
        if name not in scalars and name not in CLIPS:
            known = dict.fromkeys((*ports, *scalars, *CLIPS, *OPTION_NAMES))
            raise UsageError(f"fit has no argument `{name}`", suggestion(name, known))
        number = value if isinstance(value, SupportsFloat) else True
        if isinstance(number, bool) or isnan(float(number)):
            raise UsageError(f"`{name}` must be a number, found {value!r}")
        if name in CLIPS and float(number) <= 0:
            raise UsageError(f"`{name}` must be a positive number, found {value!r}")
    return {n: float(v) for n, v in found.items() if isinstance(v, SupportsFloat)}
