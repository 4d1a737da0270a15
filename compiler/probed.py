"""A net that shows what is inside it: every value on the way is an output, beside its gradient.

Invariant: a model becomes a model, so that the values come from the same passes and kernels as any
others. The targets are inputs of the new one; its stored values start at 0 and are to be filled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.derive.derivatives import gradient
from netc.compiler.elaborate.model import Named, Values
from netc.compiler.elaborate.objective import objective
from netc.compiler.ir.graph import toposort
from netc.compiler.ops.source import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.model import Model, Stored
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.types import Precision

GRADIENT = "gradient "
"""Before the name of a value: the derivative of the objective by it, for each sample."""


def probed(model: Model) -> Model:
    """The model whose outputs are the values that both modes of `model` pass through.

    A value that the objective is made of has its gradient as one more output.
    """
    names = _names(model)
    trained = _trained(model.training, names) & _trained(model.inference, names)
    return replace(
        model,
        inputs=(*model.inputs, *model.targets),
        targets=(),
        parameters=tuple(_empty(p, model.precision) for p in model.parameters),
        states=tuple(_empty(s, model.precision) for s in model.states),
        training=_shown(model.training, names, trained),
        inference=_shown(model.inference, names, trained),
        updates=(),
    )


def _names(model: Model) -> list[str]:
    """The values of both modes in the order of computing, each under the name nearest to the net.

    A name belongs to one value of each mode: dropout is in one only.
    """
    training, inference = (
        {one.name: one.node for one in values.seen} for values in (model.training, model.inference)
    )
    nearest: dict[tuple[Node, Node], str] = {}
    for name in sorted(training, key=lambda name: name.count(".")):
        other = inference.get(name)
        if other is not None and other.type.shape == training[name].type.shape:
            nearest.setdefault((training[name], other), name)
    place = {node: i for i, node in enumerate(toposort([pair[0] for pair in nearest]))}
    return sorted(nearest.values(), key=lambda name: place[training[name]])


def _trained(values: Values, names: Sequence[str]) -> set[str]:
    """The names of what the objective is made of."""
    goal = objective(values.loss, values.penalty)
    on_the_way = set() if goal is None else set(toposort([goal]))
    nodes = {one.name: one.node for one in values.seen}
    return {name for name in names if nodes[name] in on_the_way}


def _shown(values: Values, names: Sequence[str], trained: set[str]) -> Values:
    nodes = {one.name: one for one in values.seen}
    outputs = [nodes[name] for name in names]
    goal = objective(values.loss, values.penalty)
    for one in [one for one in outputs if one.name in trained]:
        assert goal is not None, "nothing is trained without one"
        (slope,) = gradient(goal, [one.node])
        outputs.append(Named(GRADIENT + one.name, slope, one.span))
    return Values(tuple(outputs), None, None, ())


def _empty(stored: Stored, precision: Precision) -> Stored:
    return replace(stored, initial=constant(0, stored.shape, precision), over_data=None)
