"""Holding samples out for validation.

Invariant: the split depends on the seed and the number of samples only; both parts keep the order
of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.runtime.errors import DataError, count

if TYPE_CHECKING:
    from netc.runtime.arguments import Batch

_STREAM: Final = 0x73706C6974  # "split": apart from the draws of the net


def hold_out(data: Batch, fraction: float, seed: int, shuffled: bool) -> tuple[Batch, Batch]:
    """Training and validation parts: drawn at random, or the last samples when order counts."""
    held = max(round(data.samples * fraction), 1)
    if held >= data.samples:
        raise DataError(
            f"validation = {fraction} leaves no samples for training "
            f"({count(data.samples, 'sample')} in all)"
        )
    order = np.arange(data.samples)
    if shuffled:
        draws = np.random.Philox(key=np.array([seed, _STREAM], np.uint64)).random_raw(data.samples)
        order = np.argsort(draws, kind="stable")
    kept, out = np.sort(order[: data.samples - held]), np.sort(order[data.samples - held :])
    return data.rows(kept), data.rows(out)
