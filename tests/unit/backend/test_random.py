"""Philox in native code: published vectors, equality with the op `Random`, the order of epochs."""

import ctypes
from functools import cache
from zlib import crc32

import numpy as np
import pytest

from netc.compiler.backend import jit, random
from netc.compiler.backend.builder import Builder, Value, define, module, vector
from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Environment
from netc.compiler.ops.source import Random, philox

KNOWN = [  # counter, key, output of Philox4x32-10 as published with the reference implementation
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def address(array):
    return array.ctypes.data


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(lanes, counter, key, words, chosen):
    b = Builder("f32")
    wide = vector("i64", lanes)
    given = tuple(b.constant(c, wide) for c in counter)
    found = random.philox(b, given, tuple(b.constant(k, "i64") for k in key))
    result = Value("%result", "ptr")
    for i, word in enumerate(found):
        b.store(word, b.offset(result, i * lanes, "i64"), 8)
    b.do("ret void")
    library = jit.load(jit.compile_object(module([define("f", [result], b)], ()), chosen))
    out = np.zeros((4, lanes), np.uint64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("f"))(address(out))
    assert np.array_equal(out, np.array(words, np.uint64)[:, None].repeat(lanes, 1))


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("seed", [0, 12345678901234567890])
def test_equal_to_the_op(precision, lanes, seed, chosen):
    """Lanes are samples; every element of a small shape is drawn."""
    shape, batch, step = (3, 2), 16, (1 << 33) + 7
    dtype = np.float32 if precision == "f32" else np.float64
    b = Builder(precision, fused=chosen.fused)
    result, first, element = (
        Value("%result", "ptr"),
        Value("%first", "i32"),
        Value("%element", "i32"),
    )
    steps, seeds = Value("%step", "i64"), Value("%seed", "i64")
    narrow = vector("i32", lanes)
    samples = b.add(b.splat(first, lanes), b.iota(narrow))
    path = crc32(b"net.drop")
    drawn = random.uniform(b, b.splat(element, lanes), samples, steps, seeds, path)
    b.store(drawn, result, 4)
    b.do("ret void")
    text = module([define("f", [result, first, element, steps, seeds], b)], b.declarations)
    library = jit.load(jit.compile_object(text, chosen))
    call = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int64, ctypes.c_uint64
    )(library.address("f"))
    found = np.empty((6, batch), dtype)
    for e in range(6):
        for s in range(0, batch, lanes):
            call(address(found[e, s:]), s, e, step, seed)
    node = make(Random("net.drop", shape, True, precision))
    environment = Environment({}, batch=batch, seed=seed, step=step)
    expected = node.op.evaluate(environment, node).reshape(batch, 6)
    assert np.array_equal(found.T, expected)
    assert found.min() > 0
    assert found.max() < 1


@cache
def order_library(chosen):
    declarations = {}
    text = module([random.order_function(declarations)], declarations)
    return jit.load(jit.compile_object(text.replace("define internal", "define"), chosen))


def order(chosen, samples, seed, epoch, mode):
    library = order_library(chosen)
    out = np.full(samples, -1, np.int64)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4)
    call(library.address("netc.order"))(address(out), samples, seed, epoch, mode)
    return out


def below(index, bound, epoch, seed):
    """The draw of the shuffle in Python integers and the interpreter's Philox (its first word)."""
    counter = [index & 0xFFFFFFFF, index >> 32, epoch & 0xFFFFFFFF, epoch >> 32]
    key = [seed & 0xFFFFFFFF, crc32(b"shuffle") ^ seed >> 32]
    for number in range(10):
        if number:
            key = [key[0] + 0x9E3779B9 & 0xFFFFFFFF, key[1] + 0xBB67AE85 & 0xFFFFFFFF]
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            p1 >> 32 ^ counter[1] ^ key[0],
            p1 & 0xFFFFFFFF,
            p0 >> 32 ^ counter[3] ^ key[1],
            p0 & 0xFFFFFFFF,
        ]
    word = np.array([[index & 0xFFFFFFFF]], np.uint64)
    first = philox(
        word,
        word * 0 + np.uint64(index >> 32),
        epoch & 0xFFFFFFFF,
        epoch >> 32,
        (seed & 0xFFFFFFFF, crc32(b"shuffle") ^ seed >> 32),
    )
    assert int(first[0, 0]) == counter[0]
    return (counter[0] + (counter[1] << 32)) * bound >> 64


@pytest.mark.parametrize("samples", [0, 1, 2, 37])
def test_orders_follow_the_definition(samples, chosen):
    seed, epoch = (5 << 32) + 11, 3
    assert np.array_equal(order(chosen, samples, seed, epoch, 0), np.arange(samples))
    rows = list(range(samples))
    for last in range(samples - 1, 0, -1):
        other = below(last, last + 1, epoch, seed)
        rows[last], rows[other] = rows[other], rows[last]
    assert order(chosen, samples, seed, epoch, 1).tolist() == rows
    drawn = [below(i, samples, epoch, seed) for i in range(samples)]
    assert order(chosen, samples, seed, epoch, 2).tolist() == drawn


def test_every_permutation_is_met(chosen):
    seen = {tuple(order(chosen, 3, 1, epoch, 1).tolist()) for epoch in range(60)}
    assert len(seen) == 6
