"""The whole compiler on a page: text → tree → model → graphs → plan → kernels → LLVM → native."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from netc.compiler import manifest as manifests
from netc.compiler.backend import jit
from netc.compiler.backend.emit_function import emit_module, layout
from netc.compiler.backend.target import host_target
from netc.compiler.backend.target import target as named_target
from netc.compiler.backend.team import team_module
from netc.compiler.elaborate import elaborate
from netc.compiler.elaborate.model import RunScalar
from netc.compiler.functions import function_graph, undifferentiated
from netc.compiler.ir.graph import Graph, Output
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.loops.lower import distinct, lower
from netc.compiler.ops.text import show
from netc.compiler.over_data import over_data
from netc.compiler.passes import pipeline
from netc.compiler.passes.one_sample import one_sample
from netc.compiler.plan.build import build_plan
from netc.compiler.plan.memory import place
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.work import work
from netc.compiler.program import TeamCode
from netc.compiler.stages import STAGES, Stages, show_stage
from netc.grammar.parser import parse
from netc.grammar.show import show as show_tree

if TYPE_CHECKING:
    from netc.compiler.backend.target import Target
    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Space
    from netc.compiler.ir.op import Array
    from netc.compiler.ir.types import Precision
    from netc.compiler.passes.pipeline import Observer
    from netc.compiler.program import FunctionName, FunctionSpec, Manifest
    from netc.grammar.folder import Library
    from netc.grammar.source import Source
    from netc.grammar.tree import File

Defines = Mapping[str, int | float | bool | str]


def compile_text(
    source: Source,
    *,
    precision: Precision = "f32",
    defines: Defines | None = None,
    target: str | None = None,
    library: Library | None = None,
) -> Program:
    """A checked program; its functions become native at first use. `library` has its imports.

    Raises CompileError with every diagnostic of the text, TargetError for a target that this
    machine cannot run.
    """
    tree = parse(source)
    model = elaborate(tree, precision=precision, defines=defines or {}, library=library)
    chosen = named_target(target) if target else host_target()
    manifest = manifests.manifest(model, chosen.lanes(precision))
    return Program(tree, model, manifest, chosen)


@cache
def team_code() -> TeamCode:
    """The native functions of worker threads; they live as long as the process."""
    host = host_target()
    library = jit.load(jit.compile_object(team_module(host), host))
    _LIBRARIES.append(library)
    names = ("ready", "work", "share", "dismiss")
    return TeamCode(*(library.address(f"netc_{name}") for name in names))


_LIBRARIES: Final[list[jit.Library]] = []
"""Code that no program owns."""


@dataclass(slots=True)
class Program:
    """A compiled net: what a runtime calls, and every stage for those who look inside."""

    tree: File
    model: Model
    manifest: Manifest
    target: Target
    _stages: dict[FunctionName, Stages] = field(default_factory=dict)
    _native: dict[FunctionName, tuple[jit.Library, int, FunctionSpec]] = field(default_factory=dict)

    def stages(self, name: FunctionName, observers: tuple[Observer, ...] = ()) -> Stages:
        """Everything between the model and native code for one function."""
        if name not in self._stages:
            precision, lanes = self.manifest.precision, self.manifest.lanes
            graph = function_graph(self.model, name)
            simplified = pipeline.run(graph, observers)
            if name == "infer_one":
                simplified = one_sample(simplified)
            plan = build_plan(simplified, lanes)
            memory = place(plan, ELEMENT_BYTES[precision])
            launches = lower(plan, self.target.registers, self.manifest.results)
            where = layout(memory, self.manifest)
            kernels = distinct(launches)
            text = emit_module(name, launches, kernels, where, self.manifest, self.target)
            self._stages[name] = Stages(graph, simplified, plan, memory, launches, kernels, text)
        return self._stages[name]

    def spec(self, name: FunctionName) -> FunctionSpec:
        """What a native function takes and needs."""
        stages = self.stages(name)
        cost = work(stages.simplified, self.manifest.lanes)
        return manifests.function_spec(name, stages.graph, stages.memory, cost)

    def native(self, name: FunctionName) -> tuple[int, FunctionSpec]:
        """Address of a function and what it needs; compiled the first time."""
        if name not in self._native:
            stages = self.stages(name)
            library = jit.load(jit.compile_object(stages.llvm, self.target))
            spec = self.spec(name)
            self._native[name] = (library, library.address(spec.symbol), spec)
        _, address, spec = self._native[name]
        return address, spec

    def team(self) -> TeamCode:
        """The native functions of worker threads, the same for every program."""
        return team_code()

    def initial(self, seed: int) -> dict[tuple[Space, str], Array]:
        """Initial values of parameters, states and optimizer states, in their declared shapes."""
        model = self.model
        outputs = [Output("parameter", p.name, p.initial) for p in model.parameters]
        outputs += [Output("state", s.name, s.initial) for s in model.states]
        outputs += [Output("optimizer", s.name, s.initial) for u in model.updates for s in u.states]
        graph = Graph("initial", tuple(outputs))
        return interpret(graph, Environment({}, batch=1, seed=seed, step=0))

    def over_data(self, data: Mapping[str, Array], samples: int) -> dict[tuple[Space, str], Array]:
        """Initial values computed over the training data: arrays of all inputs and targets."""
        return over_data(self.model, data, samples)

    def clipped(self, name: Literal["clip_norm", "clip_value"]) -> Program:
        """The same program with clipping that its text lacks: the run-time number starts at ∞."""
        model = self.model
        if name == "clip_norm":
            settings = replace(model.settings, clip_norm=inf)
        else:
            settings = replace(model.settings, clip_value=inf)
        scalars = (*model.scalars, RunScalar(name, inf))
        model = replace(model, settings=settings, scalars=scalars)
        manifest = manifests.manifest(model, self.manifest.lanes)
        return Program(self.tree, model, manifest, self.target)

    def show(self, stage: str, function: FunctionName, kernel: str | None = None) -> str:
        """The text of one stage of one function; `kernel` keeps those whose name contains it.

        Raises ValueError for a stage or kernel that does not exist.
        """
        if stage not in STAGES:
            raise ValueError(f"no stage {stage}; there are {', '.join(STAGES)}")
        if stage == "ast":
            return show_tree(self.tree)
        if stage == "graph":
            return show(undifferentiated(self.model, function), self.model.origins)
        return show_stage(self.stages(function), stage, kernel, self.model.origins, self.target)
