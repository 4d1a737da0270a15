"""Counter-based random numbers in native code: Philox4x32-10 and the order of a data set.

Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011). Invariant: a draw is a pure
function of its counter and key, so it does not depend on vector width, threads or earlier draws.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final
from zlib import crc32

from netc.compiler.backend.builder import Builder, Value, define, lanes_of, vector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.compiler.ir.types import Precision

_ROUNDS: Final = 10
_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_WEYL: Final = (0x9E3779B9, 0xBB67AE85)
_LOW: Final = 0xFFFFFFFF
_SHUFFLE: Final = crc32(b"shuffle")

Words = tuple[Value, Value, Value, Value]


def philox(b: Builder, counter: Words, key: tuple[Value, Value]) -> Words:
    """Four random words: 32-bit numbers in i64 lanes, as counter and key (scalars) are."""
    type_ = counter[0].type
    low, shift = b.constant(_LOW, type_), b.constant(32, type_)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for number in range(_ROUNDS):
        if number:
            k0, k1 = (
                _low(b, b.add(k, b.constant(w, "i64")))
                for k, w in zip((k0, k1), _WEYL, strict=True)
            )
        p0 = b.mul(c0, b.constant(_MULTIPLIERS[0], type_))
        p1 = b.mul(c2, b.constant(_MULTIPLIERS[1], type_))
        lane0, lane1 = b.splat(k0, lanes_of(type_)), b.splat(k1, lanes_of(type_))
        c0, c1, c2, c3 = (
            b.xor(b.lshr(p1, shift), b.xor(c1, lane0)),
            b.and_(p1, low),
            b.xor(b.lshr(p0, shift), b.xor(c3, lane1)),
            b.and_(p0, low),
        )
    return c0, c1, c2, c3


def uniform(
    b: Builder, element: Value, sample: Value, step: Value, seed: Value, path: int
) -> Value:
    """Uniform numbers in (0, 1) of the builder's precision: a call of the module's own function.

    `element` and `sample` are i32, scalars or vectors of one width; `step` and `seed` are i64
    scalars; `path` is the CRC-32 of the name of the draw. Equal to the op `Random` bit for bit.
    """
    lanes = lanes_of(element.type)
    name = f"netc.uniform.{lanes}"
    b.declare(_uniform_function(name, b.precision, lanes))
    type_ = vector(b.element, lanes)
    return b.call(name, type_, element, sample, step, seed, b.constant(path, "i64"))


@cache
def _uniform_function(name: str, precision: Precision, lanes: int) -> str:
    """The body is long: inlined at each draw it would take most of the time of compiling."""
    b = Builder(precision)
    narrow, wide = vector("i32", lanes), vector("i64", lanes)
    element, sample = Value("%element", narrow), Value("%sample", narrow)
    step, seed, path = (Value(f"%{name}", "i64") for name in ("step", "seed", "path"))
    counter = (
        b.convert("zext", element, wide),
        b.convert("zext", sample, wide),
        b.splat(_low(b, step), lanes),
        b.splat(_high(b, step), lanes),
    )
    word = philox(b, counter, _key(b, seed, path))[0]
    bits = b.lshr(b.convert("trunc", word, narrow), b.constant(9, narrow))
    number = b.convert("sitofp", bits, vector(b.element, lanes))
    middle = b.fadd(number, b.constant(0.5, number.type))
    result = b.fmul(middle, b.constant(2.0**-23, number.type))
    b.do(f"ret {result.typed}")
    parameters = [element, sample, step, seed, path]
    return define(name, parameters, b, result.type, "nounwind noinline", internal=True)


def order_function(declarations: dict[str, None]) -> str:
    """`netc.order(order, samples, seed, epoch, mode)`: the row numbers of one epoch.

    Mode 0 is the order of the data, 1 a permutation (Fisher and Yates, from the identity), 2 draws
    with replacement. A pure function of its arguments: resuming at an epoch gives the same order.
    """
    b = Builder("f32", declarations)
    order, samples = Value("%order", "ptr"), Value("%samples", "i64")
    seed, epoch, mode = (Value(f"%{name}", "i64") for name in ("seed", "epoch", "mode"))
    one = b.constant(1, "i64")
    draw, fill, swap, end = (b.new_label(hint) for hint in ("draw", "fill", "swap", "end"))
    b.branch_if(b.icmp("eq", mode, b.constant(2, "i64")), draw, fill)
    b.label(draw)
    with _counting(b, samples) as index:
        b.store(_below(b, index, samples, epoch, seed), b.offset(order, index, "i64"), 8)
    b.branch(end)
    b.label(fill)
    with _counting(b, samples) as index:
        b.store(index, b.offset(order, index, "i64"), 8)
    b.branch_if(b.icmp("eq", mode, one), swap, end)
    b.label(swap)
    with _counting(b, b.sub(samples, one)) as index:
        last = b.sub(b.sub(samples, one), index)
        other = _below(b, last, b.add(last, one), epoch, seed)
        here, there = b.offset(order, last, "i64"), b.offset(order, other, "i64")
        number = b.load("i64", here, 8)
        b.store(b.load("i64", there, 8), here, 8)
        b.store(number, there, 8)
    b.branch(end)
    b.label(end)
    b.do("ret void")
    return define("netc.order", [order, samples, seed, epoch, mode], b, internal=True)


def _below(b: Builder, index: Value, bound: Value, epoch: Value, seed: Value) -> Value:
    """A number in [0, bound): the high half of a 64-bit draw times the bound."""
    counter = (_low(b, index), _high(b, index), _low(b, epoch), _high(b, epoch))
    low, high, *_ = philox(b, counter, _key(b, seed, b.constant(_SHUFFLE, "i64")))
    word = b.or_(low, b.shl(high, b.constant(32, "i64")))
    product = b.mul(b.convert("zext", word, "i128"), b.convert("zext", bound, "i128"))
    return b.convert("trunc", b.lshr(product, b.constant(64, "i128")), "i64")


def _key(b: Builder, seed: Value, path: Value) -> tuple[Value, Value]:
    return _low(b, seed), b.xor(_high(b, seed), path)


def _low(b: Builder, word: Value) -> Value:
    return b.and_(word, b.constant(_LOW, "i64"))


def _high(b: Builder, word: Value) -> Value:
    return b.lshr(word, b.constant(32, "i64"))


@contextmanager
def _counting(b: Builder, count: Value) -> Iterator[Value]:
    """A loop over 0 … count - 1, which may be empty."""
    head, body, done = b.new_label("head"), b.new_label("body"), b.new_label("done")
    zero, one = b.constant(0, "i64"), b.constant(1, "i64")
    before = b.block
    b.branch(head)
    b.label(head)
    index = b.phi("i64", [(zero, before)])
    b.branch_if(b.icmp("slt", index, count), body, done)
    b.label(body)
    yield index
    b.add_incoming(index, b.add(index, one), b.block)
    b.branch(head)
    b.label(done)
