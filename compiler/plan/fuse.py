"""Which values are stored: everything else is recomputed inside the kernels that use it.

Stored are the results of contractions, reductions and other ops that need their own loops, the
operands of contractions, what leaves the function, and what costs more to compute again for each
pass that needs it than to write and read. Unfolded windows that overlap repeat elements, so their
operand is stored and never they.
"""

from __future__ import annotations

from math import prod
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
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from netc.compiler.ir.graph import Node

OWN_LOOPS = (Contract, Reduce, BatchReduce, Pad, Concat, Gather, Scatter)
"""Ops that are computed by loops of their own, never inside another expression.

So is a `Fold`, but where every element has one tap: that only moves. A reduction of few taps needs
no loops.
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
    if few_taps(node) is not None:
        return False
    return isinstance(node.op, OWN_LOOPS)


def few_taps(node: Node) -> tuple[int, ...] | None:
    """The sizes of a reduction over windows and nothing else, when their taps are few."""
    if not isinstance(node.op, Reduce) or not isinstance(node.args[0].op, Unfold):
        return None
    x = node.args[0]
    assert isinstance(x.op, Unfold)
    axes = tuple(range(x.type.rank - len(x.op.windows), x.type.rank))
    sizes = tuple(x.type.shape[a] for a in axes)
    return sizes if node.op.axes == axes and prod(sizes) <= costs.FEW_TAPS else None


def choose_stored(nodes: Sequence[Node], roots: Iterable[Node]) -> set[Node]:
    """The nodes that get memory of their own (sources in memory are not among them)."""
    stored = _always_stored(nodes, roots)
    repeated = {n.args[0] for n in nodes if _repeats(n)}
    same = {_spread(a) for n in nodes for a in n.args if _for_each_sample(n, a)}
    used_by = users(nodes)
    sweeps = _sweeps(nodes, stored, used_by)
    below: dict[Node, _Inside] = {}
    for node in nodes:
        if node in stored or is_leaf(node):
            below[node] = _read(node)
            continue
        inside = _inside(node, below)
        uses = sweeps[node].bit_count() if node.type.batched else len(used_by[node])
        worth = _worth_storing(node, inside, uses, node in repeated)
        worth = worth or (node in same and inside.cost >= costs.STORE_WHEN_SAME)
        if worth or inside.depth > costs.STORE_DEPTH:
            stored.add(node)
            inside = _read(node)
        below[node] = inside
    return stored


def _always_stored(nodes: Sequence[Node], roots: Iterable[Node]) -> set[Node]:
    """What has loops of its own, leaves the function, or is read by products and by numbers."""
    stored = {n for n in nodes if has_own_loops(n)}
    stored.update(n for n in roots if not in_memory(n))
    for node in nodes:
        if isinstance(node.op, Contract):
            stored.update(b for a in node.args if not in_memory(b := view_base(a)))
        stored.update(_picked_from(node))
    return stored


@record
class _Inside:
    """What computing one vector of a value takes: instructions and nesting.

    `reads` says how many vectors of each batched value in memory.
    """

    cost: int
    depth: int
    reads: Mapping[Node, float]


def _read(node: Node) -> _Inside:
    """What a value takes that lies in memory or is made in registers."""
    read = node.type.batched and not isinstance(node.op, Constant | Iota | Table)
    return _Inside(0, 0, {node: 1.0} if read else {})


def _inside(node: Node, below: Mapping[Node, _Inside]) -> _Inside:
    args = [below[a] for a in dict.fromkeys(node.args)]
    taps = costs.taps(node)
    cost = costs.own_cost(node) + taps * sum(a.cost for a in args)
    depth = 1 + max((a.depth for a in args), default=0)
    share = float(taps)
    if isinstance(node.op, Broadcast):
        share = node.args[0].type.size / max(node.type.size, 1)
    reads: dict[Node, float] = {}
    for arg in args:
        for leaf, vectors in arg.reads.items():
            reads[leaf] = max(reads.get(leaf, 0), vectors * share)
    return _Inside(cost, depth, reads)


def _sweeps(
    nodes: Sequence[Node], stored: Set[Node], used_by: Mapping[Node, Sequence[Node]]
) -> dict[Node, int]:
    """For each node, as bits, the passes over the samples that would compute it.

    Reductions of the same axes of one shape count as one pass: most share one.
    """
    numbers: dict[object, int] = {}
    found: dict[Node, int] = {}
    for node in reversed(nodes):
        passes = 0
        for user in used_by[node]:
            if user in stored:
                key: object = user
                if isinstance(user.op, Reduce):
                    key = user.op.axes, user.args[0].type.shape
                passes |= 1 << numbers.setdefault(key, len(numbers))
            else:
                passes |= found[user]
        found[node] = passes
    return found


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
    """Whether elements of the operand are read more than once."""
    match node.op:
        case Broadcast() | Lift():
            source = node.args[0].type
            return node.type.size > source.size or node.type.batched != source.batched
        case Unfold(windows=windows):
            return not all(window.tiling for _, window in windows)
        case _:
            return False


def _for_each_sample(node: Node, arg: Node) -> bool:
    """Whether an unbatched operand would be computed again for each sample."""
    return isinstance(node.op, Elementwise) and node.type.batched and not arg.type.batched


def _spread(node: Node) -> Node:
    """What a broadcast repeats."""
    return node.args[0] if isinstance(node.op, Broadcast) else node


def _worth_storing(node: Node, inside: _Inside, uses: int, repeated: bool) -> bool:
    cost = inside.cost
    if cost > costs.STORE_ALWAYS:
        return True
    if repeated and cost >= costs.STORE_WHEN_REPEATED:
        return True
    if not node.type.batched:
        return uses > 1 and cost >= costs.STORE_WHEN_SHARED
    return costs.worth_storing(cost, sum(inside.reads.values()), uses)


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
