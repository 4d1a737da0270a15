"""Every stage of a compiled function as text: what `netc ir` prints.

`ast` is the whole file; the others belong to one function. Where differentiation changes nothing,
`backward` equals `graph`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netc.compiler.backend import jit
from netc.compiler.functions import undifferentiated
from netc.compiler.loops.text import show_kernel
from netc.compiler.ops.text import show
from netc.compiler.plan.text import show_plan
from netc.grammar.show import show as show_tree

if TYPE_CHECKING:
    from netc.compiler.driver import Program, Stages
    from netc.compiler.program import FunctionName

STAGES: Final = ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm")


def show_stage(program: Program, stage: str, function: FunctionName, kernel: str | None) -> str:
    """The text of one stage; `kernel` keeps the kernels whose name contains it.

    Raises ValueError for a stage or kernel that does not exist.
    """
    if stage not in STAGES:
        raise ValueError(f"no stage {stage}; there are {', '.join(STAGES)}")
    if stage == "ast":
        return show_tree(program.tree)
    if stage == "graph":
        return show(undifferentiated(program.model, function), program.model.origins)
    stages = program.stages(function)
    match stage:
        case "backward":
            return show(stages.graph, program.model.origins)
        case "simplified":
            return show(stages.simplified, program.model.origins)
        case "fused":
            numbers = {n: f"%{i}" for i, n in enumerate(stages.plan.graph.nodes())}
            return show_plan(stages.plan, stages.memory, numbers) + "\n"
        case "loops":
            return _chosen(_loops(stages), kernel)
        case "llvm":
            return _chosen(_functions(stages.llvm), kernel)
    return _chosen(_labels(jit.assembly(stages.llvm, program.target)), kernel)


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
        parts.append((name, f"kernel {name}({', '.join(buffers)})\n{show_kernel(launch.kernel, buffers)}"))
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
