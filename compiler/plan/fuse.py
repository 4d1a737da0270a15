"""Which values are stored: everything else is recomputed inside the kernels that use it.

Stored are the results of contractions, reductions and other ops that need their own loops, the
operands of contractions, what leaves the function, and what is expensive and used repeatedly.
Unfolded windows repeat elements, so their operand is stored and never they.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ir.graph import users
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.ops.movement import Concat, Pad, Reshape, Slice, Transpose
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Lift, Reduce
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Iota, Source, Table
from netc.compiler.ops.unfold import Fold, Unfold
from netc.compiler.plan import costs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set

    from netc.compiler.ir.graph import Node

OWN_LOOPS = (Contract, Reduce, BatchReduce, Pad, Concat, Gather, Scatter)
"""Ops that are computed by loops of their own, never inside another expression.

So is a `Fold`, but where every element has one tap: that only moves.
"""

VIEWS = (Transpose, Broadcast, Slice)
"""Movements that a contraction follows by strides alone."""


def is_leaf(node: Node) -> bool:
    """Needs no computing: a source, or a constant made in registers."""
    return isinstance(node.op, Source | Constant | Iota | Table)


def is_scalar_source(node: Node) -> bool:
    """A run-time number: read where it is used, never stored."""
    return isinstance(node.op, Source) and node.op.space == "scalar"


def in_memory(node: Node) -> bool:
    """A source that lies in memory without being computed."""
    return isinstance(node.op, Source) and node.op.space != "scalar"


def view_base(node: Node) -> Node:
    """The node whose memory a contraction reads when its operand is `node`."""
    while True:
        if isinstance(node.op, VIEWS):
            node = node.args[0]
        elif isinstance(node.op, Reshape) and node.type.batched:
            # Blocks hold a sample's elements densely, so a reshape moves nothing; but a view of a
            # view is dense only when its base is.
            base = node.args[0]
            if isinstance(base.op, VIEWS):
                return node
            node = base
        else:
            return node


def has_own_loops(node: Node) -> bool:
    """Whether a node is computed by loops of its own."""
    if isinstance(node.op, Fold):
        return not node.op.tiling
    return isinstance(node.op, OWN_LOOPS)


def choose_stored(nodes: Sequence[Node], roots: Iterable[Node]) -> set[Node]:
    """The nodes that get memory of their own (sources in memory are not among them)."""
    stored = {n for n in nodes if has_own_loops(n)}
    stored.update(n for n in roots if not in_memory(n))
    for node in nodes:
        if isinstance(node.op, Contract):
            stored.update(b for a in node.args if not in_memory(b := view_base(a)))
        stored.update(_picked_from(node))
    repeated = {n.args[0] for n in nodes if _repeats(n)}
    same = {_spread(a) for n in nodes for a in n.args if _for_each_sample(n, a)}
    used_by = users(nodes)
    cost: dict[Node, int] = {}
    depth: dict[Node, int] = {}
    for node in nodes:
        cost[node] = depth[node] = 0
        if node in stored or is_leaf(node):
            continue
        whole = costs.own_cost(node) + sum(cost[a] for a in dict.fromkeys(node.args))
        nested = 1 + max((depth[a] for a in node.args), default=0)
        worth = _worth_storing(whole, len(used_by[node]), node in repeated)
        worth = worth or (node in same and whole >= costs.STORE_WHEN_SAME)
        if worth or nested > costs.STORE_DEPTH:
            stored.add(node)
        else:
            cost[node], depth[node] = whole, nested
    return stored


def _picked_from(node: Node) -> list[Node]:
    """The operands that a `Gather` or `Scatter` reads at places which differ between lanes."""
    if not isinstance(node.op, Gather | Scatter):
        return []
    x, indices = node.args
    if indices.type.batched:
        read = [x] if isinstance(node.op, Gather) else [a for a in node.args if a.type.batched]
    else:
        read = [] if is_leaf(x) else [x]
    return [a for a in read if not in_memory(a)]


def _repeats(node: Node) -> bool:
    """Whether the operand is read more than once; windows are read by max and its derivative."""
    match node.op:
        case Broadcast() | Lift():
            source = node.args[0].type
            return node.type.size > source.size or node.type.batched != source.batched
        case _:
            return isinstance(node.op, Unfold)


def _for_each_sample(node: Node, arg: Node) -> bool:
    """Whether an unbatched operand would be computed again for each sample."""
    return isinstance(node.op, Elementwise) and node.type.batched and not arg.type.batched


def _spread(node: Node) -> Node:
    """What a broadcast repeats."""
    return node.args[0] if isinstance(node.op, Broadcast) else node


def _worth_storing(cost: int, uses: int, repeated: bool) -> bool:
    if cost > costs.STORE_ALWAYS:
        return True
    if repeated and cost >= costs.STORE_WHEN_REPEATED:
        return True
    return uses > 1 and cost >= costs.STORE_WHEN_SHARED


def accesses(node: Node, stored: Set[Node]) -> tuple[frozenset[Node], frozenset[Node]]:
    """The memory that computing `node` reads: at its own index only, and at others as well."""
    if isinstance(node.op, Contract):
        return frozenset(), frozenset(view_base(a) for a in node.args)
    reads: set[Node] = set()
    scans: set[Node] = set()
    seen: set[tuple[Node, bool]] = set()
    aligned = isinstance(node.op, Elementwise)
    stack = [(a, aligned) for a in node.args]
    while stack:
        current, same_index = stack.pop()
        if (current, same_index) in seen:
            continue
        seen.add((current, same_index))
        if current in stored or in_memory(current):
            (reads if same_index else scans).add(current)
            continue
        same_index = same_index and isinstance(current.op, Elementwise)
        stack.extend((a, same_index) for a in current.args)
    return frozenset(reads - scans), frozenset(scans)
