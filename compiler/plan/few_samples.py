"""By how many samples a call goes one after the other, in groups, or in blocks of all lanes.

All ways do the same multiplications, but a block does those of all its lanes, and a group those of
all its samples; one sample after the other reads the weights again for each. A layer of one sample
is bound by the weights' way into the registers, a convolution by its multiplications.

Invariant: more samples than one block has go by blocks, which several threads can share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.contract import Contract
from netc.compiler.passes.one_sample import one_sample
from netc.compiler.passes.stacked import stackable
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.tiles import choose_tile
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node

MULTIPLICATIONS: Final = 75.0
"""Of f32 in a nanosecond: three quarters of what two units of 16 lanes do at 3 GHz."""

NEAR: Final = 100.0
"""Bytes in a nanosecond from the second-level cache."""

FAR: Final = 27.0
"""Bytes in a nanosecond from beyond it."""

NEAR_BYTES: Final = 3 << 19
"""Weights up to here stay in the second-level cache from one call to the next."""

IN_TURN: Final = 0.75
"""Multiplications in a nanosecond where no form has vectors: each waits for the one before."""

BLOCK_USE: Final = 0.75
"""The share of `MULTIPLICATIONS` that a single block of samples reaches."""

GROUP_USE: Final = 0.9
"""The share that products of a group reach: the rows of a tile are its samples."""

ALONE_USE: Final = 0.45
"""The share that one sample reaches: rows are rarely whole vectors, and activations weigh more."""

GROUP: Final = 4
"""Samples of a group: 8 save a tenth for each, but what is computed in vain is more."""

FAR_GROUP: Final = 8
"""The same for products whose weights come from afar: 4 take as long, 12 gain little for each."""


CALL: Final = 3000.0
"""Nanoseconds that a call by blocks takes longer: few samples have a shorter way from Python."""


@record
class Ways:
    """Up to `few` samples go one by one, beyond up to `several` in groups of `group`."""

    few: int
    group: int = 0
    several: int = 0


@record
class Costs:
    """Nanoseconds of one sample alone, of one group, of one block, and of a call of blocks."""

    alone: float
    group: float
    block: float
    call: float


def few_samples(graph: Graph, lanes: int) -> Ways:
    """The ways of a graph of inference in which no sample depends on another."""
    contractions = _contractions(graph)
    if not contractions:
        return Ways(lanes // 2)
    windows = any(isinstance(n.op, Contract) and n.op.windows for n in contractions)
    size = FAR_GROUP if _far(graph) and not windows else GROUP
    cost = _costs(graph, lanes, size)
    few = 0
    while few < lanes and _alone(cost, few + 1) <= min(
        _groups(cost, size, few + 1), _blocks(cost, lanes, few + 1)
    ):
        few += 1
    if not stackable(graph):
        return Ways(few)
    several = few
    while several < lanes and _groups(cost, size, several + 1) < _blocks(cost, lanes, several + 1):
        several += 1
    return Ways(few, size, several)


def _alone(cost: Costs, samples: int) -> float:
    return cost.alone * samples


def _groups(cost: Costs, size: int, samples: int) -> float:
    return cost.group * -(-samples // size)


def _blocks(cost: Costs, lanes: int, samples: int) -> float:
    return cost.call + cost.block * -(-samples // lanes)


def _contractions(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes() if isinstance(n.op, Contract) and n.type.batched]


def _weights(node: Node) -> int:
    """Numbers that all samples share."""
    return sum(a.type.size for a in node.args if not a.type.batched)


def _far(graph: Graph) -> bool:
    """Whether the weights have to come from beyond the second-level cache in every call."""
    width = ELEMENT_BYTES[graph.roots[0].type.precision]
    return sum(map(_weights, _contractions(graph))) * width > NEAR_BYTES


def _costs(graph: Graph, lanes: int, size: int) -> Costs:
    alone = group = block = 0.0
    call = CALL
    speed = MULTIPLICATIONS * lanes / 16
    nodes = _contractions(graph)
    single = one_sample(graph).nodes()
    slow = {
        n.op for n in single if isinstance(n.op, Contract) and choose_tile(n, lanes).form == "loops"
    }
    width = ELEMENT_BYTES[graph.roots[0].type.precision]
    far = _far(graph)
    for node in nodes:
        assert isinstance(node.op, Contract)
        reading = _weights(node) * width / (FAR if far else NEAR)
        multiplying = node.op.multiplications(*(a.type for a in node.args)) / speed
        idle = 1.0 if node.op.windows else _whole_vectors(node, lanes)
        use = ALONE_USE if node.op.windows else GROUP_USE
        waiting = multiplying * speed / IN_TURN if node.op in slow else 0.0
        alone += max(reading, idle * multiplying / ALONE_USE) + waiting
        group += max(reading, idle * size * multiplying / use) + size * waiting
        block += lanes * multiplying / BLOCK_USE
        call += reading if far else 0.0
    return Costs(alone, group, block, call)


def _whole_vectors(node: Node, lanes: int) -> float:
    """Lanes along the last axis of a result over those that are in use."""
    last = node.type.shape[-1] if node.type.rank else lanes
    return -(-last // lanes) * lanes / last
