"""Types of graph values: fixed per-sample shapes and one symbolic batch size `B`."""

from __future__ import annotations

from math import prod
from typing import Literal

from netc.records import record

Precision = Literal["f32", "f64"]


@record
class TensorType:
    """`f32[B, 3, 4]` (batched: one value for each sample) or `f32[3, 4]`.

    `shape` never contains the batch axis. Labels, comparisons and masks are numbers of the same
    precision (0 and 1, or the label), so one element type serves a whole program.
    """

    shape: tuple[int, ...]
    batched: bool
    precision: Precision

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return prod(self.shape)

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        axes = (["B"] if self.batched else []) + [str(n) for n in self.shape]
        return f"{self.precision}[{', '.join(axes)}]"

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        return TensorType(shape, self.batched, self.precision)


class TypeRuleError(Exception):
    """Operands that an op does not accept; the elaborator turns it into a diagnostic."""
