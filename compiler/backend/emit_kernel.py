"""Kernel IR → LLVM IR: every statement is final vector code, one function for each kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from netc.compiler.backend import random, transpose
from netc.compiler.backend.builder import Value, define, element_of, vector
from netc.compiler.backend.kernel_scope import KernelScope
from netc.compiler.backend.math import MATH
from netc.compiler.backend.math.lanes import reduce_add, reduce_max, reduce_min
from netc.compiler.loops.loops import (
    Affine,
    Bind,
    Carry,
    Compute,
    Count,
    Draw,
    For,
    Kernel,
    Load,
    LoadRows,
    Mask,
    Operand,
    Position,
    Prefetch,
    Quotient,
    ReadScalar,
    Rows,
    Statement,
    Store,
    StoreResult,
    StoreRows,
    TransposeTile,
)
from netc.compiler.program import Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.types import Precision

TAKES_MASKS: Final = ("where", "and", "or", "not")
"""Ops whose operands may be comparisons as they are."""

FROM_CALL: Final = {
    "step": Slot.STEP,
    "epoch": Slot.EPOCH,
    "steps": Slot.STEPS,
    "epochs": Slot.EPOCHS,
    "batch_size": Slot.BATCH,
}
"""Run-time scalars that are integers of the call block."""

ACROSS: Final = {"reduce_add": reduce_add, "reduce_max": reduce_max, "reduce_min": reduce_min}


class KernelEmitter(KernelScope):
    """Emits the body of one kernel into a builder."""

    def function(self, name: str) -> str:
        """The text of the kernel as a function of its buffers, B, the blocks and the call block."""
        tiles = [
            self.b.op(f"alloca [{elements} x {self.element}], align 64", "ptr", "tile")
            for elements in self.kernel.scratch
        ]
        self._open_segment()
        for number, tile in enumerate(tiles, 1):
            self.segments[0].known["buffer", -number] = tile
        for number in range(self.kernel.buffers):
            self.segments[0].known["buffer", number] = Value(f"%buffer.{number}", "ptr")
        self.statements(self.kernel.body)
        self.b.do("ret void")
        self.b.lines = [line for entry in self.b.lines for line in self._expanded(entry)]
        buffers = [Value(f"%buffer.{i}", "ptr noalias") for i in range(self.kernel.buffers)]
        tail = [Value("%B", "i64"), Value("%blocks", "i64"), Value("%call", "ptr")]
        parameters, attributes = [*buffers, *tail], "nounwind noinline"
        return define(name, parameters, self.b, attributes=attributes, internal=True)

    # -- statements ----------------------------------------------------------------------------

    def statements(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, statement: Statement) -> None:  # noqa: C901 - one case for each kind
        match statement:
            case Load(name, buffer, index, wide):
                type_, align = self._access(index, wide)
                self.values[name] = self.b.load(type_, self._pointer(buffer, index), align)
            case Store(buffer, index, value, wide):
                type_, align = self._access(index, wide)
                self.b.store(self._value(value, type_), self._pointer(buffer, index), align)
            case Prefetch(buffer, index):
                self._prefetch(self._pointer(buffer, index))
            case Compute(name, op, args):
                self.values[name] = self._compute(op, args)
            case For():
                self._loop(statement)
            case Bind(name, count):
                self._define(name, self._count(count))
            case Quotient():
                self._quotient(statement)
            case Position(name, index, wide):
                self.values[name] = self._position(index, wide)
            case Mask(name, index, limit):
                self.values[name] = self._live(index, limit)
            case Draw():
                self._draw(statement)
            case ReadScalar(name, scalar):
                self.values[name] = self._at(0, ("scalar", scalar), lambda: self._scalar(scalar))
            case TransposeTile():
                self._transpose(statement)
            case Rows() | LoadRows() | StoreRows() | StoreResult():
                self._border(statement)

    def _access(self, index: Affine, wide: bool) -> tuple[str, int]:
        """Type and alignment of an access; buffers start at whole vectors."""
        if not wide:
            return self.element, self.bytes
        steps = (index.constant, *(factor for _, factor in index.terms))
        aligned = all(step % self.lanes == 0 for step in steps)
        return self.wide, self.bytes * (self.lanes if aligned else 1)

    def _compute(self, op: str, args: tuple[Operand, ...]) -> Value:
        lanes = self._width(args)
        type_ = vector(self.element, lanes)
        if op == "fma":
            return self.b.fma(*(self._value(a, type_) for a in args))
        if op == "keep":
            mask, *others = args
            kept, other = (self._value(o, type_) for o in others)
            return self.b.select(self._mask(mask, lanes), kept, other)
        if op in ACROSS:
            return ACROSS[op](self.b, self._value(args[0], self.wide))
        if op == "where":
            condition, *others = args
            values = (self._value(o, type_) for o in others)
            return MATH[op](self.b, self._mask(condition, lanes), *values)
        if op in TAKES_MASKS:
            return MATH[op](self.b, *(self._mask(a, lanes) for a in args))
        return MATH[op](self.b, *(self._value(a, type_) for a in args))

    def _prefetch(self, pointer: Value) -> None:
        """For reading, into the first level, as data."""
        numbers = (self.b.constant(n, "i32") for n in (0, 3, 1))
        self.b.intrinsic("llvm.prefetch.p0", "void", pointer, *numbers)

    def _quotient(self, statement: Quotient) -> None:
        value = self._integer(statement.index)
        opcode = "urem" if statement.remainder else "udiv"
        result = self.b.op(f"{opcode} i64 {value.text}, {statement.divisor}", "i64")
        self._define(statement.name, result)

    def _position(self, index: Affine, wide: bool) -> Value:
        start = self.b.convert("sitofp", self._integer(index), self.element)
        if not wide:
            return start
        return self.b.fadd(self.b.splat(start, self.lanes), self.b.iota(self.wide))

    def _live(self, index: Affine, limit: int | str) -> Value:
        """Which lanes lie below the limit, in 32 bits."""
        type_ = vector("i32", self.lanes)
        if isinstance(limit, str):
            end = self.b.convert("trunc", self.integers[limit] or Value("0", "i64"), "i32")
            bound = self.b.splat(end, self.lanes)
        else:
            bound = self.b.constant(limit, type_)
        start = self.b.convert("trunc", self._integer(index), "i32")
        places = self.b.add(self.b.splat(start, self.lanes), self.b.iota(type_))
        return self.b.icmp("slt", places, bound)

    def _scalar(self, scalar: str) -> Value:
        if scalar in FROM_CALL:
            return self.b.convert("sitofp", self._slot(FROM_CALL[scalar]), self.element)
        objective = scalar == "objective"  # `update` finds what `backward` left
        slot = Slot.RESULTS if objective else Slot.SCALARS
        numbers = self.b.convert("inttoptr", self._slot(slot), "ptr")
        place = self.b.offset(numbers, 0 if objective else 8 * self.scalars.index(scalar))
        value = self.b.load("double", place, 8)
        return value if self.element == "double" else self.b.convert("fptrunc", value, self.element)

    def _draw(self, statement: Draw) -> None:
        element = self.b.convert("trunc", self._integer(statement.element), "i32")
        sample = self.b.convert("trunc", self._integer(statement.sample), "i32")
        if statement.lanes != "none":
            places = self.b.iota(vector("i32", self.lanes))
            element, sample = (self.b.splat(v, self.lanes) for v in (element, sample))
            if statement.lanes == "samples":
                sample = self.b.add(sample, places)
            else:
                element = self.b.add(element, places)
        path = crc32(statement.path.encode())
        self.values[statement.name] = random.uniform(
            self.b, element, sample, self._slot(Slot.STEP), self._slot(Slot.SEED), path
        )

    def _transpose(self, tile: TransposeTile) -> None:
        def number(value: int) -> Value:
            return self.b.constant(value, "i64")

        self.b.declare(transpose.transpose_function(self.b.precision, self.lanes))
        self.b.call(
            transpose.NAME,
            "void",
            self._pointer(tile.source, tile.index),
            number(tile.step * self.bytes),
            number(tile.valid),
            self._pointer(tile.target, tile.target_index),
            number(tile.stride * self.bytes),
        )

    # -- the caller's arrays -------------------------------------------------------------------

    def _border(self, statement: Rows | LoadRows | StoreRows | StoreResult) -> None:
        match statement:
            case Rows(name, index):
                self.values[name] = self._rows(index)
                self._open_segment()
                self.depth[name] = len(self.segments) - 1
            case LoadRows(name, buffer, rows, size, element):
                self.values[name] = self._gather(buffer, rows, size, element)
            case StoreRows():
                self._scatter(statement)
            case StoreResult(buffer, number, value):
                wide = self._value(value, self.element)
                if self.element != "double":
                    wide = self.b.convert("fpext", wide, "double")
                self.b.store(wide, self.b.offset(self._pointer(buffer, Affine()), 8 * number), 8)

    def _rows(self, index: Affine) -> Value:
        """Sample numbers, at most the last one, looked up in the order when there is one."""
        type_ = vector("i64", self.lanes)
        last = self.b.splat(self.b.sub(Value("%B", "i64"), self.b.constant(1, "i64")), self.lanes)
        place = self.b.add(self.b.splat(self._integer(index), self.lanes), self.b.iota(type_))
        place = self.b.select(self.b.icmp("slt", place, last), place, last)
        order = self._slot(Slot.ORDER)
        given = self.b.splat(self.b.icmp("ne", order, self.b.constant(0, "i64")), self.lanes)
        base = self.b.convert("inttoptr", order, "ptr")
        return self._gathered(type_, base, place, given, place, 8)

    def _gathered(
        self, type_: str, base: Value, places: Value, mask: Value, other: Value, align: int
    ) -> Value:
        pointers = self.b.op(
            f"getelementptr {element_of(type_)}, {base.typed}, {places.typed}",
            vector("ptr", self.lanes),
        )
        suffix = f"v{self.lanes}{'i64' if element_of(type_) == 'i64' else self.b.precision}"
        name = f"llvm.masked.gather.{suffix}.v{self.lanes}p0"
        return self.b.intrinsic(name, type_, pointers, self.b.constant(align, "i32"), mask, other)

    def _gather(self, buffer: int, rows: str, size: int, element: Affine) -> Value:
        def make() -> Value:
            numbers = self.values[rows]
            return self.b.mul(numbers, self.b.constant(size, numbers.type))

        offsets = self._at(self.depth[rows], ("rows", rows, size), make)
        everyone = self.b.constant(True, vector("i1", self.lanes))
        zero = self.b.constant(0.0, self.wide)
        base = self._pointer(buffer, element)
        return self._gathered(self.wide, base, offsets, everyone, zero, self.bytes)

    def _scatter(self, statement: StoreRows) -> None:
        type_ = vector("i64", self.lanes)
        start = self.b.splat(self._integer(statement.first), self.lanes)
        samples = self.b.add(start, self.b.iota(type_))
        places = self.b.mul(samples, self.b.constant(statement.size, type_))
        base = self._pointer(statement.buffer, statement.element)
        pointers = self.b.op(
            f"getelementptr {self.element}, {base.typed}, {places.typed}",
            vector("ptr", self.lanes),
        )
        live = self._live(statement.first, "B")
        name = f"llvm.masked.scatter.v{self.lanes}{self.b.precision}.v{self.lanes}p0"
        value = self._value(statement.value, self.wide)
        self.b.intrinsic(name, "void", value, pointers, self.b.constant(self.bytes, "i32"), live)

    # -- loops ---------------------------------------------------------------------------------

    def _loop(self, loop: For) -> None:
        if loop.extent == 1:
            self._once(loop)
            return
        preheader, body, done = self.b.block, self.b.new_label("loop"), self.b.new_label("done")
        initial = [self._value(c.initial, self._carry_type(c)) for c in loop.carries]
        if isinstance(loop.extent, Count):
            extent = self._count(loop.extent)
            self.b.branch_if(self.b.icmp("sgt", extent, self.b.constant(0, "i64")), body, done)
        else:
            extent = self.b.constant(loop.extent, "i64")
            self.b.branch(body)
        self.b.label(body)
        zero = self.b.constant(0, "i64")
        counter = self.b.phi("i64", [(zero, preheader)], "i")
        phis = [
            self.b.phi(self._carry_type(c), [(value, preheader)], "c")
            for c, value in zip(loop.carries, initial, strict=True)
        ]
        self.values.update({c.name: phi for c, phi in zip(loop.carries, phis, strict=True)})
        following = self._body(loop, counter)
        step = self.b.add(counter, self.b.constant(1, "i64"))
        end = self.b.block
        self.b.add_incoming(counter, step, end)
        for phi, value in zip(phis, following, strict=True):
            self.b.add_incoming(phi, value, end)
        self.b.branch_if(self.b.icmp("slt", step, extent), body, done)
        self.b.label(done)
        for carry, first, last in zip(loop.carries, initial, following, strict=True):
            result = last
            if isinstance(loop.extent, Count):
                result = self.b.phi(first.type, [(last, end), (first, preheader)], "r")
            self.values[carry.result] = result

    def _once(self, loop: For) -> None:
        for carry in loop.carries:
            self.values[carry.name] = self._value(carry.initial, self._carry_type(carry))
        for carry, value in zip(loop.carries, self._body(loop, None), strict=True):
            self.values[carry.result] = value

    def _body(self, loop: For, counter: Value | None) -> list[Value]:
        """Emits the body; returns the values carried on, and forgets what was known inside."""
        level, outside = len(self.segments), dict(self.spread)
        self._define(loop.variable, counter)
        self.statements(loop.body)
        following = [self._value(c.next, self._carry_type(c)) for c in loop.carries]
        del self.segments[level:]
        self.spread = outside
        return following

    def _carry_type(self, carry: Carry) -> str:
        return self.wide if carry.wide else self.element


def emit_kernel(
    kernel: Kernel,
    name: str,
    precision: Precision,
    target: Target,
    scalars: Sequence[str],
    declarations: dict[str, None],
) -> str:
    """The text of one kernel as an internal function `name`."""
    return KernelEmitter(kernel, precision, target, scalars, declarations).function(name)
