"""The graph IR's operations, each whole in one place: type rule, meaning, derivative, samples.

The forms are `Elementwise`, `Reduce` and `BatchReduce` (with `Lift`), `Movement`, `Contract`,
`Gather` with its transpose `Scatter`, and the sources. A new op is one class and one entry in
`OPS`; lowering knows forms, not ops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.contract import Contract
from netc.compiler.ops.custom import Custom
from netc.compiler.ops.elementwise import ELEMENTWISE
from netc.compiler.ops.gather import Gather, Scatter
from netc.compiler.ops.movement import Concat, Pad, Reshape, Reverse, Slice, Transpose
from netc.compiler.ops.orthonormal import Orthonormalise
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Lift, Reduce
from netc.compiler.ops.source import Constant, Iota, Random, Source, Table
from netc.compiler.ops.unfold import Fold, Unfold

if TYPE_CHECKING:
    from netc.compiler.ir.op import Op

OPS: Final[tuple[type[Op], ...]] = (
    *ELEMENTWISE,
    *(Reduce, BatchReduce, Lift),
    *(Reshape, Transpose, Broadcast, Slice, Pad, Concat, Reverse),
    *(Unfold, Fold),
    *(Contract, Gather, Scatter),
    *(Source, Constant, Table, Iota, Random),
    *(Orthonormalise, Custom),
)
