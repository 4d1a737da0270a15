"""The stages and functions of a program, and what to add to a text that lacks a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from netc.compiler.program import FunctionName
from netc.runtime.errors import UsageError, suggestion

if TYPE_CHECKING:
    from netc.compiler.driver import Program
    from netc.compiler.program import Manifest

STAGES: Final = ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm")
FUNCTIONS: Final[tuple[FunctionName, ...]] = get_args(FunctionName)
PROFILED: Final[tuple[FunctionName, ...]] = tuple(f for f in FUNCTIONS if f != "train")
"""Functions of one batch."""


def show(program: Program, stage: str, function: str, kernel: str | None) -> str:
    """The text of one stage for one function, or for one of its kernels."""
    found = next((f for f in FUNCTIONS if f == function), None)
    if found is None:
        raise UsageError(f"there is no function `{function}`", suggestion(function, FUNCTIONS))
    if stage not in STAGES:
        raise UsageError(f"there is no stage `{stage}`", suggestion(stage, STAGES))
    need(program.manifest, found)
    try:
        return program.show(stage, found, kernel)
    except ValueError as error:
        if kernel is None:
            raise
        raise UsageError(str(error)) from None


def need(manifest: Manifest, function: FunctionName) -> None:
    """Raises the UsageError that names the line to add, if the program lacks a function."""
    functions = manifest.functions
    if function in functions:
        return
    if function in ("infer", "forward"):
        raise UsageError(f"net `{manifest.name}` has no output", "add `output name = …` to the net")
    if "backward" not in functions:
        raise UsageError(f"net `{manifest.name}` has no loss", "add `loss …` to the net")
    raise UsageError(
        f"net `{manifest.name}` has no optimizer",
        "add `train { optimizer = sgd(lr = 0.01) }` to the file",
    )
