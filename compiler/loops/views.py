"""An operand of a contraction as memory: a buffer, an offset and a stride for each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.loops import Affine
from netc.compiler.ops.movement import Reshape, Slice, Transpose
from netc.compiler.ops.reduce import Broadcast
from netc.compiler.plan.fuse import view_base
from netc.compiler.plan.storage import row_major, storage
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Plan


@record
class View:
    """Strides in elements, one for each letter; `per_block` is 0 for unbatched values."""

    buffer: Buffer
    offset: Affine
    letters: str
    strides: tuple[int, ...]
    per_block: int

    def stride_of(self, letter: str | None) -> int:
        return sum(s for c, s in zip(self.letters, self.strides, strict=True) if c == letter)


def view(plan: Plan, node: Node, letters: str) -> View:
    """The operand `node` of a contraction, following movements that need no copy."""
    base = view_base(node)
    path: list[Node] = []
    while node is not base:
        path.append(node)
        node = node.args[0]
    stored = storage(base.type, plan.lanes)
    strides, offset = stored.strides, 0
    for step in reversed(path):
        match step.op:
            case Transpose(permutation=permutation):
                strides = tuple(strides[p] for p in permutation)
            case Broadcast(axes=axes):
                known = dict(zip(axes, strides, strict=True))
                strides = tuple(known.get(i, 0) for i in range(step.type.rank))
            case Slice(starts=starts):
                offset += sum(s * stride for s, stride in zip(starts, strides, strict=True))
            case Reshape():
                strides = tuple(s * plan.lanes for s in row_major(step.type.shape))
    per_block = stored.elements if base.type.batched else 0
    return View(plan.where[base], Affine(offset), letters, strides, per_block)
