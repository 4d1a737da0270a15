"""What a training step needs in memory, and the least that it could need."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING

from netc.compiler.plan.memory import lifetimes
from netc.compiler.plan.storage import ELEMENT_BYTES

if TYPE_CHECKING:
    from benchmarks.nets import Net
    from netc.compiler.program import Block


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a step of a net: what is allocated, and what must be there at once.

    `live` are the intermediate values of the plan at the kernel where most of them are needed, not
    padded, for the samples of the batch alone.
    """

    net: str
    batch: int
    values: int
    arena: int
    least_values: int
    live: int

    @property
    def total(self) -> int:
        return self.values + self.arena

    @property
    def over(self) -> float:
        """What is allocated over what must be there."""
        return self.total / (self.least_values + self.live)


def memory(net: Net, batch: int) -> Memory:
    """Counts the bytes of a step in f32; without gradients, which it does not store."""
    model = net.compile()
    program, manifest = model._program, model.manifest
    stages = program.stages("step")
    width, lanes = ELEMENT_BYTES[manifest.precision], manifest.lanes
    spec = program.spec("step")
    blocks = (manifest.parameters, manifest.states, manifest.optimizer)
    spans = lifetimes(stages.plan)
    alive = [
        sum(
            buffer.elements * width * (batch / lanes if buffer.region == "batch" else 1)
            for buffer, (first, last) in spans.items()
            if first <= number <= last
        )
        for number in range(len(stages.plan.units))
    ]
    return Memory(
        net.name,
        batch,
        sum(block.size for block in blocks),
        spec.fixed + spec.per_block * ceil(batch / lanes),
        sum(_bytes(block, width) for block in blocks),
        round(max(alive)),
    )


def _bytes(block: Block, width: int) -> int:
    return sum(width * prod(value.shape) for value in block.values)
