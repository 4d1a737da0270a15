"""One function at every stage from its graph to LLVM text, and the text of each stage.

`ast` is the whole file; the others belong to one function. Where differentiation changes nothing,
`backward` equals `graph`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netc.compiler.backend import jit
from netc.compiler.loops.text import show_kernel
from netc.compiler.ops.text import show
from netc.compiler.plan.text import show_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.loops.lower import Launch
    from netc.compiler.plan.plan import Memory, Plan

STAGES: Final = ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm")


@dataclass(slots=True)
class Stages:
    """One function at every stage from its graph to LLVM text."""

    graph: Graph
    simplified: Graph
    plan: Plan
    memory: Memory
    launches: list[Launch]
    kernels: dict[str, Launch]
    """Distinct kernels by the name of their native function, with the first call of each."""
    llvm: str


def show_stage(
    stages: Stages, stage: str, kernel: str | None, origins: Mapping[Node, object], target: Target
) -> str:
    """The text of a stage that follows the graph; `kernel` keeps kernels whose name contains it.

    Raises ValueError for a kernel that does not exist.
    """
    match stage:
        case "backward":
            return show(stages.graph, origins)
        case "simplified":
            return show(stages.simplified, origins)
        case "fused":
            numbers = {n: f"%{i}" for i, n in enumerate(stages.plan.graph.nodes())}
            return show_plan(stages.plan, stages.memory, numbers) + "\n"
        case "loops":
            return _chosen(_loops(stages), kernel)
        case "llvm":
            return _chosen(_functions(stages.llvm), kernel)
    return _chosen(_labels(jit.assembly(stages.llvm, target)), kernel)


def _chosen(parts: list[tuple[str, str]], kernel: str | None) -> str:
    """The parts whose name contains `kernel`; all of them without one."""
    found = [text for name, text in parts if kernel is None or (name and kernel in name)]
    if not found:
        names = ", ".join(dict.fromkeys(n for n, _ in parts if n))
        raise ValueError(f"no kernel {kernel}; there are {names}")
    return "\n".join(found) + "\n"


def _loops(stages: Stages) -> list[tuple[str, str]]:
    """Distinct kernels under the names they have in LLVM, with the buffers of their first call."""
    parts: list[tuple[str, str]] = []
    for name, launch in stages.kernels.items():
        buffers = [f"{b.region}:{b.name}" for b in launch.buffers]
        text = show_kernel(launch.kernel, buffers)
        parts.append((name, f"kernel {name}({', '.join(buffers)})\n{text}"))
    return parts


def _functions(text: str) -> list[tuple[str, str]]:
    """LLVM text cut before each definition; what stands before the first has no name."""
    parts = re.split(r"(?m)^(?=define )", text)
    found = [re.match(r"define .*?@([\w.]+)\(", part) for part in parts]
    return [(m[1] if m else "", part) for m, part in zip(found, parts, strict=True)]


def _labels(text: str) -> list[tuple[str, str]]:
    """Assembly cut before the label of each function."""
    parts = re.split(r"(?m)^(?=[A-Za-z_][\w.]*:)", text)
    found = [re.match(r"([A-Za-z_][\w.]*):", part) for part in parts]
    return [(m[1] if m else "", part) for m, part in zip(found, parts, strict=True)]
