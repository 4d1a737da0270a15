"""Chains of factors and shifts behind products: what they become, and where they stay."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.elementwise import add, div, mul, neg, sub
from netc.compiler.ops.reduce import broadcast
from netc.compiler.ops.source import Source, constant, source
from netc.compiler.passes.affine import affine, step

SHAPE = (3, 4)
X = source("input", "x", (3,), True, "f64")
U = source("input", "u", SHAPE, True, "f64")
W = source("parameter", "w", SHAPE, False, "f64")
Z = make(Contract("a,ab->ab"), X, W)
P, Q = (source("parameter", n, (3,), False, "f64") for n in "pq")
S = source("scalar", "s", (), False, "f64")


def vector(name: str) -> Node:
    return source("parameter", name, (4,), False, "f64")


def rows(x: Node) -> Node:
    return broadcast(x, SHAPE, (0,))


def columns(x: Node) -> Node:
    return broadcast(x, SHAPE, (1,))


def everywhere(x: Node) -> Node:
    return broadcast(x, SHAPE, ())


def number(value: float) -> Node:
    return constant(value, (3,), "f64")


def after(*results: Node) -> tuple[Node, ...]:
    return affine(
        Graph("f", tuple(Output("output", f"y{i}", r) for i, r in enumerate(results)))
    ).roots


SHORTER = {
    "bias and batch norm": (
        add(mul(sub(add(Z, rows(P)), rows(Q)), rows(P)), rows(Q)),
        add(mul(Z, rows(P)), rows(add(mul(sub(P, Q), P), Q))),
    ),
    "two shifts": (sub(add(Z, rows(P)), rows(Q)), add(Z, rows(sub(P, Q)))),
    "two factors": (mul(mul(Z, rows(P)), rows(Q)), mul(Z, rows(mul(P, Q)))),
    "a quotient": (div(mul(Z, rows(P)), rows(Q)), mul(Z, rows(div(P, Q)))),
    "turned round": (sub(rows(P), add(Z, rows(Q))), sub(rows(add(neg(Q), P)), Z)),
    "a number among them": (
        mul(mul(Z, rows(P)), constant(2, SHAPE, "f64")),
        mul(Z, rows(mul(P, number(2)))),
    ),
    "axes joined": (
        add(add(Z, rows(P)), columns(vector("v"))),
        add(Z, add(rows(P), columns(vector("v")))),
    ),
    "one number for all": (
        mul(mul(Z, rows(P)), everywhere(S)),
        mul(Z, rows(mul(P, broadcast(S, (3,), ())))),
    ),
}


@pytest.mark.parametrize("name", SHORTER)
def test_chains_become_one_factor_and_one_shift(name: str) -> None:
    before, expected = SHORTER[name]
    assert after(before) == (expected,)


LEFT = {
    "one factor and one shift": mul(add(Z, rows(P)), rows(Q)),
    "no product: an input is exact, and so is its difference": mul(
        mul(sub(U, rows(P)), rows(Q)), rows(P)
    ),
    "a batched shift between them": add(add(add(Z, rows(P)), U), rows(Q)),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_stays(name: str) -> None:
    assert after(LEFT[name]) == (LEFT[name],)


def test_a_value_that_others_use_is_kept() -> None:
    biased = add(Z, rows(P))
    normed = mul(sub(biased, rows(Q)), rows(P))
    assert after(normed, biased) == (normed, biased)


def drawn(random: np.random.Generator) -> Node:
    """A chain of up to seven steps on the product, or on its first steps."""
    operands = [rows(P), rows(Q), columns(vector("v")), everywhere(S), W, constant(3, SHAPE, "f64")]
    value = Z
    for _ in range(random.integers(1, 8)):
        by = operands[random.integers(len(operands))]
        match random.integers(6):
            case 0:
                value = add(value, by)
            case 1:
                value = sub(value, by)
            case 2:
                value = sub(by, value)
            case 3:
                value = mul(by, value)
            case 4:
                value = div(value, by)
            case _:
                value = neg(value)
    return value


def length(node: Node) -> int:
    found = step(node)
    return 0 if found is None else 1 + length(found.value)


@pytest.mark.parametrize("seed", range(40))
def test_random_chains_keep_their_value_in_two_steps(seed: int) -> None:
    random = np.random.default_rng(seed)
    before = drawn(random)
    (found,) = after(before)
    assert length(found) <= min(2, length(before))
    assert after(found) == (found,)
    sources = [X, W, P, Q, vector("v"), S]
    values = {}
    for node in sources:
        assert isinstance(node.op, Source)
        shape = (5,) * node.type.batched + node.type.shape
        sign = random.choice([-1, 1], shape)
        values[node.op.space, node.op.name] = sign * random.uniform(0.5, 2, shape)
    one, two = evaluate([before, found], Environment(values, batch=5))
    np.testing.assert_allclose(two, one, rtol=1e-10, atol=1e-10 * np.abs(one).max())
