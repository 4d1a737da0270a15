"""Which operation made the first NaN or infinity of a call, found by the reference interpreter.

The graph is the one that was compiled, so what a rewrite made finite is finite here. From a result
that is not finite the way leads back along numbers that are not finite either, element by element
where an operation has elements; an infinity that a choice left out is on no such way.

Invariant: the operands of the operation that is named are finite, or are infinite by the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from netc.compiler.describe import inside
from netc.compiler.ops.elementwise import Where
from netc.compiler.ops.gather import Gather
from netc.compiler.ops.movement import Movement
from netc.compiler.ops.reduce import Lift
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Source, SourceForm
from netc.compiler.ops.text import show
from netc.compiler.ops.unfold import Fold
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment
    from netc.compiler.provenance import Origin
    from netc.compiler.stages import Stages

Values: TypeAlias = "dict[Node, Array]"
Place: TypeAlias = tuple[int, ...]
"""An element of a value: the sample first, where it is batched."""


@record
class Operand:
    """An operand as the graph names it: its number, or the extremes of the numbers it takes."""

    name: str
    least: float
    most: float
    count: int


@record
class Blame:
    """An operation whose result is not finite though its operands are.

    `line` is its line of the graph after the passes, where operands have their names. `origin` is
    what it comes from, None where nothing in the text does. `sample` is None where the value is not
    one of each sample. `count` says how many of the `size` numbers of the result are not finite.
    `given` names a value from outside, which has no operands.
    """

    operation: str
    line: str
    kernel: str | None
    origin: Origin | None
    sample: int | None
    element: Place
    value: float
    count: int
    size: int
    operands: tuple[Operand, ...]
    given: str | None


def blame(
    stages: Stages,
    origins: Mapping[Node, Origin],
    env: Environment,
    bad: Collection[tuple[str, str]],
) -> Blame | None:
    """Who made the first of the results `bad` what it is; None if the interpreter finds it finite.

    `bad` are results by space and name, the most telling first; `origins` those of the function.
    """
    graph = stages.plan.graph
    values: Values = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes():
            values[node] = node.op.evaluate(env, node, *(values[a] for a in node.args))
        results: dict[tuple[str, str], Node] = {(o.space, o.name): o.node for o in graph.outputs}
        for one in bad:
            root = results.get(one)
            if root is not None and not np.isfinite(values[root]).all():
                return _described(*_first(root, values, env), stages, origins, values)
    return None


def _first(root: Node, values: Values, env: Environment) -> tuple[Node, Place]:
    """The first node on the way to a result that made numbers which are not finite, and where."""
    order = {node: i for i, node in enumerate(values)}
    made: list[tuple[Node, Place]] = []
    seen = {root}
    stack = [(root, _unbounded(values[root]))]
    while stack:
        node, place = stack.pop()
        before = [
            (arg, there)
            for arg in node.args
            if not isinstance(arg.op, Constant)
            and (there := _behind(node, place, arg, values, env)) is not None
        ]
        if not before:
            made.append((node, place))
        stack += [one for one in before if one[0] not in seen]
        seen.update(arg for arg, _ in before)
    return min(made, key=lambda one: order[one[0]])


def _unbounded(array: Array) -> Place:
    """The first element that is not finite."""
    return tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])


def _behind(node: Node, place: Place, arg: Node, values: Values, env: Environment) -> Place | None:
    """An element of an argument that is not finite and made an element what it is."""
    found = values[arg]
    match node.op:
        case Elementwise():
            there = place[len(place) - found.ndim :]
            if isinstance(node.op, Where) and arg is not _chosen(node, place, values):
                return None
            return None if np.isfinite(found[there]) else there
        case Fold():
            pass
        case Movement() | Gather() | Lift():
            return _moved(node, place, arg, values, env)
    if node.type.batched and arg.type.batched:
        sample = place[0]
        bad = ~np.isfinite(found[sample])
        return (sample, *map(int, np.argwhere(bad)[0])) if bad.any() else None
    return None if np.isfinite(found).all() else _unbounded(found)


def _chosen(node: Node, place: Place, values: Values) -> Node:
    """The operand of a `where` that an element comes from."""
    condition = values[node.args[0]]
    return node.args[1 if condition[place[len(place) - condition.ndim :]] != 0 else 2]


def _moved(node: Node, place: Place, arg: Node, values: Values, env: Environment) -> Place | None:
    """The element of an argument that was moved to a place: every element is numbered from 1."""
    tags = []
    for one in node.args:
        array = values[one]
        numbers = np.arange(1, array.size + 1, dtype=np.float64).reshape(array.shape)
        index = isinstance(node.op, Gather) and one is node.args[1]
        tags.append(array if index else numbers if one is arg else np.zeros(array.shape))
    tag = int(node.op.evaluate(env, node, *tags)[place])
    if not tag:
        return None
    there = tuple(int(i) for i in np.unravel_index(tag - 1, values[arg].shape))
    return None if np.isfinite(values[arg][there]) else there


# -- description -----------------------------------------------------------------------------------


def _described(
    node: Node,
    place: Place,
    stages: Stages,
    origins: Mapping[Node, Origin],
    values: Values,
) -> Blame:
    graph = stages.simplified
    numbers = {n: i for i, n in enumerate(graph.nodes())}
    sample = place[0] if node.type.batched else None
    return Blame(
        operation=node.op.word,
        line=show(graph).splitlines()[1 + numbers[node]],
        kernel=_kernel(node, stages),
        origin=origins.get(node),
        sample=sample,
        element=place if sample is None else place[1:],
        value=float(values[node][place]),
        count=int((~np.isfinite(values[node])).sum()),
        size=values[node].size,
        operands=tuple(_operand(node, place, arg, values, numbers) for arg in node.args),
        given=_given(node),
    )


def _kernel(node: Node, stages: Stages) -> str | None:
    """The first kernel that computes a node; none computes what comes from outside."""
    if isinstance(node.op, SourceForm):
        return None
    symbols = {launch.kernel: symbol for symbol, launch in stages.kernels.items()}
    for launch in stages.launches:
        if node in inside(launch.unit, stages.plan)[0]:
            return symbols[launch.kernel]
    return None


def _given(node: Node) -> str | None:
    """What a value from outside is called."""
    return f"{node.op.space} `{node.op.name}`" if isinstance(node.op, Source) else None


def _operand(
    node: Node, place: Place, arg: Node, values: Values, numbers: Mapping[Node, int]
) -> Operand:
    """The number that an elementwise operation takes, else all numbers of the sample."""
    found = values[arg]
    if isinstance(node.op, Elementwise):
        found = found[place[len(place) - found.ndim :]]
    elif node.type.batched and arg.type.batched:
        found = found[place[0]]
    return Operand(
        _given(arg) or f"%{numbers[arg]}",
        float(np.min(found)),
        float(np.max(found)),
        int(np.size(found)),
    )
