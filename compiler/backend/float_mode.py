"""Denormal numbers as zeros while native code runs: they cost a factor of 20 and more.

Invariant: the caller's mode is restored before the native function returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.backend.builder import Builder, Value
    from netc.compiler.backend.target import Target

_FLUSH: Final = 0x8040
"""MXCSR: flush results to zero (bit 15), read denormals as zeros (bit 6)."""


def flushed(b: Builder, target: Target, body: Callable[[], object]) -> None:
    """Emits `body` with denormals off, inside one function; elsewhere than on x86 as it is."""
    if not target.x86:
        body()
        return
    word = b.op("alloca i32, align 4", "ptr")
    _read(b, word)
    before = b.load("i32", word, 4)
    _write(b, word, b.or_(before, b.constant(_FLUSH, "i32")))
    body()
    _write(b, word, before)


def _read(b: Builder, word: Value) -> None:
    b.intrinsic("llvm.x86.sse.stmxcsr", "void", word)


def _write(b: Builder, word: Value, mode: Value) -> None:
    b.store(mode, word, 4)
    b.intrinsic("llvm.x86.sse.ldmxcsr", "void", word)
