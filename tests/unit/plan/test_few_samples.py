"""When inference goes sample by sample: which graphs can, and up to how many samples they do."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import add, mul
from netc.compiler.ops.reduce import batch_mean, lift
from netc.compiler.ops.source import Random, source
from netc.compiler.passes.one_sample import has_one_sample, of_one_sample, one_sample
from netc.compiler.passes.several_samples import several_samples
from netc.compiler.passes.stacked import stackable
from netc.compiler.plan.few_samples import few_samples
from netc.compiler.program import InferenceSpec

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


def test_weights_beyond_the_cache_are_read_for_more_samples_at_once():
    small, large = few_samples(layer(256, 256), 16), few_samples(layer(2048, 2048), 16)
    assert small.few >= large.few >= 1
    assert (small.group, large.group) == (4, 8)
    assert small.several == large.several == 16
    wide = few_samples(layer(256, 256), 8)
    assert wide.several == 8
    assert few_samples(graph(add(X, X)), 16).few == 8


def test_products_without_vectors_go_by_blocks():
    found = few_samples(layer(64, 256, "k,nk->n"), 16)
    assert found.few == found.several == 0


def test_what_wastes_most_lanes_goes_by_blocks():
    found = few_samples(layer(2000, 2), 16)
    assert found.few <= found.several < 16
    assert few_samples(layer(2, 2), 16).several == 16  # nothing but the call counts


def test_rows_of_a_group_are_samples():
    batched = graph(add(make(Contract("k,k->"), X, X), make(Contract("k,k->"), X, lift(P))))
    several = several_samples(one_sample(batched), 3)
    assert [o.node.type.shape for o in several.outputs] == [(3,)]
    rows = np.random.default_rng(0).normal(size=(3, 64))
    p = np.arange(64.0)
    values = {("input", "x"): rows, ("parameter", "p"): p}
    (found,) = interpret(several, Environment(values, 1)).values()
    np.testing.assert_allclose(found, (rows * rows).sum(1) + rows @ p, rtol=1e-4)
    assert stackable(batched)
    letters = "abcdefghijklmnopqrstuvwxyz"
    ones = source("input", "x", (1,) * 13, True, "f32")
    full = make(Contract(f"{letters[:13]},{letters[13:]}->{letters}"), ones, ones)
    assert not stackable(graph(full))
    assert few_samples(graph(full), 16).several == 0


def test_the_function_for_a_number_of_samples():
    spec = InferenceSpec(few=2, group=8, several=20)
    names = [spec.function(n) for n in (1, 2, 3, 20, 21)]
    assert names == ["infer_one"] * 2 + ["infer_group"] * 2 + ["infer"]
