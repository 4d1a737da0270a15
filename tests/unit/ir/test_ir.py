"""Interning, traversal, substitution, verification and the text form of graphs."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.ir.graph import Graph, Output, make, substitute, toposort
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ir.verify import InvalidGraph, verify
from netc.compiler.ops.contract import Contract, contract
from netc.compiler.ops.elementwise import Add, add, exp, mul
from netc.compiler.ops.movement import Concat, Reshape, Slice
from netc.compiler.ops.reader import TextError, read
from netc.compiler.ops.reduce import Broadcast, Lift, Reduce
from netc.compiler.ops.source import Source, constant, source, table
from netc.compiler.ops.text import show

X = source("input", "x", (3,), True, "f32")
W = source("parameter", "w", (3, 4), False, "f32")


def test_equal_nodes_are_one():
    assert add(X, 1) is add(X, 1)
    assert mul(X, 1) is not add(X, 1)


def test_a_deep_chain_is_walked_and_shown_without_recursion():
    node = X
    for _ in range(5000):
        node = exp(node)
    graph = Graph("deep", (Output("output", "y", node),))
    assert len(graph.nodes()) == 5001
    assert read(show(graph)) == graph
    assert substitute([node], {X: add(X, 1)})[0] is not node


def test_a_substitute_is_not_searched_again():
    (new,) = substitute([exp(X)], {X: add(X, 1)})
    assert new is exp(add(X, 1))


@pytest.mark.parametrize(
    ("op", "args", "message"),
    [
        (Add(), (X, W), r"f32\[B, 3\] and f32\[3, 4\]"),
        (Reshape((5,)), (W,), r"f32\[3, 4\] to \[5\]"),
        (Slice((0, 0), (3, 5)), (W,), r"\[3, 5\] of f32\[3, 4\]"),
        (Concat(0), (X, W), r"f32\[B, 3\] and f32\[3, 4\]"),
        (Reduce("sum", (1,)), (X,), r"axes \[1\] of f32\[B, 3\]"),
        (Broadcast((4, 3), (0,)), (X,), r"f32\[B, 3\] to f32\[B, 4, 3\]"),
        (Contract("k,nk->n"), (X, W), "k is both 3 and 4"),
        (Contract("kn,k->n"), (X, W), "the ranks differ"),
        (Contract("i,jk->i"), (X, W), "in two parts"),
        (Contract("i,ij->j", sum_batch=True), (X, W), r"f32\[B, 3\] and f32\[3, 4\]"),
        (Lift(), (X,), "batched already"),
    ],
)
def test_operands_that_do_not_fit_are_named(op, args, message):
    with pytest.raises(TypeRuleError, match=message):
        make(op, *args)


def test_lone_letters_are_summed_first():
    node = contract("i,jk->i", X, W)
    assert node.type == TensorType((3,), True, "f32")
    assert {type(n.op) for n in toposort([node])} == {Source, Reduce, Contract}


def test_verify_refuses_what_a_runtime_cannot_store():
    verify(Graph("f", (Output("output", "y", X), Output("parameter", "w", W))))
    for outputs in (
        (Output("parameter", "w", X),),
        (Output("result", "loss", W),),
        (Output("input", "x", X),),
        (Output("output", "y", X), Output("output", "y", W)),
        (Output("output", "y", X), Output("output", "z", constant(1, (), "f64"))),
    ):
        with pytest.raises(InvalidGraph):
            verify(Graph("f", outputs))


def test_interpret_names_the_results():
    graph = Graph(
        "f", (Output("output", "y", add(X, 1)), Output("result", "r", constant(2, (), "f32")))
    )
    found = interpret(graph, Environment({("input", "x"): np.zeros((2, 3))}, 2))
    assert found["output", "y"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert found["output", "y"].dtype == np.float32
    assert found["result", "r"] == 2


def test_text_of_a_graph():
    odd = source("input", 'it\'s "a" # name}', (), False, "f32")
    rows = table(np.array([0.1, np.inf, -np.inf, np.nan, -0.0]), "f32")
    outputs = (Output("output", "a name", mul(X, 0.1)), Output("output", "t", rows),
               Output("output", "o", odd))  # fmt: skip
    graph = Graph("f", outputs)
    text = show(graph, {mul(X, 0.1): "net.net:7"})
    assert "%2 = mul %0 %1 : f32[B, 3]  # net.net:7\n" in text
    assert "constant{value=0.1} : f32[3]" in text
    assert "table{values=(0.1, inf, -inf, nan, -0.0)} : f32[5]" in text
    assert read(text) == graph


@pytest.mark.parametrize(
    "line",
    [
        "%1 = nothing %0 : f32[B, 3]",
        "%1 = exp %5 : f32[B, 3]",
        "%1 = exp %0 : f32[B, 4]",
        "%1 = exp %0",
        "%1 = reshape{shap=(3,)} %0 : f32[B, 3]",
        "return nowhere 'y' %0",
    ],
)
def test_a_wrong_line_is_named(line: str):
    text = f"graph f\n%0 = source{{space='input', name='x'}} : f32[B, 3]\n{line}\n"
    with pytest.raises(TextError, match="line 3"):
        read(text)
