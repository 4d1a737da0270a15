"""How long each stage of the compiler took, in seconds of processor time.

Invariant: a stage that runs several times has the sum; the order is that of the first runs.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import process_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Timings(dict[str, float]):
    """Seconds by stage."""

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Adds the time of a block to its stage."""
        start = process_time()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + process_time() - start
