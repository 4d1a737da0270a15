"""Evaluates operations on constants.

    mul (constant{value=2.0}) (constant{value=3.0})  →  constant{value=6.0}

A result is kept only if it is small or one number throughout, so tables never grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.movement import Movement, Pad, Reshape, Transpose
from netc.compiler.ops.reduce import Broadcast
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Iota, Table, constant, table
from netc.compiler.ops.unfold import Fold, Unfold
from netc.compiler.passes.rewrite import rewrite

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.passes.rewrite import Rule

LARGEST_TABLE: Final = 256
LARGEST_OPERAND: Final = 1 << 16


def fold(graph: Graph) -> Graph:
    """The graph with every operation on constants evaluated."""
    return rewrite(graph, FOLDING)


def fold_filled(node: Node) -> Node | None:
    """An op of constants filled with one number each, whatever their size."""
    if not node.args or not all(isinstance(a.op, Constant) for a in node.args):
        return None
    match node.op:
        case Elementwise():
            scalars = [
                constant(a.op.value, (), a.type.precision)
                for a in node.args
                if isinstance(a.op, Constant)
            ]
            (value,) = evaluate([make(node.op, *scalars)], Environment({}))
            return constant(float(value), node.type.shape, node.type.precision)
        case Pad() | Unfold() | Fold():
            return None
        case Movement() if len(set(node.args)) == 1:
            first = node.args[0].op
            if isinstance(first, Constant):
                return constant(first.value, node.type.shape, node.type.precision)
    return None


def fold_small(node: Node) -> Node | None:
    """An op of constants whose result is a small table.

    Elements that are only moved or repeated are found by their index: a larger table costs more.
    """
    if not node.args or node.type.batched or node.type.size > LARGEST_TABLE:
        return None
    if not all(isinstance(a.op, Constant | Table | Iota) for a in node.args):
        return None
    if any(a.type.size > LARGEST_OPERAND for a in node.args):
        return None
    if isinstance(node.op, Reshape | Transpose | Broadcast) and node.type.size > 1:
        (x,) = node.args
        if isinstance(x.op, Iota) or node.type.size > x.type.size:
            return None
    (value,) = evaluate([node], Environment({}))
    return table(np.asarray(value), node.type.precision)


FOLDING: Final[tuple[Rule, ...]] = (fold_filled, fold_small)
