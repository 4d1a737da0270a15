"""Kernel IR → LLVM IR: accesses whose places differ between the lanes of a vector.

They are the caller's rows, one for each sample, and elements that run-time numbers pick.
"""

from __future__ import annotations

from netc.compiler.backend import transpose
from netc.compiler.backend.builder import Value, element_of, vector
from netc.compiler.backend.emit_lanes import LanesEmitter
from netc.compiler.loops.loops import (
    Affine,
    LoadRows,
    PackRows,
    Place,
    Places,
    Rows,
    StoreResult,
    StoreRows,
)
from netc.compiler.program import Slot


class PlacesEmitter(LanesEmitter):
    """The part of a kernel's emitter that loads and stores lane by lane."""

    # -- numbers as places ---------------------------------------------------------------------

    def _place(self, statement: Place) -> None:
        value = self._value(statement.value, self.element)
        self._define(statement.name, self._whole(value, 1))

    def _places(self, statement: Places) -> None:
        type_ = vector("i64", self.lanes)
        places = self._whole(self._value(statement.value, self.wide), self.lanes)
        if statement.step > 1:
            places = self.b.mul(places, self.b.constant(statement.step, type_))
        if statement.apart:
            places = self.b.add(places, self.b.iota(type_))
        self.values[statement.name] = places
        self._open_segment()
        self.depth[statement.name] = len(self.segments) - 1

    def _whole(self, value: Value, lanes: int) -> Value:
        """The whole part; 32 bits hold every index that f32 has, and vectors convert to them."""
        if self.element == "double":
            return self.b.convert("fptosi", value, vector("i64", lanes))
        narrow = self.b.convert("fptosi", value, vector("i32", lanes))
        return self.b.convert("sext", narrow, vector("i64", lanes))

    # -- the caller's arrays -------------------------------------------------------------------

    def _border(
        self, statement: Rows | LoadRows | PackRows | StoreRows | StoreResult | Places
    ) -> None:
        match statement:
            case Rows(name, index):
                self.values[name] = self._rows(index)
                self._open_segment()
                self.depth[name] = len(self.segments) - 1
            case Places():
                self._places(statement)
            case LoadRows(name, buffer, rows, size, element):
                self.values[name] = self._gather(buffer, rows, size, element)
            case PackRows():
                self._pack(statement)
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
            if size == 1:
                return numbers
            return self.b.mul(numbers, self.b.constant(size, numbers.type))

        offsets = self._at(self.depth[rows], ("rows", rows, size), make)
        everyone = self.b.constant(True, vector("i1", self.lanes))
        zero = self.b.constant(0.0, self.wide)
        base = self._pointer(buffer, element)
        return self._gathered(self.wide, base, offsets, everyone, zero, self.bytes)

    def _pack(self, statement: PackRows) -> None:
        rows = self.values[statement.rows]
        bytes_each = self.b.constant(statement.size * self.bytes, rows.type)
        array = self._at(
            0, ("places",), lambda: self.b.op(f"alloca [{self.lanes} x i64], align 64", "ptr")
        )
        self.b.store(self.b.mul(rows, bytes_each), array, 64)
        self.b.declare(transpose.pack_function(self.b.precision, self.lanes))
        self.b.call(
            transpose.PACK,
            "void",
            self._pointer(statement.buffer, Affine()),
            array,
            self.b.constant(statement.size, "i64"),
            self._pointer(statement.target, statement.index),
        )

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
