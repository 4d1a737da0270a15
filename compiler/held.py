"""A net's objective alone, as a value for each sample: what finite differences are taken of.

Invariant: what `stop_gradient` holds is an input, so a difference does not see through it either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.elaborate.model import Named, Port, Values
from netc.compiler.elaborate.objective import objective
from netc.compiler.ir.graph import substitute
from netc.compiler.ops.elementwise import StopGradient
from netc.compiler.ops.reduce import batch_mean, lift
from netc.compiler.ops.source import source
from netc.compiler.probed import empty
from netc.grammar.source import Span

if TYPE_CHECKING:
    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Node

OBJECTIVE = "objective"


def goal(model: Model) -> Node:
    """The objective in training mode; raises ValueError for a net without loss and penalty."""
    found = objective(model.training.loss, model.training.penalty)
    if found is None:
        raise ValueError(f"{model.name} has no objective")
    return found


def stopped(root: Node) -> list[Node]:
    """The outermost values that `stop_gradient` holds."""
    found: list[Node] = []
    stack, seen = [root], {root}
    while stack:
        node = stack.pop()
        if isinstance(node.op, StopGradient):
            found.append(node)
            continue
        stack += (fresh := [arg for arg in dict.fromkeys(node.args) if arg not in seen])
        seen.update(fresh)
    return found


def held(model: Model) -> Model:
    """The model whose only output is the objective; `held 0`, `held 1`, … are more inputs."""
    root = goal(model)
    place = Span(model.source, 0, 0)
    inputs, replaced = [], {}
    for i, node in enumerate(stopped(root)):
        name, kind = f"held {i}", node.type
        given = source("input", name, kind.shape, True, kind.precision)
        inputs.append(Port(name, kind.shape, "real", None, True, place))
        replaced[node] = given if kind.batched else batch_mean(given)
    (alone,) = substitute([root], replaced)
    output = Named(OBJECTIVE, lift(alone), place)
    values = Values((output,), None, None, ())
    return replace(
        model,
        inputs=(*model.inputs, *model.targets, *inputs),
        targets=(),
        parameters=tuple(empty(p, model.precision) for p in model.parameters),
        states=tuple(empty(s, model.precision) for s in model.states),
        training=values,
        inference=values,
        updates=(),
    )
