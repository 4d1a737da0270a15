"""The elementwise operations as vector code of our own: one formula for all widths of a target.

Invariants: a scalar and a lane of any vector yield the same bits; only correctly rounded operations
are used (estimates are refined until they are), so results differ between targets only through
fused arithmetic and the tables of AVX-512; results below the smallest normal number may be 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.backend.math import (
    basic,
    error_function,
    exponential,
    logarithm,
    power,
    trigonometric,
)
from netc.compiler.backend.math.basic import as_float, as_mask
from netc.compiler.backend.math.lanes import reduce_add, reduce_max, reduce_min, reduce_mul

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.backend.builder import Value

__all__ = [
    "MATH",
    "as_float",
    "as_mask",
    "reduce_add",
    "reduce_max",
    "reduce_min",
    "reduce_mul",
]

MATH: Final[dict[str, Callable[..., Value]]] = {
    "add": basic.add,
    "sub": basic.sub,
    "mul": basic.mul,
    "div": basic.div,
    "neg": basic.neg,
    "pow": power.power,
    "max": basic.maximum,
    "min": basic.minimum,
    "exp": exponential.exp,
    "log": logarithm.log,
    "log1p": logarithm.log1p,
    "expm1": exponential.expm1,
    "sqrt": basic.sqrt,
    "rsqrt": basic.rsqrt,
    "abs": basic.absolute,
    "sign": basic.sign,
    "floor": basic.floor,
    "ceil": basic.ceil,
    "round": basic.round_half_even,
    "sin": trigonometric.sin,
    "cos": trigonometric.cos,
    "tanh": exponential.tanh,
    "sigmoid": exponential.sigmoid,
    "erf": error_function.erf,
    "erfinv": error_function.erfinv,
    "where": basic.where,
    "isnan": basic.isnan,
    "lt": basic.less,
    "le": basic.less_equal,
    "gt": basic.greater,
    "ge": basic.greater_equal,
    "eq": basic.equal,
    "ne": basic.not_equal,
    "and": basic.logical_and,
    "or": basic.logical_or,
    "not": basic.logical_not,
    "absorb": basic.absorb,
}
"""What each elementwise op emits: `MATH[name](builder, *operands)`."""
