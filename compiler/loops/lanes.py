"""How far vectors reach: whether all their live lanes lie in the memory of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.plan.storage import storage

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.loops.loops import Affine
    from netc.compiler.loops.writer import Writer


def leaves(writer: Writer, node: Node, offset: Affine, step: int) -> bool:
    """Whether a live lane may lie outside a node's memory: in the next row it may.

    Lane i is `step` times i elements from the offset.
    """
    ends = [factor * (writer.extents[name] - 1) for name, factor in offset.terms]
    ends.append(step * ((writer.live or writer.lanes) - 1))
    low, high = (offset.constant + sum(pick(end, 0) for end in ends) for pick in (min, max))
    return low < 0 or high >= storage(node.type, writer.lanes).elements
