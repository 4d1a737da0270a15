"""The graph IR's operations, each whole in one place: type rule, meaning, derivative, samples.

The forms are `Elementwise`, `Reduce` and `BatchReduce` (with `Lift`), `Movement`, `Contract` and
the sources. A new op is one class and one entry in `OPS`; lowering knows forms, not ops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import ELEMENTWISE
from netc.compiler.ops.movement import Concat, Pad, Reshape, Reverse, Slice, Transpose
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Lift, Reduce
from netc.compiler.ops.source import Constant, Iota, Random, Source, Table

if TYPE_CHECKING:
    from netc.compiler.ir.op import Op

OPS: Final[tuple[type[Op], ...]] = (
    *ELEMENTWISE,
    *(Reduce, BatchReduce, Lift),
    *(Reshape, Transpose, Broadcast, Slice, Pad, Concat, Reverse),
    Contract,
    *(Source, Constant, Table, Iota, Random),
)
