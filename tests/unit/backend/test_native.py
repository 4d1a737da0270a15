"""Builder, targets and JIT: exact constants, forced targets, refusals, the floating-point mode."""

import ctypes
import math

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend import target as targets
from netc.compiler.backend.builder import (
    Builder,
    Value,
    define,
    element_of,
    integer_of,
    lanes_of,
    literal,
    mask_of,
    module,
    suffix_of,
    vector,
)
from netc.compiler.backend.errors import InternalError, TargetError
from netc.compiler.backend.float_mode import flushed


def test_types_as_text():
    assert vector("float", 1) == "float"
    assert vector("float", 16) == "<16 x float>"
    assert lanes_of("<8 x double>") == 8
    assert lanes_of("ptr") == 1
    assert element_of("<8 x double>") == "double"
    assert mask_of("<4 x float>") == "<4 x i1>"
    assert integer_of("<4 x double>") == "<4 x i64>"
    assert suffix_of("<16 x float>") == "v16f32"


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e-45, 3e38, 1e39, -1e39, math.inf, math.nan])
def test_constants_are_exact(value, chosen):
    """Literals of both widths come back as NumPy rounds them."""
    b = Builder("f32")
    p, q = Value("%p", "ptr"), Value("%q", "ptr")
    b.store(b.constant(value, "<4 x float>"), p, 4)
    b.store(b.constant(value, "double"), q, 8)
    b.do("ret void")
    library = jit.load(jit.compile_object(module([define("f", [p, q], b)], ()), chosen))
    single, double = np.zeros(4, np.float32), np.zeros(1)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("f"))
    call(single.ctypes.data, double.ctypes.data)
    with np.errstate(over="ignore"):
        expected = np.full(4, value, np.float64).astype(np.float32)
    assert np.array_equal(single, expected, equal_nan=True)
    assert np.array_equal(np.signbit(single), np.signbit(expected))
    assert np.array_equal(double, [value], equal_nan=True)


def test_literals_of_other_types():
    assert literal(True, "i1") == "true"
    assert literal(7, "i32") == "7"


def test_masked_access_touches_only_its_lanes(chosen):
    b = Builder("f32")
    p, q = Value("%p", "ptr"), Value("%q", "ptr")
    lanes = b.iota("<8 x i32>")
    mask = b.icmp("ult", lanes, b.constant(3, "<8 x i32>"))
    b.masked_store(b.masked_load("<8 x float>", p, mask, 4), q, mask, 4)
    b.do("ret void")
    library = jit.load(jit.compile_object(module([define("f", [p, q], b)], b.declarations), chosen))
    source, out = np.arange(1, 9, dtype=np.float32), np.full(8, -1, np.float32)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("f"))
    call(source.ctypes.data, out.ctypes.data)
    assert out.tolist() == [1, 2, 3, -1, -1, -1, -1, -1]


def test_memory_functions_of_the_process_resolve(chosen):
    text = """
    declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
    define void @f(ptr %p, i64 %n) {
      call void @llvm.memset.p0.i64(ptr %p, i8 7, i64 %n, i1 false)
      ret void
    }"""
    library = jit.load(jit.compile_object(text, chosen))
    out = np.zeros(100, np.uint8)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library.address("f"))
    call(out.ctypes.data, 99)
    assert out.tolist() == [7] * 99 + [0]


def test_two_objects_with_one_symbol_stay_apart(chosen):
    def make(value):
        text = f"define i64 @f() {{ ret i64 {value} }}"
        return jit.load(jit.compile_object(text, chosen))

    first, second = make(1), make(2)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64)
    assert [kind(v.address("f"))() for v in (first, second)] == [1, 2]


def test_refused_text_is_an_internal_error_with_the_text():
    with pytest.raises(InternalError, match="code generation") as caught:
        jit.compile_object("define void @f() { ret i32 0 }", targets.host_target())
    assert "ret i32 0" in caught.value.dump


def test_missing_symbol_is_an_internal_error():
    library = jit.load(jit.compile_object("define void @f() { ret void }", targets.host_target()))
    with pytest.raises(InternalError, match="no symbol g"):
        library.address("g")


def test_same_text_and_target_give_the_same_object(chosen):
    text = "define float @f(float %x) { %y = fadd float %x, %x ret float %y }"
    assert jit.compile_object(text, chosen) == jit.compile_object(text, chosen)


def test_unknown_target_names_the_known_ones():
    with pytest.raises(TargetError, match="avx512, avx2, portable"):
        targets.target("sse9")


def test_target_the_machine_cannot_run(monkeypatch):
    monkeypatch.setattr(targets, "_host_features", dict)
    targets.target.cache_clear()
    try:
        with pytest.raises(TargetError, match="cannot run"):
            targets.target("avx512")
        assert targets.target("portable").lanes("f64") == 2
    finally:
        targets.target.cache_clear()


def test_fused_arithmetic_only_where_the_target_has_it(chosen):
    b = Builder("f32", fused=chosen.fused)
    x = Value("%x", "<4 x float>")
    b.do(f"ret {b.fma(x, x, x).typed}")
    text = jit.assembly(module([define("f", [x], b, "<4 x float>")], b.declarations), chosen)
    assert ("vfm" in text) == (chosen.fused and chosen.x86)


def test_denormals_are_zero_inside_and_numbers_again_outside(chosen):
    b = Builder("f32")
    p = Value("%p", "ptr")

    def double(offset):
        place = b.offset(p, offset)
        value = b.load("float", place, 4)
        b.store(b.fadd(value, value), place, 4)

    flushed(b, chosen, lambda: double(0))
    double(4)
    b.do("ret void")
    library = jit.load(jit.compile_object(module([define("f", [p], b)], b.declarations), chosen))
    x = np.full(2, 1e-40, np.float32)
    expected = (x + x).view(np.uint32)  # as bits: a mode left behind would blind a comparison
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("f"))(x.ctypes.data)
    bits = x.view(np.uint32)
    assert bits[1] == expected[1]
    assert bits[0] == (0 if chosen.x86 else expected[0])
