"""The graphs of a program's functions, from a checked model.

The objective is the mean of the loss over the batch, plus the penalty. `backward` differentiates it
in training mode; `update` applies the optimizers to clipped gradients; `step` joins the two, and
there the gradients need not exist as results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Output, make, substitute, toposort
from netc.compiler.ir.trail import current_trail
from netc.compiler.ops.elementwise import Max, Min, Sqrt, add, div, mul, neg
from netc.compiler.ops.reduce import batch_mean, broadcast, reduce_sum
from netc.compiler.ops.scalar import apply
from netc.compiler.ops.source import Source, constant, source
from netc.compiler.passes.one_sample import has_one_sample
from netc.compiler.passes.pipeline import BEFORE_DERIVATIVES, run
from netc.compiler.passes.stacked import stackable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.elaborate.model import Model, Update, Values
    from netc.compiler.ir.graph import Node
    from netc.compiler.program import FunctionName


def function_graph(model: Model, name: FunctionName) -> Graph:
    """The graph of one function; raises ValueError for one that `functions` does not list."""
    if name not in functions(model):
        raise ValueError(f"{model.name} has no function {name}")
    match name:
        case "infer" | "infer_one" | "infer_group":
            return Graph(name, inference_graph(model).outputs)
        case "evaluate":
            outputs = _results(model, model.inference)
            outputs += _outputs(model, model.inference, with_target=True)
        case "forward":
            outputs = _outputs(model, model.training, with_target=False)
            outputs += _states(model)
        case "backward":
            found = _gradients(model)
            outputs = [Output("gradient", p, g) for p, g in found.items()]
            outputs += _results(model, model.training)
        case "update":
            outputs = _updates(
                model, {u.parameter: _gradient_source(model, u.parameter) for u in model.updates}
            )
        case "step" | "train":
            outputs = _step(model)
    return Graph(name, tuple(outputs))


def undifferentiated(model: Model, name: FunctionName) -> Graph:
    """What a function computes before derivatives and updates enter: the net in training mode.

    The other functions have no derivatives: theirs is the whole graph.
    """
    if name not in ("backward", "step", "train"):
        return function_graph(model, name)
    values = model.training
    outputs = [Output("output", o.name, o.node) for o in values.outputs]
    return Graph(name, tuple(outputs + _results(model, values)))


def functions(model: Model) -> tuple[FunctionName, ...]:
    """The functions that the model's text gives rise to."""
    names: list[FunctionName] = ["infer"]
    inference = inference_graph(model)
    if has_one_sample(inference):
        names.append("infer_one")
        if stackable(inference):
            names.append("infer_group")
    differentiable = model.training.loss is not None or model.training.penalty is not None
    if differentiable or model.inference.metrics:
        names.append("evaluate")
    names.append("forward")
    if differentiable:
        names.append("backward")
        if model.updates:
            names += ["update", "step", "train"]
    return tuple(names)


def inference_graph(model: Model) -> Graph:
    """The outputs in inference mode."""
    return Graph("infer", tuple(_outputs(model, model.inference, with_target=False)))


def _outputs(model: Model, values: Values, *, with_target: bool) -> list[Output]:
    """The outputs that depend on a target, or those that do not."""
    targets = {port.name for port in model.targets}
    return [
        Output("output", o.name, o.node)
        for o in values.outputs
        if _reads(o.node, targets) == with_target
    ]


def _reads(root: Node, names: set[str]) -> bool:
    ops = (node.op for node in toposort([root]))
    return any(isinstance(op, Source) and op.space == "input" and op.name in names for op in ops)


def _results(model: Model, values: Values) -> list[Output]:
    """Objective, loss and metrics: means over the batch."""
    named: list[tuple[str, Node]] = []
    if values.loss is not None or values.penalty is not None:
        named += [("objective", _objective(model, values)), ("loss", _mean_loss(model, values))]
    named += [(m.name, batch_mean(m.node)) for m in values.metrics]
    return [Output("result", name, node) for name, node in named]


def _objective(model: Model, values: Values) -> Node:
    if values.penalty is None:
        return _mean_loss(model, values)
    if values.loss is None:
        return values.penalty
    return add(_mean_loss(model, values), values.penalty)


def _mean_loss(model: Model, values: Values) -> Node:
    return constant(0, (), model.precision) if values.loss is None else batch_mean(values.loss)


def _states(model: Model) -> list[Output]:
    return [Output("state", s.name, s.node) for s in model.training.next_states]


def _gradient_source(model: Model, parameter: str) -> Node:
    shape = next(p.shape for p in model.parameters if p.name == parameter)
    return source("gradient", parameter, shape, False, model.precision)


def _gradients(model: Model) -> dict[str, Node]:
    """The gradient of the objective for every parameter that is not frozen."""
    free = [p for p in model.parameters if not p.frozen]
    wrt = [source("parameter", p.name, p.shape, False, model.precision) for p in free]
    objective = Graph(
        "objective", (Output("result", "objective", _objective(model, model.training)),)
    )
    (stable,) = run(objective, passes=BEFORE_DERIVATIVES).roots
    found = gradients(stable, wrt)
    return {p.name: g for p, g in zip(free, found, strict=True)}


def _updates(model: Model, given: Mapping[str, Node]) -> list[Output]:
    """The next parameters and optimizer states from gradients, after clipping."""
    clipped = _clipped(model, given)
    replaced = {_gradient_source(model, name): g for name, g in clipped.items()}
    outputs = [o for u in model.updates for o in _update_outputs(u)]
    return _replaced(outputs, replaced)


def _update_outputs(update: Update) -> list[Output]:
    states = [Output("optimizer", s.name, s.node) for s in update.next_states]
    return [Output("parameter", update.parameter, update.new), *states]


def _step(model: Model) -> list[Output]:
    results = _results(model, model.training)
    objective = source("scalar", "objective", (), False, model.precision)
    updates = _updates(model, _gradients(model))
    updates = _replaced(updates, {objective: _objective(model, model.training)})
    return updates + _states(model) + results


def _replaced(outputs: Sequence[Output], replaced: Mapping[Node, Node]) -> list[Output]:
    before = [o.node for o in outputs]
    nodes = substitute(before, replaced)
    if (trail := current_trail()) is not None:
        trail.know([*toposort(before), *replaced.values()])
        for old, node in zip(before, nodes, strict=True):
            trail.note(node, "gradients put in", old, "update")
    return [Output(o.space, o.name, node) for o, node in zip(outputs, nodes, strict=True)]


def _clipped(model: Model, given: Mapping[str, Node]) -> dict[str, Node]:
    """Gradients limited element by element, then scaled down together to the largest norm."""
    found = dict(given)
    if model.settings.clip_value is not None:
        limit = source("scalar", "clip_value", (), False, model.precision)
        found = {name: _limited(g, limit) for name, g in found.items()}
    if model.settings.clip_norm is not None and found:
        scale = _norm_scale(list(found.values()), model)
        found = {name: mul(g, broadcast(scale, g.type.shape, ())) for name, g in found.items()}
    return found


def _limited(g: Node, limit: Node) -> Node:
    high = broadcast(limit, g.type.shape, ())
    return apply(Max(), apply(Min(), g, high), neg(high))


def _norm_scale(parts: Sequence[Node], model: Model) -> Node:
    """min(1, clip_norm / norm), with the norm of all gradients as one vector."""
    limit = source("scalar", "clip_norm", (), False, model.precision)
    squares = [reduce_sum(mul(g, g), tuple(range(g.type.rank))) for g in parts]
    total = squares[0]
    for square in squares[1:]:
        total = add(total, square)
    return apply(Min(), div(limit, make(Sqrt(), total)), 1)
