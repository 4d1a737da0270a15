"""The numbers behind fusion: what recomputing a value costs against storing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.ops.reduce import Reduce
from netc.compiler.ops.scalar import Elementwise
from netc.compiler.ops.source import Constant, Random

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node

_OPERATIONS: Final = {
    "div": 4, "sqrt": 4, "rsqrt": 8, "exp": 20, "log": 24, "log1p": 24, "expm1": 24, "sin": 24,
    "cos": 24, "tanh": 30, "sigmoid": 28, "erf": 30, "erfinv": 40, "pow": 60,
}  # fmt: skip
"""Vector instructions of the ops that take more than one."""

DRAW: Final = 120
"""Vector instructions of one random draw."""

WRITE: Final = 16
"""Instructions in the time that a vector takes to the third cache: its line is read and written."""

READ: Final = 8
"""The same for reading one."""

STORE_WHEN_SHARED: Final = 4
"""A value without a batch that several use is stored if it takes so many instructions or more."""

CHANNEL_PLACES: Final = 16
"""Elements of a channel from which on channels are normalised one by one: shorter loops cost."""

FEWEST_CHANNELS: Final = 4
"""So many channels can be shared out among threads."""

FEW_TAPS: Final = 9
"""So many taps are written one after the other: a loop costs as much as what it would do."""

STORE_WHEN_REPEATED: Final = 2
"""The same for a value that a broadcast would recompute for every repetition."""

STORE_WHEN_SAME: Final = 1
"""The same for a value without a batch that an elementwise op would recompute for each sample."""

STORE_ALWAYS: Final = 400
"""Bounds the code of one expression."""

KERNEL_STORES: Final = 32
"""Bounds the code of one kernel: LLVM takes more than linear time for a long function."""

SHARED_WORK: Final = 3000
"""Nanoseconds of work of a phase, or of one kernel in it, that are worth meeting for."""

USUAL_BLOCKS: Final = 8
"""Blocks of samples for which the work of phases is estimated."""

CHUNK_BYTES: Final = 1 << 20
"""Half of the second-level cache: what the kernels of a phase touch for one chunk of blocks."""

LEAST_CHUNK: Final = 4
"""Blocks at once that fill the widest tiles of a product; chunks are multiples of it."""

STREAMED_WEIGHTS: Final = 1 << 18
"""Weights of half of the second-level cache are read once for all samples, not for each chunk."""

STORE_DEPTH: Final = 100
"""Bounds the nesting of one expression: a sum of a thousand terms is written without recursion."""


def worth_storing(cost: int, reads: float, uses: int) -> bool:
    """Whether a batched value is written once and read again, not computed for each use.

    `cost` is in instructions; `reads` counts the vectors that computing one of its vectors reads.
    """
    again = uses - 1
    return again * (cost + READ * reads) > WRITE + READ * again


def taps(node: Node) -> int:
    """How many elements a reduction takes; 1 for anything else."""
    return node.args[0].type.size // max(node.type.size, 1) if isinstance(node.op, Reduce) else 1


def chunk(block_bytes: int) -> int:
    """Blocks of samples at once, when each brings so many bytes into the cache."""
    return max(CHUNK_BYTES // max(block_bytes, 1) // LEAST_CHUNK, 1) * LEAST_CHUNK


def own_cost(node: Node) -> int:
    """Vector instructions of one node, its arguments not counted."""
    match node.op:
        case Reduce(kind=kind):
            return taps(node) * (5 if kind in ("argmax", "argmin") else 1)
        case Elementwise() as op:
            return _OPERATIONS.get(op.name, 1)
        case Random():
            return DRAW
        case Constant():
            return 0
    return 0
