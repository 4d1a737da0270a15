"""Where windows stand along one axis: the geometry that convolutions and pools share.

Tap k of place o is element `o · stride + k · dilation − before` of the axis; what lies outside
the axis is padding. Counts follow LANGUAGE: the last place is the last that fits.
"""

from __future__ import annotations

from netc.compiler.ir.types import TypeRuleError
from netc.records import record


@record
class Window:
    """Windows of `size` taps over an axis of `length` elements padded `before` and `after`."""

    length: int
    size: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        """Elements from the first tap to the last."""
        return self.dilation * (self.size - 1) + 1

    @property
    def places(self) -> int:
        """How many windows fit."""
        return (self.length + self.before + self.after - self.reach) // self.stride + 1

    @property
    def padded(self) -> bool:
        """Whether a tap of some place lies in the padding."""
        return self.before > 0 or self.element(self.places - 1, self.size - 1) >= self.length

    @property
    def overlapping(self) -> bool:
        """Whether two taps may lie on one element."""
        elements = {self.element(p, k) for p in range(self.places) for k in range(self.size)}
        return len(elements) < self.places * self.size

    @property
    def tiling(self) -> bool:
        """Whether every element lies under exactly one tap, and none in the padding."""
        dense = self.dilation == 1 or self.size == 1
        covers = self.before == 0 and self.places * self.size == self.length
        return dense and self.stride == self.size and covers

    def check(self) -> None:
        """Raises TypeRuleError for a window that no axis can have."""
        positive = min(self.length, self.size, self.stride, self.dilation) >= 1
        if not positive or min(self.before, self.after) < 0 or self.places < 1:
            raise TypeRuleError(f"{self} has no place to stand")

    def element(self, place: int, tap: int) -> int:
        """The element under a tap; negative or at least `length` in the padding."""
        return place * self.stride + tap * self.dilation - self.before

    def covered(self, tap: int) -> range:
        """The places whose tap lies on an element, not in the padding."""
        first = -(-(self.before - tap * self.dilation) // self.stride)
        last = (self.length - 1 + self.before - tap * self.dilation) // self.stride
        return range(max(first, 0), min(last + 1, self.places))
