"""A value with a rule for its derivative: what the rule may be, and what stays of it."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make, toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ir.verify import verify
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.custom import Custom, placeholder
from netc.compiler.ops.elementwise import add, div, log, mul, where
from netc.compiler.ops.reader import read
from netc.compiler.ops.reduce import reduce_sum
from netc.compiler.ops.source import constant_like, source
from netc.compiler.ops.text import show
from netc.compiler.passes.pipeline import run

X = source("input", "x", (3,), True, "f64")
W = source("parameter", "w", (3,), False, "f64")
G = placeholder("g", X.type)


def at(root: Node, x: list, w: list | None = None) -> np.ndarray:
    values = {("input", "x"): np.array(x, float), ("parameter", "w"): np.array(w or [0, 0, 0])}
    return evaluate([root], Environment(values, len(x)))[0]


def straight(x: Node) -> Node:
    """The sign, with the cotangent let through where |x| <= 1."""
    inside = make(e.Le(), make(e.Abs(), x), constant_like(1, x))
    return make(Custom(), make(e.Sign(), x), G, x, mul(G, inside))


def test_the_value_is_the_first_operand_and_the_slope_is_the_rule():
    y = straight(X)
    (g,) = gradients(mul(y, 5), [X])
    assert at(y, [[-2, 0.5, 1]]).tolist() == [[-1, 1, 1]]
    assert at(g, [[-2, 0.5, 1]]).tolist() == [[0, 5, 5]]


def test_the_rule_is_differentiated_again():
    rule = make(Custom(), make(e.Sign(), X), G, X, mul(mul(G, X), mul(X, X)))
    (first,) = gradients(mul(rule, W), [X])
    (second,) = gradients(first, [X])
    assert at(first, [[1, 2, 3]], [1, 1, 2]).tolist() == [[1, 8, 54]]
    assert at(second, [[1, 2, 3]], [1, 1, 2]).tolist() == [[3, 12, 54]]


def test_arguments_without_a_batch_get_the_sum():
    value = mul(X, W)
    rule = make(Custom(), value, G, X, W, mul(G, 2), mul(G, X))
    gx, gw = gradients(rule, [X, W])
    assert at(gx, [[1, 2, 3], [4, 5, 6]]).tolist() == [[2, 2, 2]] * 2
    assert at(gw, [[1, 2, 3], [4, 5, 6]]).tolist() == [5, 7, 9]


def test_a_rule_may_use_another():
    inner = placeholder("inner", X.type)
    nested = make(Custom(), mul(G, 2), inner, G, mul(inner, 7))
    rule = make(Custom(), X, G, X, nested)
    (first,) = gradients(mul(rule, W), [X])
    assert at(first, [[1, 1, 1]], [1, 2, 3]).tolist() == [[2, 4, 6]]
    (second,) = gradients(first, [W])
    assert at(second, [[1, 1, 1]], [1, 2, 3]).tolist() == [7, 7, 7]


@pytest.mark.parametrize("slope", [lambda g: mul(g, log(X)), lambda g: mul(log(X), g),
                                   lambda g: div(g, mul(X, 0))])  # fmt: skip
def test_a_branch_not_taken_gives_exactly_zero(slope):
    """Products of the cotangent with infinities in the shadow of a `where`."""
    rule = make(Custom(), X, G, X, slope(G))
    (g,) = gradients(where(make(e.Gt(), X, constant_like(0, X)), rule, 0), [X])
    assert at(g, [[-1, 0, -3]]).tolist() == [[0, 0, 0]]


def test_nothing_of_a_rule_reaches_the_code():
    (graph_root,) = run(Graph("f", (Output("output", "y", add(straight(X), 1)),))).roots
    assert graph_root is add(make(e.Sign(), X), 1)


def test_text_reads_back():
    graph = Graph("f", (Output("output", "y", straight(X)), Output("output", "z", X)))
    verify(graph)
    assert read(show(graph)) == graph


def test_a_cotangent_has_the_shape_of_its_argument():
    total = reduce_sum(X, (0,))
    with pytest.raises(TypeRuleError, match="no cotangent"):
        make(Custom(), X, G, total, G)
    with pytest.raises(TypeRuleError, match="no cotangent"):
        make(Custom(), total, G, X, X)
    with pytest.raises(TypeRuleError, match="3 operands"):
        make(Custom(), X, G, X)


def test_a_placeholder_has_no_value():
    assert np.isnan(at(G, [[1, 2, 3]])).all()
    assert G in toposort([straight(X)])
