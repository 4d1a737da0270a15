"""Kernel IR → LLVM IR: every statement is final vector code, one function for each kernel."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final
from zlib import crc32

from netc.compiler.backend import random, transpose
from netc.compiler.backend.builder import Value, define, vector
from netc.compiler.backend.emit_places import PlacesEmitter
from netc.compiler.backend.kernel_scope import NUMBERS
from netc.compiler.backend.math import MATH
from netc.compiler.backend.math.lanes import lane_sums, reduce_add, reduce_max, reduce_min
from netc.compiler.loops.loops import (
    AddSums,
    Affine,
    Bind,
    Carry,
    Compute,
    Count,
    Draw,
    For,
    Guard,
    Kernel,
    Load,
    LoadRows,
    Mask,
    Operand,
    PackRows,
    Place,
    Places,
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
    Within,
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


class KernelEmitter(PlacesEmitter):
    """Emits the body of one kernel into a builder."""

    def function(self, name: str) -> str:
        """The text of the kernel as a function of its buffers, what to do of it, the call block."""
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
        self.b.lines = self._expanded(self.b.lines)
        buffers = [Value(f"%buffer.{i}", "ptr noalias") for i in range(self.kernel.buffers)]
        numbers = [Value(f"%{name}", "i64") for name in NUMBERS]
        parameters = [*buffers, *numbers, Value("%call", "ptr")]
        attributes = "nounwind noinline"
        return define(name, parameters, self.b, attributes=attributes, internal=True)

    # -- statements ----------------------------------------------------------------------------

    def statements(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, statement: Statement) -> None:  # noqa: C901 - one case for each kind
        match statement:
            case Load():
                self.values[statement.name] = self._load(statement)
            case Store():
                self._store(statement)
            case AddSums():
                self._add_sums(statement)
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
            case Within():
                self._within(statement)
            case Guard():
                self._guard(statement)
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
            case Place():
                self._place(statement)
            case Rows() | LoadRows() | PackRows() | StoreRows() | StoreResult() | Places():
                self._border(statement)

    def _compute(self, op: str, args: tuple[Operand, ...]) -> Value:
        lanes = self._width(args)
        type_ = vector(self.element, lanes)
        if op == "fma":
            return self.b.fma(*(self._value(a, type_) for a in args))
        if op == "wide":
            return self._value(args[0], self.wide)
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

    def _add_sums(self, statement: AddSums) -> None:
        """The sums lie in the lanes of one vector: neighbours in memory are added together."""
        sums = lane_sums(self.b, [self._value(v, self.wide) for v in statement.values])
        places = list(enumerate(statement.indices))
        for _, group in groupby(places, lambda place: place[1] + -place[0]):
            lanes = [lane for lane, _ in group]
            start = statement.indices[lanes[0]] + -lanes[0]
            pointer = self._pointer(statement.buffer, start)
            alive = (f"i1 {lane in lanes}".lower() for lane in range(self.lanes))
            mask = Value(f"<{', '.join(alive)}>", vector("i1", self.lanes))
            so_far = self.b.masked_load(self.wide, pointer, mask, self.bytes)
            self.b.masked_store(self.b.fadd(so_far, sums), pointer, mask, self.bytes)

    def _prefetch(self, pointer: Value) -> None:
        """For reading, into the first level, as data."""
        numbers = (self.b.constant(n, "i32") for n in (0, 3, 1))
        self.b.intrinsic("llvm.prefetch.p0", "void", pointer, *numbers)

    def _quotient(self, statement: Quotient) -> None:
        value = self._integer(statement.index)
        opcode = "urem" if statement.remainder else "udiv"
        result = self.b.op(f"{opcode} i64 {value.text}, {statement.divisor}", "i64")
        self._define(statement.name, result)

    def _within(self, statement: Within) -> None:
        zero = self.b.constant(0, "i64")
        end = self.b.constant(statement.extent, "i64")

        def rounds(distance: Affine) -> Value:
            """How many rounds it takes to cover a distance, 0 to the extent."""
            value = self._integer(distance)
            value = self.b.select(self.b.icmp("slt", value, zero), zero, value)
            if statement.step > 1:
                value = self.b.add(value, self.b.constant(statement.step - 1, "i64"))
                value = self.b.op(f"udiv i64 {value.text}, {statement.step}", "i64")
            return self.b.select(self.b.icmp("slt", value, end), value, end)

        first = rounds(statement.index * -1)
        count = self.b.sub(rounds(statement.index * -1 + statement.length), first)
        self._define(statement.first, first)
        self._define(statement.count, count)

    def _guard(self, statement: Guard) -> None:
        """The test and the clamped index, computed where the index's variables are known."""
        level = max((self.depth[name] for name, _ in statement.index.terms), default=0)
        key = (statement.index, statement.length)
        length, zero = (self.b.constant(n, "i64") for n in (statement.length, 0))
        index = self._at(level, ("index", *key), lambda: self._integer(statement.index))
        inside = self._at(level, ("inside", *key), lambda: self.b.icmp("ult", index, length))
        clamped = self._at(level, ("clamped", *key), lambda: self.b.select(inside, index, zero))
        self.values[statement.name] = inside
        self.integers[statement.clamped] = clamped
        self.depth[statement.clamped] = level

    def _position(self, index: Affine, wide: bool) -> Value:
        start = self.b.convert("sitofp", self._integer(index), self.element)
        if not wide:
            return start
        return self.b.fadd(self.b.splat(start, self.lanes), self.b.iota(self.wide))

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
            transpose.TRANSPOSE,
            "void",
            self._pointer(tile.source, tile.index),
            number(tile.step * self.bytes),
            number(tile.valid),
            self._pointer(tile.target, tile.target_index),
            number(tile.stride * self.bytes),
        )

    # -- loops ---------------------------------------------------------------------------------

    def _loop(self, loop: For) -> None:
        if loop.extent == 1:
            self._once(loop)
            return
        preheader, body, done = self.b.block, self.b.new_label("loop"), self.b.new_label("done")
        initial = [self._value(c.initial, self._carry_type(c)) for c in loop.carries]
        start, extent = self._rounds(loop)
        skipped = loop.split or isinstance(loop.extent, Count)
        if skipped:
            self.b.branch_if(self.b.icmp("sgt", extent, start), body, done)
        else:
            self.b.branch(body)
        self.b.label(body)
        counter = self.b.phi("i64", [(start, preheader)], "i")
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
            if skipped:
                result = self.b.phi(first.type, [(last, end), (first, preheader)], "r")
            self.values[carry.result] = result

    def _rounds(self, loop: For) -> tuple[Value, Value]:
        """The first round, and the one after the last."""
        zero = self.b.constant(0, "i64")
        if isinstance(loop.extent, Count):
            return zero, self._count(loop.extent)
        extent = self.b.constant(loop.extent, "i64")
        if not loop.split:
            return zero, extent

        def bound(part: Value) -> Value:
            rounds = self.b.mul(part, extent)
            return self.b.op(f"udiv i64 {rounds.text}, %parts", "i64")

        part, one = Value("%part", "i64"), self.b.constant(1, "i64")
        start = self._at(0, ("start", loop.extent), lambda: bound(part))
        end = self._at(0, ("end", loop.extent), lambda: bound(self.b.add(part, one)))
        return start, end

    def _once(self, loop: For) -> None:
        """A single round; a split loop's is that of the last part, and carries nothing."""
        if loop.split:
            start, end = self._rounds(loop)
            body, done = self.b.new_label("once"), self.b.new_label("done")
            self.b.branch_if(self.b.icmp("slt", start, end), body, done)
            self.b.label(body)
            self._body(loop, None)
            self.b.branch(done)
            self.b.label(done)
            return
        for carry in loop.carries:
            self.values[carry.name] = self._value(carry.initial, self._carry_type(carry))
        for carry, value in zip(loop.carries, self._body(loop, None), strict=True):
            self.values[carry.result] = value

    def _body(self, loop: For, counter: Value | None) -> list[Value]:
        """Emits the body; returns the values carried on, and forgets what was known inside."""
        level, outside, around = len(self.segments), dict(self.spread), self.loops
        self.loops += counter is not None
        self._define(loop.variable, counter)
        self.statements(loop.body)
        following = [self._value(c.next, self._carry_type(c)) for c in loop.carries]
        del self.segments[level:]
        self.spread, self.loops = outside, around
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
