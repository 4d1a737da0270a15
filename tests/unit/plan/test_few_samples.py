"""When inference goes sample by sample: which graphs can, and up to how many samples they do."""

from __future__ import annotations

import pytest

from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import add, mul
from netc.compiler.ops.reduce import batch_mean, lift
from netc.compiler.ops.source import Random, source
from netc.compiler.passes.one_sample import has_one_sample, of_one_sample, one_sample
from netc.compiler.plan.few_samples import few_samples

X = source("input", "x", (64,), True, "f32")
P = source("parameter", "p", (64,), False, "f32")


def graph(node: Node) -> Graph:
    return Graph("infer", (Output("output", "y", node),))


def layer(n: int, m: int, spec: str = "k,kn->n") -> Graph:
    x = source("input", "x", (n,), True, "f32")
    w = source("parameter", "w", (n, m) if spec == "k,kn->n" else (m, n), False, "f32")
    return graph(make(Contract(spec), x, w))


def test_the_batch_is_taken_out():
    batched = graph(add(mul(X, lift(P)), X))
    single = one_sample(batched)
    assert has_one_sample(batched)
    assert of_one_sample(single)
    assert not of_one_sample(batched)
    assert not any(node.type.batched for node in single.nodes())
    x = source("input", "x", (64,), False, "f32")
    assert single == graph(add(mul(x, P), x))


@pytest.mark.parametrize(
    "node",
    [
        add(X, lift(batch_mean(X))),
        mul(X, make(Random("draw", (64,), True, "f32"))),
        make(Contract("k,k->"), P, P),
        make(Contract("a,b->ab", sum_batch=True), X, X),
    ],
)
def test_graphs_that_have_no_single_sample(node):
    assert not has_one_sample(graph(node))


def test_weights_beyond_the_cache_are_read_for_fewer_samples():
    small, large = few_samples(layer(256, 256), 16), few_samples(layer(2048, 2048), 16)
    assert 16 >= small > large >= 1
    assert few_samples(graph(add(X, X)), 16) == 8


def test_products_without_vectors_go_by_blocks():
    assert few_samples(layer(64, 256, "k,nk->n"), 16) == 0
