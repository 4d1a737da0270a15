"""Programs: from the cache if the same text was compiled before, else from `stages`.

Invariant: a program from the cache equals a fresh one in all that a caller sees; what the cache
does not have is made from the text when it is asked for.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from netc.compiler.backend import jit
from netc.compiler.backend.target import host_target
from netc.compiler.backend.target import target as named_target
from netc.compiler.cache.entry import Entry, entry, of_compiler
from netc.compiler.program import TeamCode
from netc.compiler.timings import Timings
from netc.grammar.folder import Kept
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netc.compiler.backend.target import Target
    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Space
    from netc.compiler.ir.op import Array
    from netc.compiler.ir.types import Precision
    from netc.compiler.outline import Outline
    from netc.compiler.passes.pipeline import Observer
    from netc.compiler.program import FunctionName, FunctionSpec, Manifest, Settings
    from netc.compiler.provenance import Provenance
    from netc.compiler.stages import Checked, Stages
    from netc.grammar.folder import Imported, Library
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
    timings = Timings()
    chosen = named_target(target) if target else host_target()
    request = Request(source, precision, defines or {}, library)
    with timings.of("cache"):
        kept = entry(source, library, precision, request.defines, chosen, jit.version())
        outline = kept.outline(library)
    text = None
    if outline is None:
        text = _checked(request, timings)
        outline = _outline(text.model, chosen.lanes(precision))
        with timings.of("cache"):
            kept.keep_outline(outline)
    else:  # the files may have other texts when something is made from them
        request = replace(request, library=_as_read(library, outline.imports))
    functions = kept.with_imports(outline.imports)
    return Program(request, outline, chosen, functions, timings, _text=text)


@cache
def team_code() -> TeamCode:
    """The native functions of worker threads; they live as long as the process."""
    host = host_target()
    kept = of_compiler(host, jit.version())
    code = kept.code("team")
    if code is None:
        from netc.compiler.backend.team import team_module  # noqa: PLC0415

        code = jit.compile_object(team_module(host), host)
        kept.keep_code("team", code)
    library = jit.load(code)
    _LIBRARIES.append(library)
    names = ("ready", "work", "share", "dismiss")
    return TeamCode(*(library.address(f"netc_{name}") for name in names))


_LIBRARIES: Final[list[jit.Library]] = []
"""Code that no program owns."""


@record
class Request:
    """A text and how it is to be compiled."""

    source: Source
    precision: Precision
    defines: Defines
    library: Library | None


@dataclass(slots=True)
class Program:
    """A compiled net: what a runtime calls, and every stage for those who look inside.

    `timings` are the seconds that its stages have taken so far, `kept` is where its functions are
    kept on disk. With `lines` machine code has line tables; they name files, so no cache has it.
    """

    request: Request
    outline: Outline
    target: Target
    kept: Entry
    timings: Timings
    lines: bool = False
    _text: Checked | None = None
    _stages: dict[FunctionName, Stages] = field(default_factory=dict)
    _native: dict[FunctionName, tuple[jit.Library, int, FunctionSpec]] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        return self.outline.manifest

    @property
    def settings(self) -> Settings:
        return self.outline.settings

    @property
    def imports(self) -> tuple[Imported, ...]:
        """The imported texts, as they were when this was compiled."""
        return self.outline.imports

    @property
    def source(self) -> Source:
        return self.request.source

    @property
    def place(self) -> str:
        """Where the text is, below the folder that holds its imports."""
        return "" if self.request.library is None else self.request.library.main

    @property
    def tree(self) -> File:
        return self._checked().tree

    @property
    def model(self) -> Model:
        """What the text means, with the clipping that was switched on."""
        return self._checked().model

    def stages(self, name: FunctionName, observers: tuple[Observer, ...] = ()) -> Stages:
        """Everything between the model and native code for one function."""
        if name not in self._stages:
            from netc.compiler.stages import stages_of  # noqa: PLC0415 - costly, not always needed

            with _no_collections():
                self._stages[name] = stages_of(
                    self.model, name, self.manifest, self.target, self.timings, observers
                )
        return self._stages[name]

    def provenance(self, name: FunctionName) -> Provenance:
        """Where the nodes of a function come from; runs the passes once more."""
        from netc.compiler.provenance import provenance  # noqa: PLC0415 - only to look inside

        with _no_collections():
            return provenance(self.model, name)

    def spec(self, name: FunctionName) -> FunctionSpec:
        """What a native function takes and needs."""
        return self.stages(name).spec(name, self.manifest.lanes)

    def native(self, name: FunctionName) -> tuple[int, FunctionSpec]:
        """Address of a function and what it needs; compiled the first time."""
        if name not in self._native:
            with self.timings.of("cache"):
                found = None if self.lines else self.kept.function(name)
            code, spec = found or self._compiled(name)
            with self.timings.of("load"):
                library = jit.load(code)
            self._native[name] = (library, library.address(spec.symbol), spec)
        _, address, spec = self._native[name]
        return address, spec

    def with_lines(self) -> Program:
        """The same program, whose machine code tells debuggers the lines of the text."""
        return replace(self, lines=True, _stages=dict(self._stages), _native={})

    def object_file(self, name: FunctionName) -> bytes:
        """The object file of a function, with line tables; its symbol is `netc_<name>`."""
        from netc.compiler.lines import lined  # noqa: PLC0415 - only for debuggers

        origins, stages = self.provenance(name).origins, self.stages(name)
        with self.timings.of("emit"):
            text = lined(stages, origins, name, self.manifest, self.target, self.source)
        with self.timings.of("codegen"):
            return jit.compile_object(text, self.target)

    def team(self) -> TeamCode:
        """The native functions of worker threads, the same for every program."""
        return team_code()

    def initial(self, seed: int) -> dict[tuple[Space, str], Array]:
        """Initial values of parameters, states and optimizer states, in their declared shapes."""
        from netc.compiler.ir.interpret import interpret  # noqa: PLC0415
        from netc.compiler.ir.op import Environment  # noqa: PLC0415

        with self.timings.of("initial values"):
            return interpret(self.outline.initial, Environment({}, batch=1, seed=seed, step=0))

    def over_data(self, data: Mapping[str, Array], samples: int) -> dict[tuple[Space, str], Array]:
        """Initial values computed over the training data: arrays of all inputs and targets."""
        from netc.compiler.over_data import over_data  # noqa: PLC0415

        return over_data(self.outline.over_data, self.manifest.precision, data, samples)

    def clipped(self, name: Literal["clip_norm", "clip_value"]) -> Program:
        """The same program with clipping that its text lacks: the run-time number starts at ∞."""
        settings = self.settings
        if name == "clip_norm":
            settings = replace(settings, clip_norm=inf)
        else:
            settings = replace(settings, clip_value=inf)
        manifest = replace(self.manifest, scalars=(*self.manifest.scalars, (name, inf)))
        outline = replace(self.outline, manifest=manifest, settings=settings)
        text = None if self._text is None else self._text.with_numbers_of(outline)
        kept = self.kept.varied(name)
        return replace(self, outline=outline, kept=kept, _text=text, _stages={}, _native={})

    def probed(self, *, training: bool, targets: bool = True, indices: bool = False) -> Program:
        """The program whose outputs are all values on the way in one mode, with their gradients.

        Its targets are inputs, and its stored values start at 0. Without `targets` it has none,
        and no gradients. With `indices` its outputs are the indices that are to be checked.
        """
        from netc.compiler.probed import probed  # noqa: PLC0415 - costly, not always needed

        mode = "training" if training else "inference"
        key = (*(() if targets else ("inputs",)), *(("indices",) if indices else ()))
        what = {"training": training, "targets": targets, "indices": indices}
        return self._of(lambda m: probed(m, **what), "probed", mode, *key)

    def held(self) -> Program:
        """The program whose output is the objective, with what `stop_gradient` holds as inputs."""
        from netc.compiler.held import held  # noqa: PLC0415 - costly, not always needed

        return self._of(held, "held")

    def _of(self, change: Callable[[Model], Model], *key: str) -> Program:
        """The program of a changed model; `key` says how it differs."""
        checked = self._checked()
        with _no_collections(), self.timings.of("graph"):
            text = replace(checked, model=change(checked.model))
        outline = _outline(text.model, self.manifest.lanes)
        kept = self.kept.varied(*key)
        return Program(self.request, outline, self.target, kept, self.timings, _text=text)

    def show(self, stage: str, function: FunctionName, kernel: str | None = None) -> str:
        """The text of one stage of one function; `kernel` keeps those whose name contains it.

        Raises ValueError for a stage or kernel that does not exist.
        """
        from netc.compiler.stages import STAGES, show_stage, show_text  # noqa: PLC0415

        if stage not in STAGES:
            raise ValueError(f"no stage {stage}; there are {', '.join(STAGES)}")
        if stage == "ast":
            return show_text(self._checked(), stage, function, {})
        origins = self.provenance(function).origins
        if stage == "graph":
            return show_text(self._checked(), stage, function, origins)
        stages = self.stages(function)
        if stage in ("loops", "llvm", "asm"):
            from netc.compiler.places import Placed  # noqa: PLC0415 - only to look inside

            return Placed(stages, origins, self.manifest, self.target).show(stage, kernel)
        return show_stage(stages, stage, origins)

    def _checked(self) -> Checked:
        if self._text is None:
            self._text = _checked(self.request, self.timings).with_numbers_of(self.outline)
        return self._text

    def _compiled(self, name: FunctionName) -> tuple[bytes, FunctionSpec]:
        if self.lines:
            return self.object_file(name), self.spec(name)
        stages = self.stages(name)
        with self.timings.of("codegen"):
            code = jit.compile_object(stages.llvm, self.target)
        spec = self.spec(name)
        with self.timings.of("cache"):
            self.kept.keep_function(code, spec)
        return code, spec


def _checked(request: Request, timings: Timings) -> Checked:
    with _no_collections():
        with timings.of("loading"):
            from netc.compiler.stages import checked  # noqa: PLC0415
        r = request
        return checked(r.source, r.precision, r.defines, r.library, timings)


def _outline(model: Model, lanes: int) -> Outline:
    from netc.compiler.manifest import outline  # noqa: PLC0415

    return outline(model, lanes)


def _as_read(library: Library | None, imports: tuple[Imported, ...]) -> Library | None:
    """A library of the texts that were read."""
    if library is None:
        return None
    paths = {found.path: found.file for found in imports}
    return Kept(library.main, paths, {found.file: found.source for found in imports})


@contextmanager
def _no_collections() -> Iterator[None]:
    """No search for cyclic garbage: graphs live to the end, and it would be a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
