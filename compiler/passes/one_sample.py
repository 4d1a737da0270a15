"""The graph of one sample: what was one value for each sample of a batch is one value.

    input x : f32[B, 784]  →  input x : f32[784]
    lift %0                →  %0

Lanes are samples where values are batched; without the batch they can run along features and
places, which is what a call with few samples wants. Invariant: sample i of the batched graph is the
new graph on the i-th rows of the inputs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.trail import current_trail
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.gather import Scatter
from netc.compiler.ops.reduce import BatchReduce, Lift
from netc.compiler.ops.source import Random, Source

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node


def has_one_sample(graph: Graph) -> bool:
    """Whether every sample is computed by itself, and only from its own rows of the inputs.

    Random draws are numbered by sample, so a graph with draws needs to know which sample it is.
    """
    nodes = graph.nodes()
    alone = not any(_joins_samples(node) for node in nodes)
    return alone and any(_is_input(node) for node in nodes)


def one_sample(graph: Graph) -> Graph:
    """The graph of one sample, for a graph that has it."""
    new: dict[Node, Node] = {}
    trail = current_trail()
    if trail is not None:
        trail.know(graph.nodes())
    for node in graph.nodes():
        args = tuple(new[a] for a in node.args)
        if isinstance(node.op, Lift):
            new[node] = args[0]
        elif isinstance(node.op, Source) and node.op.batched:
            new[node] = make(replace(node.op, batched=False))
        else:
            new[node] = make(node.op, *args)
        if trail is not None:
            trail.note(new[node], "the batch is left out", node)
    return Graph(graph.name, tuple(Output(o.space, o.name, new[o.node]) for o in graph.outputs))


def of_one_sample(graph: Graph) -> bool:
    """Whether a graph computes one sample: its inputs are without the batch."""
    return any(_is_input(node) and not node.type.batched for node in graph.nodes())


def _is_input(node: Node) -> bool:
    return isinstance(node.op, Source) and node.op.space == "input"


def _joins_samples(node: Node) -> bool:
    """Whether a node depends on other samples, on how many there are, or on its number."""
    match node.op:
        case BatchReduce():
            return True
        case Contract(sum_batch=over) | Scatter(sum_batch=over):
            return over
        case Random(batched=batched):
            return batched
        case Source(space="scalar", name="batch_size"):
            return True
    return False
