"""The plan of a function: which values are stored, by which kernels, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.ir.graph import Graph, Node, Output, Space
    from netc.compiler.plan.phases import Phase

Region: TypeAlias = "Literal['batch', 'fixed'] | Space"
"""Where a buffer lies: in the arena (`batch`: sized by blocks of samples), in a persistent block,
or with the caller (rows of samples; double-precision results).
"""


@record(eq=False)
class Buffer:
    """Memory for one value. `elements` count for each block in the region `batch`."""

    name: str
    region: Region
    elements: int


@record(eq=False)
class Store:
    """A value that is computed into memory, and the stored values and sources it reads.

    `reads` are read at this store's own index only; `scans` at other indices as well.
    """

    node: Node
    buffer: Buffer
    reads: frozenset[Node]
    scans: frozenset[Node]


@record(eq=False)
class Unit:
    """One kernel.

    pack: caller's rows → blocks. nests: stores, one loop nest after the other, under one loop over
    blocks when batched. contract: a contraction with elementwise stores as epilogue. panel: the
    operand of a contraction, transposed for it. channels: stores, all of one channel (an index of
    the first axis) before those of the next, with loops over all blocks inside.
    copy: a deferred in-place result. unpack: blocks → caller's rows. results: numbers for the
    caller. `at_once`: a product of weights too large for the cache is shared out by their rows, and
    takes so many blocks of samples at a time; 0 for all others.
    """

    kind: Literal["pack", "nests", "contract", "channels", "panel", "copy", "unpack", "results"]
    stores: tuple[Store, ...] = ()
    contraction: Node | None = None
    panel: Buffer | None = None
    outputs: tuple[Output, ...] = ()
    copy_to: Buffer | None = None
    at_once: int = 0

    @property
    def per_block(self) -> bool:
        """Whether it does a range of blocks of samples, each block by itself."""
        if self.at_once:
            return False
        nodes = [s.node for s in self.stores[:1]] + [o.node for o in self.outputs[:1]]
        if self.kind in ("copy", "channels"):
            return False
        return self.kind == "panel" or nodes[0].type.batched


@record
class Plan:
    """Kernels in order. `where` maps every stored node (sources included) to its buffer.

    `phases` are the same kernels in the same order.
    """

    graph: Graph
    lanes: int
    units: tuple[Unit, ...]
    where: Mapping[Node, Buffer]
    phases: tuple[Phase, ...]


@record
class Memory:
    """Arena offsets in bytes: `fixed` absolute, `batch` for each block of samples."""

    offsets: Mapping[Buffer, int]
    fixed: int
    per_block: int
