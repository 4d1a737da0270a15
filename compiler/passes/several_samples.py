"""The graph of several samples at once: a leading axis in the place of the batch.

    input x : f32[784]     →  input x : f32[8, 784]
    contract k,kn->n %0 W  →  contract ak,kn->an %0 W

Lanes run along features as for one sample, and what is read once serves all samples: the weights.
Invariant: row i of an output is the output of the graph of one sample on row i of the inputs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ops.source import Source
from netc.compiler.passes.stacked import stacked_from

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node


def several_samples(graph: Graph, count: int) -> Graph:
    """The graph of `count` samples, from the graph of one that is `stackable`."""
    given: dict[Node, Node] = {}
    for node in graph.nodes():
        if isinstance(node.op, Source) and node.op.space == "input":
            given[node] = make(replace(node.op, shape=(count, *node.op.shape)))
    roots = stacked_from(graph.roots, given, count)
    pairs = zip(graph.outputs, roots, strict=True)
    return Graph(graph.name, tuple(Output(o.space, o.name, root) for o, root in pairs))
