"""The caller's rows in blocks of samples: every length around the vector width, nothing beyond."""

import ctypes
import mmap

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend.builder import Builder, Value, define, module
from netc.compiler.backend.target import target
from netc.compiler.backend.transpose import PACK, pack_function
from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import Mul
from netc.compiler.ops.source import source
from tests.native import DTYPE, TARGETS, Native, assert_native_equals


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 100])
def test_rows_of_any_length(size, precision, name):
    x = source("input", "x", (size,), True, precision)
    native = Native(Graph("step", (Output("output", "y", make(Mul(), x, x)),)), name)
    for batch in (1, 3, 16, 21, 40):
        rng = np.random.default_rng(batch)
        values = {("input", "x"): rng.normal(size=(batch, size)).astype(DTYPE[precision])}
        env = Environment(values, batch, seed=0, step=0)
        expected = interpret(Graph("step", (Output("output", "y", make(Mul(), x, x)),)), env)
        assert_native_equals(expected, native(env), 1e-6)
        assert_native_equals(expected, native.interpreted(env), 1e-6)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_nothing_is_read_beyond_the_last_row(precision, name):
    """The rows end where memory ends: the next page may not be read."""
    chosen = target(name)
    lanes, dtype = chosen.lanes(precision), np.dtype(DTYPE[precision])
    size = lanes + 3
    library = jit.load(jit.compile_object(_caller(precision, lanes), chosen))
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    assert not ctypes.CDLL(None).mprotect(
        ctypes.c_void_p(start + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0
    )
    count = lanes * size
    rows = np.frombuffer(pages, dtype, count, mmap.PAGESIZE - count * dtype.itemsize)
    rows[:] = np.arange(count)
    places = np.arange(lanes, dtype=np.int64)[::-1] * size * dtype.itemsize
    raw = np.empty(count * dtype.itemsize + 64, np.uint8)
    found = raw[-raw.ctypes.data % 64 :][: count * dtype.itemsize].view(dtype)
    pack = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64, ctypes.c_void_p)
    pack(library.address("f"))(rows.ctypes.data, places.ctypes.data, size, found.ctypes.data)
    assert np.array_equal(found.reshape(size, lanes), rows.reshape(lanes, size)[::-1].T)


def _caller(precision, lanes):
    """A function `f` that does what the internal one does."""
    b = Builder(precision)
    parameters = [Value("%a", "ptr"), Value("%b", "ptr"), Value("%c", "i64"), Value("%d", "ptr")]
    b.call(PACK, "void", *parameters)
    b.do("ret void")
    return module([define("f", parameters, b)], [pack_function(precision, lanes)])
