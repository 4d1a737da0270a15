"""f32 roots from estimates of 14 bits: the same bits as the exact instruction, at twice the rate.

Invariant: one step of Newton's and one by the residual, both fused, round correctly (all mantissas
are tested); signs, zeros, infinities and NaN are those of the exact instruction. AVX-512 only.
Quotients are left to the divider, which then works beside the multiply-adds, not after the root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Value

if TYPE_CHECKING:
    from netc.compiler.backend.builder import Builder

VECTOR: Final = "<16 x float>"
"""The only type with these estimates."""

_SMALL: Final = 2.0**-76
"""Twice the bits of a mantissa above the smallest normal number."""

_SCALE: Final = 2.0**32

_ZERO_OR_INFINITE: Final = 0x1E
"""Classes of floats for vfpclassps: +0, -0, +inf, -inf."""


def root(b: Builder, x: Value) -> Value:
    """The square root; 0 and infinity, whose estimates are useless, are their own.

    Small numbers are scaled, or the residual would vanish.
    """
    half = b.constant(0.5, VECTOR)
    small = b.fcmp("olt", x, b.constant(_SMALL, VECTOR))
    square = b.select(small, b.fmul(x, b.constant(_SCALE**2, VECTOR)), x)
    inverse = _reciprocal_root(b, square)
    result, inverse = b.fmul(square, inverse), b.fmul(inverse, half)
    error = b.fma(b.fneg(result), inverse, half)
    result, inverse = b.fma(result, error, result), b.fma(inverse, error, inverse)
    result = b.fma(b.fma(b.fneg(result), result, square), inverse, result)
    result = b.select(small, b.fmul(result, b.constant(1.0 / _SCALE, VECTOR)), result)
    return b.select(_zero_or_infinite(b, x), x, result)


def _reciprocal_root(b: Builder, x: Value) -> Value:
    none, every = Value("zeroinitializer", VECTOR), b.constant(-1, "i16")
    return b.intrinsic("llvm.x86.avx512.rsqrt14.ps.512", VECTOR, x, none, every)


def _zero_or_infinite(b: Builder, x: Value) -> Value:
    classes = b.constant(_ZERO_OR_INFINITE, "i32")
    return b.intrinsic("llvm.x86.avx512.fpclass.ps.512", "<16 x i1>", x, classes)
