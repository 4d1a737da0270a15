"""Where the nodes of a function come from: a place of the text, a name, the rewrites in between.

Invariant: it is made when asked for, by running the passes once more and noting what they do; the
graphs are those of the program, node for node.
"""

from __future__ import annotations

from difflib import unified_diff
from itertools import count
from typing import TYPE_CHECKING, Final

from netc.compiler.functions import function_graph
from netc.compiler.ir.graph import toposort
from netc.compiler.ir.trail import recording
from netc.compiler.ops.source import Source
from netc.compiler.ops.text import applied, numbered, show
from netc.compiler.passes import pipeline
from netc.compiler.passes.one_sample import one_sample
from netc.compiler.passes.rewrite import REMADE
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netc.compiler.elaborate.model import Model, Named, Values
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.ir.trail import Step, Trail
    from netc.compiler.program import FunctionName
    from netc.grammar.source import Span

DEEP: Final = 3
"""Operations within one another in the text of a node that is in the graph no more."""


class NoSuch(Exception):
    """A node or a pass that does not exist; the message has those that do."""


@record
class Origin:
    """What a node comes from: a place of the text, and the name of the value it is part of."""

    span: Span | None
    name: str
    derivative: bool = False

    def __str__(self) -> str:
        name = f"derivative of {self.name}" if self.derivative and self.name else self.name
        return " ".join(part for part in (str(self.span or ""), name) if part)


@record
class Change:
    """A pass, and the graphs before and after it."""

    name: str
    before: Graph
    after: Graph


@record
class Provenance:
    """The graph of a function before and after the passes, and what made its nodes."""

    backward: Graph
    simplified: Graph
    changes: tuple[Change, ...]
    trail: Trail
    origins: Mapping[Node, Origin]


def provenance(model: Model, function: FunctionName) -> Provenance:
    """The provenance of one function."""
    changes: list[Change] = []

    def observe(step: pipeline.Pass, before: Graph, after: Graph, seconds: float) -> None:
        changes.append(Change(step.name, before, after))

    with recording() as trail:
        graph = function_graph(model, function)
        simplified = pipeline.run(graph, (observe,))
        if function == "infer_one":
            trail.stage = "one_sample"
            alone = one_sample(simplified)
            changes.append(Change("one_sample", simplified, alone))
            simplified = alone
    known = {node: Origin(model.origins.get(node), name) for node, name in _names(model).items()}
    known |= {n: Origin(s, "") for n, s in model.origins.items() if n not in known}
    graphs = [graph, *(change.after for change in changes)]
    found: dict[Node, Origin] = {}
    for node in (node for each in graphs for node in each.nodes()):
        if node not in found and (origin := _origin(node, known, trail, found)) is not None:
            found[node] = origin
    return Provenance(graph, simplified, tuple(changes), trail, found)


def _origin(
    node: Node, known: Mapping[Node, Origin], trail: Trail, found: Mapping[Node, Origin]
) -> Origin | None:
    """That of the node itself, else of what it was made of, else of its first argument with one."""
    span: Span | None = None
    name, derivative = "", False
    steps = trail.chain(node)
    for at, differentiated in [(node, False), *((s.old, s.stage == "derivatives") for s in steps)]:
        derivative = derivative or (differentiated and not name)
        origin = known.get(at)
        if origin is not None:
            span, name = span or origin.span, name or origin.name
        if span is not None and name:
            break
    if span is not None or name:
        return Origin(span, name, derivative)
    for at in (node, *(step.old for step in steps)):
        below = next(
            (found.get(a) or known.get(a) for a in at.args if a in found or a in known), None
        )
        if below is not None:
            return Origin(below.span, below.name, below.derivative or at is not node)
    return None


def _names(model: Model) -> dict[Node, str]:
    """The name of the value that each node of the text's graphs is a part of.

    A value is a binding, what a layer returns, the loss, a metric, or the update of a parameter.
    """
    found: dict[Node, str] = {}
    for values in (model.training, model.inference):
        for one in _in_order(values):
            _fill(one.node, one.name, found)
        for kind, node in (("loss", values.loss), ("penalty", values.penalty)):
            if node is not None:
                _fill(node, kind, found)
        for one in (*values.metrics, *values.next_states, *values.outputs):
            _fill(one.node, one.name, found)
    for update in model.updates:
        for node in (update.new, *(s.node for s in update.next_states)):
            _fill(node, f"update of {update.parameter}", found)
    return found


def _in_order(values: Values) -> Iterable[Named]:
    """Each value under the name nearest to the net, arguments before users."""
    nearest: dict[Node, Named] = {}
    for one in sorted(values.seen, key=lambda one: one.name.count(".")):
        nearest.setdefault(one.node, one)
    return [nearest[node] for node in toposort(list(nearest)) if node in nearest]


def _fill(root: Node, name: str, found: dict[Node, str]) -> None:
    """Gives a name to a node and to all below it that has none; what is stored has its own."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node in found:
            continue
        own = isinstance(node.op, Source) and node.op.space in ("input", "scalar")
        found[node] = node.op.name if own and isinstance(node.op, Source) else name
        stack += node.args


# -- why -------------------------------------------------------------------------------------------


def why(found: Provenance, graph: Graph, label: str) -> str:
    """The rewrites that made a node of a graph, back to the text.

    `label` is the node's name in the text of the graph; raises NoSuch for an unknown one.
    """
    names = numbered(graph.nodes())
    nodes = {name: node for node, name in names.items()}
    wanted = label if label.startswith("%") else f"%{label}"
    if wanted not in nodes:
        raise NoSuch(f"there is no node {wanted}; there are %0 to %{len(nodes) - 1}")
    node = nodes[wanted]
    lines = [f"{wanted} = {_formula(node, names, 1)} : {node.type}"]
    for step in _distinct(found.trail.chain(node)):
        lines.append(f"  {step.stage}: {step.what}" + ("" if step.whole else ", a part of it"))
        lines.append(f"    of {_formula(step.old, names, DEEP)} : {step.old.type}")
    origin = found.origins.get(node)
    if origin is None:
        return "\n".join([*lines, "  made with the function; no line of the text has it"]) + "\n"
    lines.append(f"  {origin}")
    if origin.span is not None:
        lines.append(f"    {origin.span.text.partition(chr(10))[0]}")
    return "\n".join(lines) + "\n"


def _distinct(steps: Sequence[Step]) -> list[Step]:
    """The steps without those that a pass took again on the way to the same operation."""
    following = (*steps, None)[1:]
    return [
        step
        for step, older in zip(steps, following, strict=True)
        if older is None or (step.stage, step.what, REMADE) != (older.stage, older.what, step.what)
    ]


def _formula(node: Node, names: Mapping[Node, str], deep: int) -> str:
    """An operation on nodes of the graph by name, and on others as they are, to some depth."""

    def argument(arg: Node) -> str:
        if arg in names:
            return names[arg]
        if deep == 1:
            return "…"
        inner = _formula(arg, names, deep - 1)
        return f"({inner})" if arg.args else inner

    return applied(node, [argument(arg) for arg in node.args])


# -- one pass --------------------------------------------------------------------------------------


def change(found: Provenance, name: str) -> Change:
    """What a pass did; raises NoSuch for one that does not exist."""
    for one in found.changes:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in found.changes)
    raise NoSuch(f"there is no pass `{name}`; there are {known}")


def difference(found: Provenance, name: str) -> str:
    """What a pass changed, as a unified diff of the texts around it; empty for nothing."""
    one = change(found, name)
    names = labels(found, one)
    before = show(one.before, found.origins, names[0]).splitlines(keepends=True)
    after = show(one.after, found.origins, names[1]).splitlines(keepends=True)
    heads = f"before {name}", f"after {name}"
    return "".join(unified_diff(before, after, *heads))


def labels(found: Provenance, one: Change) -> tuple[dict[Node, str], dict[Node, str]]:
    """Names for both graphs of a change: what a pass put in the place of a node keeps its name."""
    before = numbered(one.before.nodes())
    nodes: Sequence[Node] = one.after.nodes()
    after = {node: before[node] for node in nodes if node in before}
    taken = set(after.values())
    number = count(1)
    for node in nodes:
        if node not in after:
            name = _inherited(node, found.trail, before, taken)
            after[node] = name or f"%new{next(number)}"
            taken.add(after[node])
    return before, after


def _inherited(node: Node, trail: Trail, before: Mapping[Node, str], taken: set[str]) -> str | None:
    """The name of the node that this one stands for, if nothing else has it."""
    for step in trail.chain(node):
        if not step.whole:
            return None
        name = before.get(step.old)
        if name is not None:
            return None if name in taken else name
    return None
