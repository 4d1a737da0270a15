"""Graph nodes from values: constants, NumPy broadcasting made explicit, and the ops by name.

Invariant: every node made here has operands of equal shapes; a constant is broadcast by making it
in the larger shape, anything else by Reshape and Broadcast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ops import movement
from netc.compiler.ops import reduce as reductions
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import ELEMENTWISE
from netc.compiler.ops.reduce import BatchReduce, lift
from netc.compiler.ops.source import Constant, constant, table

if TYPE_CHECKING:
    from netc.compiler.elaborate.values import Known
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.types import Precision
    from netc.compiler.ops.reduce import BatchKind
    from netc.compiler.ops.scalar import Elementwise

OPS: Final[dict[str, type[Elementwise]]] = {op.name: op for op in ELEMENTWISE}


def joint_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's broadcast of shapes of any size; raises ValueError when they do not fit."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    joint = []
    for sizes in zip(*padded, strict=True):
        larger = {size for size in sizes if size != 1}
        if len(larger) > 1:
            raise ValueError(f"sizes {sorted(larger)} meet")
        joint.append(larger.pop() if larger else 1)
    return tuple(joint)


def literal(value: Known, precision: Precision) -> Node:
    """The constant node of a number, a boolean or a nested list of numbers."""
    if isinstance(value, str):
        raise TypeError("a string is no tensor")
    if isinstance(value, tuple):
        return table(np.array(value, np.float64), precision)
    return constant(float(value), (), precision)


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """The same elements in another shape."""
    if isinstance(x.op, Constant):
        return constant(x.op.value, shape, x.type.precision)
    return movement.reshape(x, shape)


def broadcast(x: Node, shape: tuple[int, ...]) -> Node:
    """`x` in a shape that it broadcasts to by NumPy's rule."""
    if isinstance(x.op, Constant):
        return constant(x.op.value, shape, x.type.precision)
    offset = len(shape) - x.type.rank
    kept = tuple(
        offset + axis for axis, size in enumerate(x.type.shape) if size == shape[offset + axis]
    )
    squeezed = movement.reshape(x, tuple(shape[axis] for axis in kept))
    return reductions.broadcast(squeezed, shape, kept)


def elementwise(name: str, *operands: Node) -> Node:
    """The elementwise op `name` of operands that broadcast together."""
    shape = joint_shape(*(x.type.shape for x in operands))
    return make(OPS[name](), *(broadcast(x, shape) for x in operands))


def with_number(name: str, x: Node, value: float) -> Node:
    """The binary op `name` of a node and a number."""
    return elementwise(name, x, constant(value, (), x.type.precision))


def batch_reduce(kind: BatchKind, x: Node) -> Node:
    """One value from all samples; an unbatched operand has the same value for each."""
    return make(BatchReduce(kind), lift(x))


def contract(spec: str, a: Node, b: Node) -> Node:
    return make(Contract(spec), a, b)
