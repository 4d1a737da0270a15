"""Sums and maxima over lanes: one order for all targets, NaN found wherever it is."""

import ctypes

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend.builder import Builder, Value, define, module, vector
from netc.compiler.backend.math.lanes import lane_sums, reduce_add, reduce_max, reduce_min


def across(function, x, chosen):
    b = Builder("f32" if x.dtype == np.float32 else "f64")
    source, result = Value("%source", "ptr"), Value("%result", "ptr")
    b.store(function(b, b.load(vector(b.element, x.size), source, 4)), result, 4)
    b.do("ret void")
    text = module([define("f", [source, result], b)], b.declarations)
    library = jit.load(jit.compile_object(text, chosen))
    out = np.zeros(1, x.dtype)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("f"))
    call(x.ctypes.data, out.ctypes.data)
    return out[0]


def summed(x, chosen):
    """The lanes of `lane_sums` of the rows of `x`."""
    count, lanes = x.shape
    b = Builder("f32" if x.dtype == np.float32 else "f64")
    source, result = Value("%source", "ptr"), Value("%result", "ptr")
    type_ = vector(b.element, lanes)
    rows = [b.load(type_, b.offset(source, n * lanes * x.itemsize), 4) for n in range(count)]
    b.store(lane_sums(b, rows), result, 4)
    b.do("ret void")
    text = module([define("f", [source, result], b)], b.declarations)
    library = jit.load(jit.compile_object(text, chosen))
    out = np.zeros(lanes, x.dtype)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("f"))
    call(x.ctypes.data, out.ctypes.data)
    return out[:count]


def by_halves(x):
    while x.size > 1:
        x = x[: x.size // 2] + x[x.size // 2 :]
    return x[0]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_halves_are_added(lanes, dtype, chosen):
    x = np.random.default_rng(lanes).normal(size=lanes).astype(dtype)
    assert across(reduce_add, x, chosen) == by_halves(x)
    assert across(reduce_max, x, chosen) == x.max()
    assert across(reduce_min, x, chosen) == x.min()


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_of_many_vectors_are_added_like_those_of_one(lanes, dtype, chosen):
    for count in range(1, lanes + 1):
        x = np.random.default_rng(count).normal(size=(count, lanes)).astype(dtype)
        assert summed(x, chosen).tolist() == [by_halves(row) for row in x]


def test_nan_in_any_lane_is_found(chosen):
    for lane in range(8):
        x = np.arange(8, dtype=np.float64)
        x[lane] = np.nan
        assert all(np.isnan(across(f, x, chosen)) for f in (reduce_add, reduce_max, reduce_min))
