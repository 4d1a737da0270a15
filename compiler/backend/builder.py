"""LLVM IR as text: one `Builder` collects the instructions of one function body.

Invariants: a `Value` carries its LLVM type, so every helper serves scalars and vectors of any width
alike; float constants are written in hexadecimal, so they are exact; no fast-math flag is ever set
but `contract`, and only where it is asked for.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netc.compiler.ir.types import Precision

ELEMENT: Final[dict[Precision, str]] = {"f32": "float", "f64": "double"}
"""The LLVM name of a program's element type."""

_VECTOR: Final = re.compile(r"<(\d+) x (\w+)>")
_SUFFIX: Final = {"float": "f32", "double": "f64", "ptr": "p0"}
_BITS: Final = {"float": 32, "double": 64}


class Value(NamedTuple):
    """An SSA name or literal and its LLVM type."""

    text: str
    type: str

    @property
    def typed(self) -> str:
        """As an operand with its type: `float %v3`."""
        return f"{self.type} {self.text}"


@cache
def lanes_of(type_: str) -> int:
    """The number of lanes; 1 for a scalar."""
    found = _VECTOR.fullmatch(type_)
    return int(found[1]) if found else 1


@cache
def element_of(type_: str) -> str:
    """The type of one lane."""
    found = _VECTOR.fullmatch(type_)
    return found[2] if found else type_


def vector(element: str, lanes: int) -> str:
    """The vector type of `lanes` elements; the scalar type for one lane."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def mask_of(type_: str) -> str:
    """The type of a comparison of two values of this type."""
    return vector("i1", lanes_of(type_))


def integer_of(type_: str) -> str:
    """The integer type of the same lanes and width as a float type."""
    return vector(f"i{_BITS[element_of(type_)]}", lanes_of(type_))


@cache
def suffix_of(type_: str) -> str:
    """The type as overloaded intrinsics spell it: `v16f32`, `i64`."""
    element = element_of(type_)
    lanes = lanes_of(type_)
    return ("" if lanes == 1 else f"v{lanes}") + _SUFFIX.get(element, element)


def literal(value: float, element: str) -> str:
    """One number as LLVM text; floats beyond the range of `element` become infinite."""
    if element == "i1":
        return "true" if value else "false"
    if element not in _BITS:
        return str(int(value))
    if element == "float":
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Builder:
    """The body of one function, instruction by instruction.

    `declarations` is what the module must declare, and the functions that its functions share:
    give every function of a module the same dictionary. `fused` says whether the target multiplies
    and adds in one rounding, `avx512` whether it has what only AVX-512 has: estimates, permutes.
    """

    def __init__(
        self,
        precision: Precision,
        declarations: dict[str, None] | None = None,
        fused: bool = True,
        avx512: bool = False,
    ) -> None:
        self.precision: Precision = precision
        self.element = ELEMENT[precision]
        self.fused = fused
        self.avx512 = avx512
        self.declarations: dict[str, None] = {} if declarations is None else declarations
        self.lines: list[str] = []
        self.block = "entry"
        self._count = 0
        self._declared: set[str] = set()
        self._phis: dict[str, tuple[int, str, list[str]]] = {}

    # -- lines ---------------------------------------------------------------------------------

    def fresh(self, hint: str = "v") -> str:
        """A new SSA name."""
        self._count += 1
        return f"%{hint}{self._count}"

    def op(self, text: str, type_: str, hint: str = "v") -> Value:
        """Emits `%v = text`, an instruction whose result has `type_`."""
        self._count = count = self._count + 1  # as `fresh`; most of the time goes by here
        name = f"%{hint}{count}"
        self.lines.append(f"  {name} = {text}")
        return Value(name, type_)

    def do(self, text: str) -> None:
        """Emits an instruction without a result."""
        self.lines.append(f"  {text}")

    def declare(self, text: str) -> None:
        """Notes a `declare` line, or a whole function, that the module needs."""
        self.declarations[text] = None

    def constant(self, value: float, type_: str) -> Value:
        """An exact constant, the same in every lane."""
        element = element_of(type_)
        text = literal(value, element)
        return Value(text if element == type_ else f"splat ({element} {text})", type_)

    # -- control flow --------------------------------------------------------------------------

    def new_label(self, hint: str = "block") -> str:
        """A block name that is not in use."""
        return self.fresh(hint)[1:]

    def label(self, name: str) -> None:
        """Starts the block `name`; `.block` is the current one."""
        self.lines.append(f"{name}:")
        self.block = name

    def branch(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch_if(self, condition: Value, then: str, otherwise: str) -> None:
        self.do(f"br {condition.typed}, label %{then}, label %{otherwise}")

    def phi(self, type_: str, incoming: Iterable[tuple[Value, str]] = (), hint: str = "v") -> Value:
        """A phi node; `add_incoming` completes it once the other edges are known."""
        result = self.op("phi", type_, hint)
        self._phis[result.text] = (len(self.lines) - 1, type_, [])
        for value, label in incoming:
            self.add_incoming(result, value, label)
        return result

    def add_incoming(self, phi: Value, value: Value, label: str) -> None:
        """Adds the edge from block `label` to a phi node of this builder."""
        index, type_, edges = self._phis[phi.text]
        edges.append(f"[ {value.text}, %{label} ]")
        self.lines[index] = f"  {phi.text} = phi {type_} {', '.join(edges)}"

    # -- calls and memory ----------------------------------------------------------------------

    def call(self, name: str, type_: str, *args: Value) -> Value:
        """Calls `@name`; a `void` function returns a value that must not be used."""
        text = f"call {type_} @{name}({', '.join([a.typed for a in args])})"
        if type_ == "void":
            self.do(text)
            return Value("", "void")
        return self.op(text, type_)

    def intrinsic(self, name: str, type_: str, *args: Value) -> Value:
        """Calls the intrinsic `@name` (suffixes included) and notes its declaration."""
        if name not in self._declared:
            self._declared.add(name)
            self.declare(f"declare {type_} @{name}({', '.join([a.type for a in args])})")
        return self.call(name, type_, *args)

    def offset(self, pointer: Value, amount: Value | int, unit: str = "i8") -> Value:
        """`pointer` moved by `amount` elements of type `unit` (bytes unless told)."""
        index = amount if isinstance(amount, int) else amount.text
        return self.op(f"getelementptr {unit}, ptr {pointer.text}, i64 {index}", "ptr", "p")

    def opaque(self, pointer: Value) -> Value:
        """The same address; LLVM does not ask how it was computed."""
        return self.op(f"freeze {pointer.typed}", "ptr", "f")

    def load(self, type_: str, pointer: Value, align: int) -> Value:
        return self.op(f"load {type_}, {pointer.typed}, align {align}", type_)

    def store(self, value: Value, pointer: Value, align: int) -> None:
        self.do(f"store {value.typed}, {pointer.typed}, align {align}")

    def masked_load(self, type_: str, pointer: Value, mask: Value, align: int) -> Value:
        """Lanes outside the mask are not read and are 0."""
        zero = Value("zeroinitializer", type_)
        name = f"llvm.masked.load.{suffix_of(type_)}.p0"
        return self.intrinsic(name, type_, pointer, self.constant(align, "i32"), mask, zero)

    def masked_store(self, value: Value, pointer: Value, mask: Value, align: int) -> None:
        name = f"llvm.masked.store.{suffix_of(value.type)}.p0"
        self.intrinsic(name, "void", value, pointer, self.constant(align, "i32"), mask)

    # -- floats --------------------------------------------------------------------------------

    def _binary(self, opcode: str, a: Value, b: Value) -> Value:
        return self.op(f"{opcode} {a.typed}, {b.text}", a.type)

    def fadd(self, a: Value, b: Value, contract: bool = False) -> Value:
        return self._binary("fadd contract" if contract else "fadd", a, b)

    def fsub(self, a: Value, b: Value, contract: bool = False) -> Value:
        return self._binary("fsub contract" if contract else "fsub", a, b)

    def fmul(self, a: Value, b: Value, contract: bool = False) -> Value:
        return self._binary("fmul contract" if contract else "fmul", a, b)

    def fdiv(self, a: Value, b: Value) -> Value:
        return self._binary("fdiv", a, b)

    def fneg(self, a: Value) -> Value:
        return self.op(f"fneg {a.typed}", a.type)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """`a * b + c`, in one rounding where the target can, else in two."""
        if not self.fused:
            return self.fadd(self.fmul(a, b), c)
        type_, name = a.type, f"llvm.fma.{suffix_of(a.type)}"
        if name not in self._declared:
            return self.intrinsic(name, type_, a, b, c)
        operands = f"{type_} {a.text}, {type_} {b.text}, {type_} {c.text}"
        return self.op(f"call {type_} @{name}({operands})", type_)

    def _unary(self, name: str, a: Value) -> Value:
        return self.intrinsic(f"llvm.{name}.{suffix_of(a.type)}", a.type, a)

    def sqrt(self, a: Value) -> Value:
        return self._unary("sqrt", a)

    def floor(self, a: Value) -> Value:
        return self._unary("floor", a)

    def ceil(self, a: Value) -> Value:
        return self._unary("ceil", a)

    def roundeven(self, a: Value) -> Value:
        return self._unary("roundeven", a)

    def fabs(self, a: Value) -> Value:
        return self._unary("fabs", a)

    def copysign(self, magnitude: Value, sign: Value) -> Value:
        name = f"llvm.copysign.{suffix_of(magnitude.type)}"
        return self.intrinsic(name, magnitude.type, magnitude, sign)

    def fcmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self.op(f"fcmp {predicate} {a.typed}, {b.text}", mask_of(a.type))

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        return self.op(f"select {condition.typed}, {a.typed}, {b.typed}", a.type)

    # -- integers and bits ---------------------------------------------------------------------

    def add(self, a: Value, b: Value) -> Value:
        return self._binary("add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._binary("sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._binary("mul", a, b)

    def shl(self, a: Value, b: Value) -> Value:
        return self._binary("shl", a, b)

    def lshr(self, a: Value, b: Value) -> Value:
        return self._binary("lshr", a, b)

    def ashr(self, a: Value, b: Value) -> Value:
        return self._binary("ashr", a, b)

    def and_(self, a: Value, b: Value) -> Value:
        return self._binary("and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        return self._binary("or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        return self._binary("xor", a, b)

    def not_(self, a: Value) -> Value:
        """Every bit flipped; the complement of a mask."""
        ones = True if element_of(a.type) == "i1" else -1
        return self.xor(a, self.constant(ones, a.type))

    def icmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self.op(f"icmp {predicate} {a.typed}, {b.text}", mask_of(a.type))

    def convert(self, opcode: str, a: Value, type_: str) -> Value:
        """`sitofp uitofp fptosi fpext fptrunc zext sext trunc bitcast …` to `type_`."""
        return self.op(f"{opcode} {a.typed} to {type_}", type_)

    def bitcast(self, a: Value, type_: str) -> Value:
        return a if a.type == type_ else self.convert("bitcast", a, type_)

    # -- lanes ---------------------------------------------------------------------------------

    def splat(self, scalar: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1:
            return scalar
        type_ = vector(scalar.type, lanes)
        one = self.op(f"insertelement {type_} poison, {scalar.typed}, i32 0", type_)
        mask = f"<{lanes} x i32> zeroinitializer"
        return self.op(f"shufflevector {one.typed}, {type_} poison, {mask}", type_)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """The vector of the numbered lanes of `a` followed by `b`; a scalar for one lane of `a`."""
        if len(lanes) == 1:
            return self.extract(a, lanes[0])
        type_ = vector(element_of(a.type), len(lanes))
        mask = f"<{len(lanes)} x i32> <{', '.join(f'i32 {n}' for n in lanes)}>"
        return self.op(f"shufflevector {a.typed}, {b.typed}, {mask}", type_)

    def extract(self, a: Value, lane: int) -> Value:
        """One lane as a scalar."""
        if lanes_of(a.type) == 1:
            return a
        return self.op(f"extractelement {a.typed}, i32 {lane}", element_of(a.type))

    def iota(self, type_: str) -> Value:
        """0, 1, 2 … in the lanes of an integer or float vector type; 0 for a scalar."""
        element = element_of(type_)
        if element == type_:
            return self.constant(0, type_)
        numbers = (f"{element} {literal(n, element)}" for n in range(lanes_of(type_)))
        return Value(f"<{', '.join(numbers)}>", type_)


def define(
    name: str,
    parameters: Sequence[Value],
    body: Builder,
    result: str = "void",
    attributes: str = "nounwind",
    *,
    internal: bool = False,
) -> str:
    """The text of a function; parameter types may carry attributes (`ptr noalias`)."""
    linkage = "define internal" if internal else "define"
    head = f"{linkage} {result} @{name}({', '.join(p.typed for p in parameters)}) {attributes} {{"
    return "\n".join((head, "entry:", *body.lines, "}\n"))


def module(functions: Iterable[str], declarations: Iterable[str], globals_: str = "") -> str:
    """The text of a module."""
    return "\n".join((globals_, *declarations, "", *functions))
