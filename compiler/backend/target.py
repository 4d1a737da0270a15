"""The processors that code is generated for: vector width, registers, instruction set.

Invariant: a target names one fixed instruction set, so the same text compiled for the same target
is the same machine code on every machine that can run it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from llvmlite import binding as llvm

from netc.compiler.backend.errors import TargetError
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.types import Precision

TargetName = Literal["avx512", "avx2", "portable"]

_NEEDS: Final[dict[TargetName, tuple[str, ...]]] = {
    "avx512": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi2"),
    "avx2": ("avx2", "fma", "bmi", "bmi2", "lzcnt", "f16c", "movbe"),
    "portable": (),
}
"""The features that the levels x86-64-v4 and x86-64-v3 of LLVM take for granted, best first."""


@record
class Target:
    """What the generator must know about a processor.

    `vector_bytes` is the width of a vector register, `registers` their number, `fused` whether it
    multiplies and adds in one rounding and rounds floats to integers in one instruction.
    """

    name: TargetName
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fused: bool

    def lanes(self, precision: Precision) -> int:
        """Elements of one vector register."""
        return self.vector_bytes // (4 if precision == "f32" else 8)

    @property
    def avx512(self) -> bool:
        """Whether there are the estimates and permutes of AVX-512."""
        return self.name == "avx512"

    @property
    def x86(self) -> bool:
        return self.triple.startswith("x86_64")


@cache
def host_target() -> Target:
    """The best target that this machine runs."""
    return next(target(name) for name in _NEEDS if _runs(name))


@cache
def target(name: str) -> Target:
    """The target called `name`; raises TargetError when this machine cannot run it."""
    match name:
        case "avx512" | "avx2" | "portable" if _runs(name):
            return _make(name)
        case "avx512" | "avx2":
            raise TargetError(f"this machine cannot run code for {name}")
        case _:
            raise TargetError(f"unknown target {name}; there are {', '.join(_NEEDS)}")


def _make(name: TargetName) -> Target:
    triple = str(llvm.get_process_triple())
    match name:
        case "avx512":
            return Target(name, triple, "x86-64-v4", "", 64, 32, fused=True)
        case "avx2":
            return Target(name, triple, "x86-64-v3", "", 32, 16, fused=True)
        case "portable" if triple.startswith("x86_64"):
            return Target(name, triple, "x86-64", "", 16, 16, fused=False)
        case "portable":
            arm = triple.startswith(("aarch64", "arm64"))
            return Target(name, triple, "generic", "", 16, 32 if arm else 16, fused=arm)


def _runs(name: TargetName) -> bool:
    features = _host_features()
    return all(features.get(need, False) for need in _NEEDS[name])


@cache
def _host_features() -> dict[str, bool]:
    try:
        return {str(k): bool(v) for k, v in llvm.get_host_cpu_features().items()}
    except RuntimeError:  # LLVM does not know this processor
        return {}
