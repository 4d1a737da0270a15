"""Native loops around single backend functions, as fixtures."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend.builder import Builder, Value, define, module, vector
from netc.compiler.backend.errors import TargetError
from netc.compiler.backend.float_mode import flushed
from netc.compiler.backend.math import MATH, as_float
from netc.compiler.backend.target import target

TARGETS = ("avx512", "avx2", "portable")


def loop(name, operands, precision, chosen, lanes, flush=False):
    """The text of `f(result, a, b …, count)`: one op over arrays, `lanes` elements at a time."""
    b = Builder(precision, None, chosen.fused, chosen.avx512)
    type_ = vector(b.element, lanes)
    size = 4 if precision == "f32" else 8
    result, count = Value("%result", "ptr"), Value("%count", "i64")
    arrays = [Value(f"%a{i}", "ptr") for i in range(operands)]

    def body():
        before = b.block
        b.branch("head")
        b.label("head")
        index = b.phi("i64", [(b.constant(0, "i64"), before)])
        loaded = [b.load(type_, b.offset(a, index, b.element), size) for a in arrays]
        value = as_float(b, MATH[name](b, *loaded), type_)
        b.store(value, b.offset(result, index, b.element), size)
        following = b.add(index, b.constant(lanes, "i64"))
        b.add_incoming(index, following, b.block)
        b.branch_if(b.icmp("slt", following, count), "head", "done")
        b.label("done")

    if flush:
        flushed(b, chosen, body)
    else:
        body()
    b.do("ret void")
    return module([define("f", [result, *arrays, count], b)], b.declarations)


@cache
def compiled(name, operands, precision, chosen, lanes, flush):
    text = loop(name, operands, precision, chosen, lanes, flush)
    library = jit.load(jit.compile_object(text, chosen))
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (operands + 1), ctypes.c_int64)
    return library, kind(library.address("f"))


def run(name, *arrays, target, lanes=None, flush=False):
    """The op over arrays whose length is a multiple of the lanes."""
    precision = "f32" if arrays[0].dtype == np.float32 else "f64"
    width = lanes or target.lanes(precision)
    assert arrays[0].size % width == 0
    arrays = [np.ascontiguousarray(a) for a in arrays]
    result = np.empty_like(arrays[0])
    _, function = compiled(name, len(arrays), precision, target, width, flush)
    function(result.ctypes.data, *(a.ctypes.data for a in arrays), result.size)
    return result


@pytest.fixture(name="run")
def run_fixture():
    return run


@pytest.fixture(params=TARGETS, name="chosen")
def chosen_fixture(request):
    """Each target that this machine runs."""
    try:
        return target(request.param)
    except TargetError as error:
        pytest.skip(str(error))


def ulps(found, expected):
    """Distance from a reference of higher precision, in units of the last place of the result."""
    spacing = np.spacing(np.abs(expected).astype(found.dtype))
    return np.abs(found.astype(expected.dtype) - expected) / spacing


@pytest.fixture(name="ulps")
def ulps_fixture():
    return ulps
