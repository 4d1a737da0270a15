"""The whole compiler on a page: text → tree → model → graphs → plan → kernels → LLVM text.

Invariant: everything here is costly to load and to run, and what is in the cache needs none of it.
`ast` is the whole file; the other stages belong to one function. Where differentiation changes
nothing, `backward` equals `graph`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netc.compiler.backend import jit
from netc.compiler.backend.emit_function import emit_module, layout
from netc.compiler.elaborate import elaborate
from netc.compiler.elaborate.model import RunScalar
from netc.compiler.functions import function_graph, undifferentiated
from netc.compiler.loops.lower import distinct, lower
from netc.compiler.loops.text import show_kernel
from netc.compiler.manifest import function_spec
from netc.compiler.ops.text import show
from netc.compiler.passes import pipeline
from netc.compiler.passes.one_sample import one_sample
from netc.compiler.passes.several_samples import several_samples
from netc.compiler.plan.build import build_plan
from netc.compiler.plan.memory import place
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.text import show_plan
from netc.compiler.plan.work import work
from netc.grammar.parser import parse
from netc.grammar.show import show as show_tree
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.backend.target import Target
    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.ir.types import Precision
    from netc.compiler.loops.lower import Launch
    from netc.compiler.outline import Outline
    from netc.compiler.passes.pipeline import Observer
    from netc.compiler.plan.plan import Memory, Plan
    from netc.compiler.program import FunctionName, FunctionSpec, Manifest
    from netc.compiler.timings import Timings
    from netc.grammar.folder import Library
    from netc.grammar.source import Source
    from netc.grammar.tree import File

STAGES: Final = ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm")


@record
class Checked:
    """A text that follows every rule of the language: its tree, and what it means."""

    tree: File
    model: Model

    def with_numbers_of(self, outline: Outline) -> Checked:
        """The same text with the settings and run-time numbers of an outline."""
        scalars = tuple(RunScalar(name, default) for name, default in outline.manifest.scalars)
        model = replace(self.model, settings=outline.settings, scalars=scalars)
        return Checked(self.tree, model)


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

    def spec(self, name: FunctionName, lanes: int) -> FunctionSpec:
        """What the native function takes and needs."""
        cost = work(self.simplified, lanes)
        return function_spec(name, self.graph, self.memory, cost, self.plan.phases)


def checked(
    source: Source,
    precision: Precision,
    defines: Mapping[str, int | float | bool | str],
    library: Library | None,
    timings: Timings,
) -> Checked:
    """The model of a text; raises CompileError with every diagnostic of it."""
    with timings.of("parse"):
        tree = parse(source)
    with timings.of("elaborate"):
        model = elaborate(tree, precision=precision, defines=defines, library=library)
    return Checked(tree, model)


def stages_of(
    model: Model,
    name: FunctionName,
    manifest: Manifest,
    target: Target,
    timings: Timings,
    observers: tuple[Observer, ...] = (),
) -> Stages:
    """Everything between the model and native code for one function."""
    with timings.of("graph"):
        graph = function_graph(model, name)
    with timings.of("passes"):
        simplified = pipeline.run(graph, observers)
        if name in ("infer_one", "infer_group"):
            simplified = one_sample(simplified)
        if name == "infer_group":
            simplified = several_samples(simplified, manifest.inference.group)
    return lowered(graph, simplified, name, manifest, target, timings)


def lowered(
    graph: Graph,
    simplified: Graph,
    name: FunctionName,
    manifest: Manifest,
    target: Target,
    timings: Timings,
) -> Stages:
    """Everything between a graph after the passes and native code."""
    with timings.of("plan"):
        plan = build_plan(simplified, manifest.lanes)
        memory = place(plan, ELEMENT_BYTES[manifest.precision])
    with timings.of("lower"):
        launches = lower(plan, target.registers, manifest.results)
        where = layout(memory, manifest)
        kernels = distinct(launches)
    with timings.of("emit"):
        text = emit_module(name, launches, plan.phases, kernels, where, manifest, target)
    return Stages(graph, simplified, plan, memory, launches, kernels, text)


def show_text(
    text: Checked, stage: str, function: FunctionName, origins: Mapping[Node, object]
) -> str:
    """The text of a stage that stands before derivatives: `ast` or `graph`."""
    if stage == "ast":
        return show_tree(text.tree, places=True)
    return show(undifferentiated(text.model, function), origins)


def show_stage(stages: Stages, stage: str, origins: Mapping[Node, object]) -> str:
    """The text of a stage between the graph and kernels: `backward`, `simplified` or `fused`."""
    match stage:
        case "backward":
            return show(stages.graph, origins)
        case "simplified":
            return show(stages.simplified, origins)
    numbers = {n: f"%{i}" for i, n in enumerate(stages.plan.graph.nodes())}
    return show_plan(stages.plan, stages.memory, numbers, origins) + "\n"


def native_texts(stages: Stages, stage: str, target: Target) -> list[tuple[str, str]]:
    """`loops`, `llvm` or `asm`, cut before each function; what belongs to none has no name."""
    match stage:
        case "loops":
            return _loops(stages)
        case "llvm":
            return _functions(stages.llvm)
    return _labels(jit.assembly(stages.llvm, target))


def chosen(parts: list[tuple[str, str]], kernel: str | None) -> str:
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
