"""The outline of a program: its manifest, settings, and the graphs of its first values.

The manifest has names, shapes and memory layout of everything a runtime touches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.functions import functions, inference_graph
from netc.compiler.ir.graph import Graph, Output
from netc.compiler.ir.types import TensorType
from netc.compiler.ops.source import Random, Source
from netc.compiler.outline import Outline
from netc.compiler.passes.one_sample import has_one_sample
from netc.compiler.plan.few_samples import few_samples
from netc.compiler.plan.storage import ELEMENT_BYTES, storage
from netc.compiler.program import (
    Block,
    FunctionName,
    FunctionSpec,
    InferenceSpec,
    Manifest,
    PortSpec,
    StoredSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netc.compiler.elaborate.model import Model, Port
    from netc.compiler.ir.op import Op
    from netc.compiler.ir.types import Precision
    from netc.compiler.plan.phases import Phase
    from netc.compiler.plan.plan import Memory
    from netc.compiler.plan.work import Work

ALIGNMENT = 64


def outline(model: Model, lanes: int) -> Outline:
    """The outline of a model for a target with vectors of `lanes` elements."""
    return Outline(
        manifest(model, lanes), model.settings, _initial(model), _over_data(model), model.imports
    )


def manifest(model: Model, lanes: int) -> Manifest:
    """The manifest of a model for a target with vectors of `lanes` elements."""
    precision = model.precision
    parameters = [(p.name, p.shape) for p in model.parameters]
    trained = [(p.name, p.shape) for p in model.parameters if not p.frozen]
    states = [(s.name, s.shape) for s in model.states]
    optimizer = [(s.name, s.shape) for u in model.updates for s in u.states]
    results = tuple(m.name for m in model.training.metrics)
    if "backward" in functions(model):
        results = ("objective", "loss", *results)
    return Manifest(
        name=model.name,
        precision=precision,
        lanes=lanes,
        inputs=tuple(_port(p) for p in model.inputs),
        targets=tuple(_port(p) for p in model.targets),
        outputs=tuple(PortSpec(o.name, o.node.type.shape) for o in model.training.outputs),
        results=results,
        scalars=tuple((s.name, s.default) for s in model.scalars),
        parameters=block(parameters, lanes, precision),
        states=block(states, lanes, precision),
        optimizer=block(optimizer, lanes, precision),
        gradients=block(trained, lanes, precision),
        functions=functions(model),
        inference=_inference(model, lanes),
    )


def function_spec(
    name: FunctionName, graph: Graph, memory: Memory, work: Work, phases: Sequence[Phase]
) -> FunctionSpec:
    """What one native function takes and needs."""
    sources = [n.op for n in graph.nodes() if isinstance(n.op, Source)]
    inputs = [op.name for op in sources if op.space == "input"]
    outputs = tuple(o.name for o in graph.outputs if o.space == "output")
    counted = any(_counts(n.op) for n in graph.nodes())
    return FunctionSpec(
        name,
        f"netc_{name}",
        tuple(inputs),
        outputs,
        memory.fixed,
        memory.per_block,
        work.fixed,
        work.per_block,
        counted=counted,
        together=any(phase.kind != "single" for phase in phases),
    )


def _counts(op: Op) -> bool:
    """Whether an op reads the seed or a counter: every run-time number may be one."""
    return isinstance(op, Random) or (isinstance(op, Source) and op.space == "scalar")


def _inference(model: Model, lanes: int) -> InferenceSpec:
    """What inference takes and gives, and when it goes sample by sample."""
    graph = inference_graph(model)
    sources = [n.op for n in graph.nodes() if isinstance(n.op, Source)]
    inputs = tuple(op.name for op in sources if op.space == "input")
    outputs = tuple(o.name for o in graph.outputs)
    if not has_one_sample(graph):
        return InferenceSpec(inputs, outputs)
    found = few_samples(graph, lanes)
    return InferenceSpec(inputs, outputs, found.few, found.group, found.several)


def _initial(model: Model) -> Graph:
    """Initial values of parameters, states and optimizer states."""
    outputs = [Output("parameter", p.name, p.initial) for p in model.parameters]
    outputs += [Output("state", s.name, s.initial) for s in model.states]
    outputs += [Output("optimizer", s.name, s.initial) for u in model.updates for s in u.states]
    return Graph("initial", tuple(outputs))


def _over_data(model: Model) -> Graph:
    """The values that the text computes over the training data."""
    outputs = [Output("parameter", p.name, p.over_data) for p in model.parameters if p.over_data]
    outputs += [Output("state", s.name, s.over_data) for s in model.states if s.over_data]
    return Graph("over_data", tuple(outputs))


def _port(port: Port) -> PortSpec:
    return PortSpec(port.name, port.shape, port.kind, port.classes, port.missing)


def block(values: Iterable[tuple[str, tuple[int, ...]]], lanes: int, precision: Precision) -> Block:
    """Values one after the other, each at the start of a cache line."""
    size, specs = 0, []
    width = ELEMENT_BYTES[precision]
    for name, shape in values:
        stored = storage(TensorType(shape, batched=False, precision=precision), lanes)
        strides = tuple(s * width for s in stored.strides)
        specs.append(StoredSpec(name, shape, size, strides))
        size += -(-stored.elements * width // ALIGNMENT) * ALIGNMENT
    return Block(size, tuple(specs))
