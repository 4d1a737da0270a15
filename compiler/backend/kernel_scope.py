"""What is known inside a kernel while it is emitted: variables, addresses, values.

Address arithmetic is hoisted here: the part of an access that depends on outer loops only is
computed once in the outermost place where its variables are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, Value, lanes_of, vector
from netc.compiler.backend.math import as_float, as_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision
    from netc.compiler.loops.loops import Affine, Count, Kernel, Operand
    from netc.compiler.program import Slot


NUMBERS: Final = ("B", "first", "blocks", "part", "parts")
"""What a call of a kernel is to do: samples of the batch, a range of blocks, one of the parts."""


@dataclass(slots=True)
class Segment:
    """A place where hoisted code may go: after a variable and everything before it is known.

    `loops` is how many loops are around it.
    """

    loops: int
    lines: list[str] = field(default_factory=list)
    known: dict[object, Value] = field(default_factory=dict)


class KernelScope:
    """The names of one kernel and where each is known."""

    def __init__(
        self,
        kernel: Kernel,
        precision: Precision,
        target: Target,
        scalars: Sequence[str],
        declarations: dict[str, None],
    ) -> None:
        self.b = Builder(precision, declarations, target.fused, target.avx512)
        self.kernel = kernel
        self.scalars = scalars
        self.lanes = target.lanes(precision)
        self.element = self.b.element
        self.wide = vector(self.element, self.lanes)
        self.bytes = 4 if precision == "f32" else 8
        self.values: dict[str, Value] = {}
        self.integers: dict[str, Value | None] = {n: Value(f"%{n}", "i64") for n in NUMBERS}
        self.depth: dict[str, int] = dict.fromkeys(NUMBERS, 0)
        self.segments: list[Segment] = []
        self.loops = 0
        self.spread: dict[Value, Value] = {}
        self.markers: dict[str, list[str]] = {}

    # -- hoisting ------------------------------------------------------------------------------

    def _open_segment(self) -> None:
        segment = Segment(self.loops)
        marker = f"; hoisted {len(self.markers)}"
        self.markers[marker] = segment.lines
        self.b.lines.append(marker)
        self.segments.append(segment)

    def _define(self, variable: str, value: Value | None) -> None:
        """An integer variable; None stands for 0."""
        self.integers[variable] = value
        self._open_segment()
        self.depth[variable] = len(self.segments) - 1

    def _at(self, level: int, key: object, make: Callable[[], Value]) -> Value:
        """A value computed once in segment `level`."""
        segment = self.segments[level]
        if key not in segment.known:
            inside, self.b.lines = self.b.lines, segment.lines
            segment.known[key] = make()
            self.b.lines = inside
        return segment.known[key]

    def _pointer(self, buffer: int, index: Affine) -> Value:
        """The address of an element; constants stay displacements of the access."""
        here, key = self.segments[-1].known, ("element", buffer, index.terms)
        if key not in here:
            here[key] = self._base(buffer, index)
        if index.constant:
            return self.b.offset(here[key], index.constant * self.bytes)
        return here[key]

    def _base(self, buffer: int, index: Affine) -> Value:
        """The address without the constant, each part where its variable is known.

        What goes into a loop is opaque there: else LLVM looks through all loops around an access
        for a better induction variable, which takes it a fifth of its time and finds none.
        """
        pointer = self.segments[0].known["buffer", buffer]
        key: tuple[object, ...] = ("buffer", buffer)
        level = 0
        for name, factor in sorted(index.terms, key=lambda t: self.depth[t[0]]):
            value = self.integers[name]
            if value is None:
                continue
            inner = max(level, self.depth[name])
            if len(key) > 2 and self.segments[inner].loops > self.segments[level].loops:
                pointer = self._at(level, ("opaque", *key), partial(self.b.opaque, pointer))
            level = inner
            key = (*key, name, factor)
            pointer = self._at(level, key, self._moved(pointer, value, factor))
        return pointer

    def _moved(self, pointer: Value, value: Value, factor: int) -> Callable[[], Value]:
        def make() -> Value:
            if factor > 0:
                return self.b.offset(pointer, value, f"[{factor * self.bytes} x i8]")
            amount = self.b.mul(value, self.b.constant(factor * self.bytes, "i64"))
            return self.b.offset(pointer, amount)

        return make

    def _integer(self, index: Affine) -> Value:
        total = self.b.constant(index.constant, "i64")
        for name, factor in index.terms:
            value = self.integers[name]
            if value is not None:
                total = self.b.add(total, self.b.mul(value, self.b.constant(factor, "i64")))
        return total

    def _count(self, count: Count) -> Value:
        base = self.integers[count.base]
        if base is None:
            return self.b.constant(0, "i64")
        if count.divisor == 1:
            return base
        opcode = "urem" if count.remainder else "udiv"
        return self.b.op(f"{opcode} i64 {base.text}, {count.divisor}", "i64")

    def _expanded(self, lines: list[str]) -> list[str]:
        """The lines with those that were hoisted in the place of each marker."""
        found: list[str] = []
        for line in lines:
            if line[0] == ";":
                found += self._expanded(self.markers[line])
            else:
                found.append(line)
        return found

    def _slot(self, slot: Slot) -> Value:
        def make() -> Value:
            return self.b.load("i64", self.b.offset(Value("%call", "ptr"), 8 * slot), 8)

        return self._at(0, ("slot", slot), make)

    # -- values --------------------------------------------------------------------------------

    def _value(self, operand: Operand, type_: str) -> Value:
        """An operand as a float of the given type: literals, masks and narrow values adapt."""
        if not isinstance(operand, str):
            return self.b.constant(operand, type_)
        value = self.values[operand]
        if value.type == type_:
            return value
        value = as_float(self.b, value, vector(self.element, lanes_of(value.type)))
        return value if value.type == type_ else self._spread(value, lanes_of(type_))

    def _spread(self, value: Value, lanes: int) -> Value:
        """A narrow value in every lane, made once in the body that needs it and those inside."""
        if value not in self.spread:
            self.spread[value] = self.b.splat(value, lanes)
        return self.spread[value]

    def _mask(self, operand: Operand, lanes: int) -> Value:
        if not isinstance(operand, str):
            return self.b.constant(operand != 0, vector("i1", lanes))
        value = as_mask(self.b, self.values[operand])
        return value if lanes_of(value.type) == lanes else self.b.splat(value, lanes)

    def _width(self, operands: Sequence[Operand]) -> int:
        types = [self.values[o].type for o in operands if isinstance(o, str)]
        return self.lanes if self.wide in types else max(map(lanes_of, types), default=1)
