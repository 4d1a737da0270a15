"""Orthonormal rows or columns: an op of initial values, which only the interpreter evaluates.

Invariant: it is in no graph that is compiled, and therefore not in `OPS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.ir.op import Op
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ops.source import dtype
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Sample, Times
    from netc.compiler.ir.types import TensorType


@record
class Orthonormalise(Op):
    """Orthonormal columns of x [m, n], m >= n, or rows if m < n; axes after the first are one.

    Q of the decomposition x = Q R (Householder, in f64), with the signs for which the diagonal of R
    is positive: so it is unique, and of normal numbers it is uniform over the orthogonal matrices
    (Mezzadri 2007). Initial values have no derivative, so this op has none.
    """

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return ()

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.batched or x.rank < 2:
            raise TypeRuleError(f"orthonormalise of {x}: not an unbatched matrix")
        return x

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        matrix = np.asarray(args[0], np.float64).reshape(node.type.shape[0], -1)
        wide = matrix.shape[0] < matrix.shape[1]
        q, r = np.linalg.qr(matrix.T if wide else matrix)
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return np.asarray((q.T if wide else q).reshape(node.type.shape), dtype(node.type.precision))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (None,)
