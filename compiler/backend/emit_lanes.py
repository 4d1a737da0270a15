"""Kernel IR → LLVM IR: loads and stores of numbers, of whole vectors and of some of their lanes.

Invariant: no access touches memory of a lane that is not live. An access that says which lanes are
live may start anywhere; others start at whole vectors when their index does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.backend.builder import Value, vector
from netc.compiler.backend.kernel_scope import KernelScope

if TYPE_CHECKING:
    from netc.compiler.loops.loops import Affine, Load, Store


class LanesEmitter(KernelScope):
    """The part of a kernel's emitter that touches neighbouring elements, or those a step apart."""

    def _access(self, index: Affine, wide: bool) -> tuple[str, int]:
        """Type and alignment of an access; buffers start at whole vectors."""
        if not wide:
            return self.element, self.bytes
        steps = (index.constant, *(factor for _, factor in index.terms))
        aligned = all(step % self.lanes == 0 for step in steps)
        return self.wide, self.bytes * (self.lanes if aligned else 1)

    def _load(self, load: Load) -> Value:
        type_, align = self._access(load.index, load.wide)
        if not load.wide or (load.step == 1 and load.live is None):
            return self.b.load(type_, self._pointer(load.buffer, load.index), align)
        first, last = load.live or (0, self.lanes)
        if load.step == 1:
            return self._some(load.buffer, load.index, first, last)
        if load.step == 2 and self.lanes > 2:
            return self._every_other(load, first, last)
        return self._apart(load, first, last)

    def _store(self, store: Store) -> None:
        type_, align = self._access(store.index, store.wide)
        value = self._value(store.value, type_)
        pointer = self._pointer(store.buffer, store.index)
        if store.live is None or not store.wide:
            self.b.store(value, pointer, align)
        elif store.live == self.lanes:
            self.b.store(value, pointer, self.bytes)
        else:
            self.b.masked_store(value, pointer, self._lanes(0, store.live), self.bytes)

    def _lanes(self, first: int, last: int) -> Value:
        """The mask of some neighbouring lanes."""
        bits = ("true" if first <= lane < last else "false" for lane in range(self.lanes))
        return Value(f"<{', '.join(f'i1 {bit}' for bit in bits)}>", vector("i1", self.lanes))

    def _some(self, buffer: int, index: Affine, first: int, last: int) -> Value:
        """A vector with the lanes from `first` up to `last`; the others are 0."""
        if last <= first:
            return self.b.constant(0.0, self.wide)
        pointer = self._pointer(buffer, index)
        if first <= 0 and last >= self.lanes:
            return self.b.load(self.wide, pointer, self.bytes)
        return self.b.masked_load(self.wide, pointer, self._lanes(first, last), self.bytes)

    def _every_other(self, load: Load, first: int, last: int) -> Value:
        """Two vectors that overlap in one element, which keeps the second inside the memory."""
        lanes, end = self.lanes, 2 * last - 1
        near = self._some(load.buffer, load.index, 2 * first, end)
        shift = lanes - 1
        far = self._some(load.buffer, load.index + shift, 2 * first - shift, end - shift)
        chosen = [2 * i if 2 * i < lanes else 2 * i + 1 for i in range(lanes)]
        return self.b.shuffle(near, far, chosen)

    def _apart(self, load: Load, first: int, last: int) -> Value:
        """Lanes that are any distance apart, one by one."""
        type_ = vector("i64", self.lanes)
        places = self.b.mul(self.b.iota(type_), self.b.constant(load.step, type_))
        base = self._pointer(load.buffer, load.index)
        pointers = self.b.op(
            f"getelementptr {self.element}, {base.typed}, {places.typed}",
            vector("ptr", self.lanes),
        )
        name = f"llvm.masked.gather.v{self.lanes}{self.b.precision}.v{self.lanes}p0"
        align = self.b.constant(self.bytes, "i32")
        zero = self.b.constant(0.0, self.wide)
        mask = self._lanes(first, last)
        return self.b.intrinsic(name, self.wide, pointers, align, mask, zero)
