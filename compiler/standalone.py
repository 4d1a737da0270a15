"""A graph by itself as a program: a manifest of what it reads and writes, and native code.

Invariant: names, shapes and spaces are those of the graph; nothing of the text it was cut out of is
needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from netc.compiler.backend import jit
from netc.compiler.backend.emit_kernel import FROM_CALL
from netc.compiler.manifest import block
from netc.compiler.ops.source import Source
from netc.compiler.passes import pipeline
from netc.compiler.passes.one_sample import of_one_sample
from netc.compiler.program import FunctionName, Manifest, PortSpec
from netc.compiler.stages import lowered
from netc.compiler.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.compiler.backend.target import Target
    from netc.compiler.ir.graph import Graph, Space
    from netc.compiler.ir.types import TensorType
    from netc.compiler.program import FunctionSpec
    from netc.compiler.stages import Stages

Place: TypeAlias = "tuple[Space, str]"
"""Where a value of a graph comes from or goes to."""

COUNTED: Final = frozenset(FROM_CALL)
"""Run-time numbers that the call itself has: the batch size, the step, the epoch."""


@dataclass(slots=True)
class Standalone:
    """A graph with its manifest, compiled on request."""

    graph: Graph
    manifest: Manifest
    stages: Stages
    target: Target
    name: FunctionName
    _native: list[tuple[jit.Library, FunctionSpec]] = field(default_factory=list)

    def native(self, name: FunctionName) -> tuple[int, FunctionSpec]:
        """Address of the only function, and what it needs; compiled the first time."""
        if not self._native:
            library = jit.load(jit.compile_object(self.stages.llvm, self.target))
            self._native.append((library, self.stages.spec(name, self.manifest.lanes)))
        library, spec = self._native[0]
        return library.address(spec.symbol), spec


def standalone(graph: Graph, target: Target, *, as_written: bool = False) -> Standalone:
    """The program of a verified graph.

    `as_written` leaves out all passes but those that kernels cannot do without. Raises ValueError
    like `check`.
    """
    check(graph)
    # `update` alone reads an objective
    name: FunctionName = "update" if ("scalar", "objective") in sources(graph) else "infer"
    lanes = target.lanes(graph.nodes()[0].type.precision)
    found = manifest(graph, lanes)
    passes = pipeline.NEEDED if as_written else pipeline.PASSES
    simplified = pipeline.run(graph, passes=passes)
    return Standalone(
        graph, found, lowered(graph, simplified, name, found, target, Timings()), target, name
    )


def sources(graph: Graph) -> dict[Place, TensorType]:
    """What a graph reads, in its order."""
    found: dict[Place, TensorType] = {}
    for node in graph.nodes():
        if isinstance(node.op, Source):
            found[node.op.space, node.op.name] = node.type
    return found


def manifest(graph: Graph, lanes: int) -> Manifest:
    """What a graph reads and writes, as a runtime has to know it."""
    precision = graph.nodes()[0].type.precision
    reads = sources(graph)
    writes: dict[Place, TensorType] = {(o.space, o.name): o.node.type for o in graph.outputs}
    both = {**reads, **writes}

    def ports(places: dict[Place, TensorType], space: Space) -> tuple[PortSpec, ...]:
        return tuple(PortSpec(n, kind.shape) for (s, n), kind in places.items() if s == space)

    def stored(space: Space) -> Iterable[tuple[str, tuple[int, ...]]]:
        return [(n, kind.shape) for (s, n), kind in both.items() if s == space]

    numbers = (n for s, n in reads if s == "scalar" and n not in COUNTED and n != "objective")
    return Manifest(
        name=graph.name,
        precision=precision,
        lanes=lanes,
        inputs=ports(reads, "input"),
        targets=(),
        outputs=ports(writes, "output"),
        results=tuple(n for s, n in writes if s == "result") or ("objective",),
        scalars=tuple((n, 0.0) for n in numbers),
        parameters=block(stored("parameter"), lanes, precision),
        states=block(stored("state"), lanes, precision),
        optimizer=block(stored("optimizer"), lanes, precision),
        gradients=block(stored("gradient"), lanes, precision),
        functions=("infer",),
    )


def check(graph: Graph) -> None:
    """Raises ValueError for what is valid as a graph, but not as a function."""
    one_by_one = of_one_sample(graph)
    for (space, name), kind in sources(graph).items():
        if space in ("output", "result", "placeholder"):
            raise ValueError(f"{space} {name!r} has no value to read")
        if space == "input" and kind.batched == one_by_one:
            raise ValueError(f"input {name!r} has a batch or none, unlike another input")
        if space != "input" and kind.batched:
            raise ValueError(f"{space} {name!r} is one value, not one for each sample")
    if one_by_one and any(o.space != "output" for o in graph.outputs):
        raise ValueError("a graph of one sample returns outputs only")
