"""The stages and functions of a program, and what to add to a text that lacks a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from netc.compiler.program import FunctionName
from netc.runtime.errors import UsageError, listing, suggestion

if TYPE_CHECKING:
    from netc.compiler.driver import Program
    from netc.compiler.program import Manifest

STAGES: Final = ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm")
FUNCTIONS: Final[tuple[FunctionName, ...]] = get_args(FunctionName)
PROFILED: Final[tuple[FunctionName, ...]] = tuple(f for f in FUNCTIONS if f != "train")
"""Functions of one batch."""


KERNELS: Final = ("loops", "llvm", "asm")
"""The stages that are cut into kernels."""
GRAPHS: Final = ("graph", "backward", "simplified")


def show(program: Program, stage: str, function: str, kernel: str | None) -> str:
    """The text of one stage for one function, or for one of its kernels."""
    found = _function(program, function)
    if stage not in STAGES:
        raise UsageError(f"there is no stage `{stage}`", suggestion(stage, STAGES))
    if kernel is not None and stage not in KERNELS:
        raise UsageError(f"stage `{stage}` has no kernels; there are some in {listing(KERNELS)}")
    try:
        return program.show(stage, found, kernel)
    except ValueError as error:
        if kernel is None:
            raise
        raise UsageError(str(error)) from None


def after(program: Program, function: str, step: str) -> str:
    """The graph of a function after a pass."""
    from netc.compiler.ops.text import show as show_graph  # noqa: PLC0415 - loads the compiler
    from netc.compiler.provenance import NoSuch, change  # noqa: PLC0415

    found = program.provenance(_function(program, function))
    try:
        return show_graph(change(found, step).after, found.origins)
    except NoSuch as error:
        raise UsageError(str(error)) from None


def difference(program: Program, function: str, step: str) -> str:
    """What a pass changed, as a unified diff; empty for nothing."""
    from netc.compiler import provenance  # noqa: PLC0415 - loads the compiler

    try:
        return provenance.difference(program.provenance(_function(program, function)), step)
    except provenance.NoSuch as error:
        raise UsageError(str(error)) from None


def why(program: Program, function: str, stage: str, node: str) -> str:
    """The rewrites that made a node of the graph at a stage, back to the text."""
    from netc.compiler import provenance  # noqa: PLC0415 - loads the compiler
    from netc.compiler.functions import undifferentiated  # noqa: PLC0415

    if stage not in GRAPHS:
        raise UsageError(f"stage `{stage}` has no nodes; there are some in {listing(GRAPHS)}")
    name = _function(program, function)
    found = program.provenance(name)
    graph = found.backward if stage == "backward" else found.simplified
    if stage == "graph":
        graph = undifferentiated(program.model, name)
    try:
        return provenance.why(found, graph, node)
    except provenance.NoSuch as error:
        raise UsageError(str(error)) from None


def object_file(program: Program, function: str) -> bytes:
    """The object file of a function, with line tables."""
    return program.object_file(_function(program, function))


def _function(program: Program, name: str) -> FunctionName:
    """The function of that name, which the program has; a UsageError otherwise."""
    found = next((f for f in FUNCTIONS if f == name), None)
    if found is None:
        raise UsageError(f"there is no function `{name}`", suggestion(name, FUNCTIONS))
    need(program.manifest, found)
    return found


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
