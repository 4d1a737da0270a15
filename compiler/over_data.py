"""Values over the whole training data: graphs with batch reductions, evaluated chunk by chunk.

Invariant: everything is computed in f64; memory is bounded by a chunk, whatever the data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.ir.graph import make, substitute, toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.reduce import BatchReduce
from netc.compiler.ops.source import (
    Constant,
    Iota,
    Random,
    Source,
    Table,
    dtype,
    source,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Graph, Node, Space
    from netc.compiler.ir.op import Array
    from netc.compiler.ir.types import Precision

CHUNK: Final = 1024


def over_data(
    graph: Graph, precision: Precision, data: Mapping[str, Array], samples: int
) -> dict[tuple[Space, str], Array]:
    """The results of a graph by space and name, from the arrays of all inputs and targets."""
    values = over_samples(graph.roots, data, samples)
    kind = dtype(precision)
    pairs = zip(graph.outputs, values, strict=True)
    return {(o.space, o.name): value.astype(kind) for o, value in pairs}


def over_samples(
    roots: Sequence[Node], data: Mapping[str, Array], samples: int, chunk: int = CHUNK
) -> list[Array]:
    """The values of unbatched graphs over all samples.

    Level by level: the batch reductions that stand on no other are combined from chunks, then they
    are known values for the next level.
    """
    values: dict[tuple[Space, str], Array] = {
        ("scalar", "batch_size"): np.asarray(samples, np.float64)
    }
    nodes = in_precision(roots, "f64")
    while ready := _lowest(nodes):
        totals = _combined(ready, values, data, samples, chunk)
        known = {}
        for node, total in zip(ready, totals, strict=True):
            name = f"#{len(values)}"  # no name of a text
            values["state", name] = total
            known[node] = source("state", name, node.type.shape, False, "f64")
        nodes = substitute(nodes, known)
    return evaluate(nodes, Environment(values, samples))


def _lowest(roots: Sequence[Node]) -> list[Node]:
    """The batch reductions whose operands contain none."""
    above: set[Node] = set()
    found = []
    for node in toposort(roots):
        reduces = isinstance(node.op, BatchReduce)
        if any(a in above for a in node.args):
            above.add(node)
        elif reduces:
            above.add(node)
            found.append(node)
    return found


def _combined(
    reductions: Sequence[Node],
    values: Mapping[tuple[Space, str], Array],
    data: Mapping[str, Array],
    samples: int,
    chunk: int,
) -> list[Array]:
    """Batch reductions over all samples, from those over chunks."""
    totals: list[Array] = []
    for start in range(0, samples, chunk):
        rows = slice(start, min(start + chunk, samples))
        here: dict[tuple[Space, str], Array] = {
            ("input", name): np.asarray(array[rows], np.float64) for name, array in data.items()
        }
        env = Environment({**values, **here}, rows.stop - rows.start)
        parts = evaluate(reductions, env)
        pairs = zip(reductions, totals or parts, parts, strict=True)
        totals = [_joined(n, a, b) for n, a, b in pairs] if totals else parts
    return totals


def _joined(node: Node, a: Array, b: Array) -> Array:
    assert isinstance(node.op, BatchReduce)
    return np.asarray(a + b if node.op.kind == "sum" else np.maximum(a, b))


def in_precision(roots: Sequence[Node], precision: Precision) -> list[Node]:
    """The same graphs in a precision; in a wider one constants keep the values that they have."""
    new: dict[Node, Node] = {}
    for node in toposort(roots):
        op = node.op
        if isinstance(op, Source | Constant | Table | Iota | Random):
            op = replace(op, precision=precision)
        new[node] = make(op, *(new[a] for a in node.args))
    return [new[root] for root in roots]
