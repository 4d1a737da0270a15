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
from netc.compiler.ops.source import Source, constant

if TYPE_CHECKING:
    from collections.abc import Collection

    from netc.compiler.elaborate.model import Index, Model, Port, Stored
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.types import Precision

GRADIENT = "gradient "
"""Before the name of a value: the derivative of the objective by it, for each sample."""


def probed(model: Model, *, training: bool, targets: bool = True, indices: bool = False) -> Model:
    """The model whose outputs are the values that one mode of `model` passes through.

    A value that the objective is made of has its gradient as one more output. Both modes of the
    result are that mode. Without `targets` it has none, no gradients, and only such values as
    depend on none. With `indices` it has those of `checked_indices` instead, by their numbers.
    """
    values = model.training if training else model.inference
    if indices:
        found = checked_indices(model, training=training, targets=targets)
        named = (Named(f"index {i}", one.node, one.span) for i, one in enumerate(found))
        shown = Values(tuple(named), None, None, ())
    else:
        shown = _shown(values) if targets else _without(values, model.targets)
    return replace(
        model,
        inputs=(*model.inputs, *model.targets) if targets else model.inputs,
        targets=(),
        parameters=tuple(empty(p, model.precision) for p in model.parameters),
        states=tuple(empty(s, model.precision) for s in model.states),
        training=shown,
        inference=shown,
        updates=(),
    )


def _shown(values: Values) -> Values:
    seen = seen_once(values.seen)
    slopes = []
    goal = objective(values.loss, values.penalty)
    if goal is not None:
        on_the_way = set(toposort([goal]))
        for one in [one for one in seen if one.node in on_the_way]:
            (slope,) = gradient(goal, [one.node])
            slopes.append(Named(GRADIENT + one.name, slope, one.span))
    return Values((*seen, *slopes), None, None, ())


def checked_indices(model: Model, *, training: bool, targets: bool) -> list[Index]:
    """The indices of a mode that no type keeps in range, without those that depend on targets."""
    values = model.training if training else model.inference
    absent = set() if targets else {port.name for port in model.targets}
    return [one for one in values.indices if not _reads(one.node, absent)]


def _reads(node: Node, absent: Collection[str]) -> bool:
    """Whether a value needs inputs that are absent, or stands inside a rule of one's own."""
    sources = [one.op for one in toposort([node]) if isinstance(one.op, Source)]
    return any(
        op.space == "placeholder" or (op.space == "input" and op.name in absent) for op in sources
    )


def _without(values: Values, targets: tuple[Port, ...]) -> Values:
    absent = {port.name for port in targets}
    seen = [one for one in seen_once(values.seen) if not _reads(one.node, absent)]
    return Values(tuple(seen), None, None, ())


def nearest(seen: tuple[Named, ...]) -> dict[str, str]:
    """For each name of a value the name that the probed model has it under."""
    kept = {one.node: one.name for one in seen_once(seen)}
    return {one.name: kept[one.node] for one in seen}


def seen_once(seen: tuple[Named, ...]) -> list[Named]:
    """Each value under the name nearest to the net, in the order of computing."""
    nearest: dict[Node, Named] = {}
    for one in sorted(seen, key=lambda one: one.name.count(".")):
        nearest.setdefault(one.node, one)
    return [nearest[node] for node in toposort(list(nearest)) if node in nearest]


def empty(stored: Stored, precision: Precision) -> Stored:
    """A stored value that starts at 0 and waits to be given another one's."""
    return replace(stored, initial=constant(0, stored.shape, precision), over_data=None)
