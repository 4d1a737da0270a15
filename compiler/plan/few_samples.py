"""Up to how many samples one at a time beats whole blocks of samples.

Both ways do the same multiplications, but a block does those of all its lanes, and one sample after
the other reads the weights again for each. A layer of one sample is bound by the weights' way into
the registers, a convolution by its multiplications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.contract import Contract
from netc.compiler.passes.one_sample import one_sample
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.tiles import choose_tile

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph

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

ALONE_USE: Final = 0.45
"""The share that one sample reaches: rows are rarely whole vectors, and activations weigh more."""


def few_samples(graph: Graph, lanes: int) -> int:
    """The most samples for which computing one after the other is faster than one block of them."""
    alone = block = 0.0
    speed = MULTIPLICATIONS * lanes / 16
    nodes = [n for n in graph.nodes() if isinstance(n.op, Contract) and n.type.batched]
    weights = [sum(a.type.size for a in n.args if not a.type.batched) for n in nodes]
    single = one_sample(graph).nodes()
    slow = {
        n.op for n in single if isinstance(n.op, Contract) and choose_tile(n, lanes).form == "loops"
    }
    width = ELEMENT_BYTES[graph.roots[0].type.precision]
    far = sum(weights) * width > NEAR_BYTES
    for node, elements in zip(nodes, weights, strict=True):
        assert isinstance(node.op, Contract)
        reading = elements * width / (FAR if far else NEAR)
        multiplying = node.op.multiplications(*(a.type for a in node.args)) / speed
        alone += max(reading, multiplying / ALONE_USE)
        if node.op in slow:
            alone += multiplying * speed / IN_TURN
        block += lanes * multiplying / BLOCK_USE + (reading if far else 0.0)
    if not alone:
        return lanes // 2
    return min(int(block / alone), lanes)
