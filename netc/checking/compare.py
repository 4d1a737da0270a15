"""Native code beside the reference interpreter on one batch: every named value, in order.

Invariant: the reference is the graph as the text means it, before any pass, in double precision;
how far native numbers may be from it comes from their precision and from how far single precision
strays, never from the native numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from netc.checking.gradcheck import gradients
from netc.checking.reference import copied, environment, meaning, rounded
from netc.compiler.functions import function_graph
from netc.compiler.probed import GRADIENT
from netc.probing import follow, probed
from netc.records import record
from netc.runtime.arguments import Signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netc.compiler.elaborate.model import Model as Meaning
    from netc.compiler.ir.graph import Output, Space
    from netc.compiler.ir.op import Array, Environment
    from netc.compiler.program import FunctionName
    from netc.grammar.source import Span
    from netc.model import Model
    from netc.runtime.arguments import Batch

    Key = tuple[Space, str]

STRAY: Final = 32
"""How many times as far from the reference as arithmetic in single precision, scaled, is right."""

STEPS: Final = 100
"""How many steps of training the compared one is the first of."""

ROUNDINGS: Final = 64
"""How many roundings of the largest element are right in any case."""

Kind = Literal["value", "gradient", "result", "parameter", "state", "optimizer", "output"]


@record
class Compared:
    """One value of one function: the largest difference, where it is, and how large it may be.

    `at` starts with the sample where there is one for each; `native` and `reference` are the
    numbers there.
    """

    kind: Kind
    name: str
    function: FunctionName
    span: Span | None
    shape: tuple[int, ...]
    difference: float
    tolerance: float
    at: tuple[int, ...]
    native: float
    reference: float
    key: Key

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance


@record
class Run:
    """A function of a program as it ran: what its graph means, and what native code gave."""

    meaning: Meaning
    function: FunctionName
    env: Environment
    native: Mapping[Key, Array]


def compare(model: Model, /, *data: object, **named: object) -> list[tuple[Compared, Run]]:
    """Every value with the run it is of, in the order in which a step computes them.

    First the values on the way in training mode, then the gradients back to them and to the
    parameters, the results, what a step makes of parameters and states, the outputs in inference.
    `data` are inputs and targets as `fit` takes them. The model stays as it is.
    """
    names = Signature(model.manifest)
    batch = names.bind(names.names, names.names, data, named)
    found: list[tuple[Compared, Run]] = []
    started = copied(model)
    counters = started._executable.counters
    counters.steps = max(counters.steps, STEPS)  # a schedule's last step may change nothing
    for run in _runs(started, batch):
        graph = function_graph(run.meaning, run.function)
        outputs = [o for o in graph.outputs if (o.space, o.name) in run.native]
        found += [(one, run) for one in _compared(outputs, run)]
    return found


def _runs(model: Model, batch: Batch) -> Iterator[Run]:
    env, functions = environment(model, batch), model.manifest.functions
    watched = probed(model, training=True)
    if watched.manifest.outputs:
        follow(watched, model)
        values = _outputs(watched, batch.arrays, training=True)
        yield Run(watched._program.model, "forward", env, values)
    meaning_ = model._program.model
    if "backward" in functions:
        objective, slopes = gradients(copied(model), batch)
        native: dict[Key, Array] = {("gradient", n): g for n, g in slopes.items()}
        yield Run(meaning_, "backward", env, {**native, ("result", "objective"): _one(objective)})
    if "step" in functions:
        yield Run(meaning_, "step", env, _stepped(copied(model), batch))
    inputs = {p.name: batch.arrays[p.name] for p in model.manifest.inputs}
    yield Run(meaning_, "infer", env, _outputs(copied(model), inputs, training=False))
    if "evaluate" in functions:
        scores = copied(model).evaluate(dict(batch.arrays), batch=batch.samples)
        results: dict[Key, Array] = {
            ("result", n): _one(scores[n]) for n in model.manifest.results if n in scores
        }
        yield Run(meaning_, "evaluate", env, results)


def _one(number: float) -> Array:
    return np.asarray(number, np.float64)


def _outputs(model: Model, inputs: Mapping[str, Array], *, training: bool) -> dict[Key, Array]:
    found = model.forward(dict(inputs), training=training)
    if not isinstance(found, dict):
        name = model.output_names[0] if model.output_names else model.manifest.outputs[0].name
        found = {name: found}
    return {("output", name): array for name, array in found.items()}


def _stepped(model: Model, batch: Batch) -> dict[Key, Array]:
    """What a fused step leaves; the model is changed by it."""
    objective = model.step(dict(batch.arrays))
    found: dict[Key, Array] = {("result", "objective"): _one(objective)}
    found |= {("parameter", n): np.array(v) for n, v in model.params.items()}
    found |= {("optimizer", n): np.array(v) for n, v in model.optimizer_state.items()}
    found |= {("state", n): np.array(v) for n, v in model.state.items()}
    return found


def _compared(outputs: Sequence[Output], run: Run) -> list[Compared]:
    """The outputs of one run, values in their order and gradients in the opposite one."""
    roots = [o.node for o in outputs]
    exact, coarse = meaning(roots, run.env), rounded(roots, run.env)
    spans = _spans(run.meaning)
    found = [
        _one_compared(output, run, spans, *pair)
        for output, *pair in zip(outputs, exact, coarse, strict=True)
    ]
    back = [one for one in found if one.kind == "gradient"]
    return [one for one in found if one.kind != "gradient"] + back[::-1]


def _one_compared(
    output: Output, run: Run, spans: Mapping[str, Span], exact: Array, coarse: Array
) -> Compared:
    key: Key = (output.space, output.name)
    native = np.asarray(run.native[key], np.float64)
    exact = np.broadcast_to(exact, native.shape)
    distance = differences(native, exact, np.broadcast_to(coarse, native.shape))
    limit = tolerance(exact, coarse, output.node.type.precision == "f64")
    at = tuple(int(i) for i in np.unravel_index(int(distance.argmax()), native.shape))
    kind, name = _kind(output, run)
    return Compared(
        kind,
        name,
        run.function,
        spans.get(name),
        output.node.type.shape,
        float(distance[at]),
        limit,
        at,
        float(native[at]),
        float(exact[at]),
        key,
    )


def differences(native: Array, exact: Array, coarse: Array) -> Array:
    """How far each number is from the reference; ∞ where one of the two is no number.

    Numbers that single precision does not hold are not compared.
    """
    with np.errstate(invalid="ignore"):
        found = np.abs(native - exact)
    same = (native == exact) | (np.isnan(native) & np.isnan(exact)) | ~np.isfinite(coarse)
    return np.asarray(np.where(same, 0.0, np.where(np.isnan(found), np.inf, found)))


def tolerance(exact: Array, coarse: Array, double: bool) -> float:
    """How far a native number may be from the reference, for a value as a whole."""
    eps, single = np.finfo(np.float64 if double else np.float32).eps, np.finfo(np.float32).eps
    bounded = np.isfinite(exact) & np.isfinite(coarse)
    with np.errstate(invalid="ignore"):
        strayed = float(np.abs(coarse - exact).max(where=bounded, initial=0.0))
    largest = float(np.abs(exact).max(where=bounded, initial=0.0))
    return float(STRAY * strayed * eps / single + ROUNDINGS * eps * largest)


def _kind(output: Output, run: Run) -> tuple[Kind, str]:
    if output.space == "output":
        if output.name.startswith(GRADIENT):
            return "gradient", output.name.removeprefix(GRADIENT)
        return ("output" if run.function == "infer" else "value"), output.name
    kinds: dict[str, Kind] = {
        "gradient": "gradient",
        "result": "result",
        "parameter": "parameter",
        "state": "state",
        "optimizer": "optimizer",
    }
    return kinds[output.space], output.name


def _spans(model: Meaning) -> dict[str, Span]:
    """Where each name of a run stands in the text."""
    found = {one.name: one.span for one in (*model.parameters, *model.states)}
    found |= {s.name: s.span for u in model.updates for s in u.states}
    values = (model.training, model.inference)
    found |= {m.name: m.span for one in values for m in (*one.metrics, *one.outputs)}
    return found
