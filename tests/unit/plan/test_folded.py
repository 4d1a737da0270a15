"""Batch normalisation behind a product in inference: one factor and one shift in its epilogue."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from netc.compiler.driver import Program, compile_text
from netc.compiler.ir.graph import toposort
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.scalar import Elementwise
from netc.grammar.source import Source

NETS = {
    "dense": "input x: [12]; y = x |> dense(20) |> batch_norm |> relu",
    "convolution": "input x: [2, 9, 9]; y = x |> conv(6, kernel=3) |> batch_norm |> relu",
    "unnormalised input": "input x: [12]; y = 0.5 * (x |> dense(20) |> batch_norm) - 1 |> relu",
}


def program(body: str, precision: str = "f32") -> Program:
    return compile_text(Source("n.net", f"net N {{ {body}; output y }}"), precision=precision)


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("name", NETS)
def test_one_multiplication_and_one_addition_for_each_element(name: str, precision: str) -> None:
    plan = program(NETS[name], precision).stages("infer").plan
    (product,) = (unit for unit in plan.units if unit.kind == "contract")
    assert [s.node.op.word for s in product.stores] == ["max"]
    known = {s.node for unit in plan.units if unit is not product for s in unit.stores}
    done: Counter[str] = Counter()
    stack = [product.stores[0].node]
    while stack:
        node = stack.pop()
        if node in known or node is product.contraction:
            continue
        if isinstance(node.op, Elementwise):
            done[node.op.word] += 1
        stack.extend(node.args)
    assert done == {"mul": 1, "add": 1, "max": 1}


def test_the_kernel_has_no_more_than_these() -> None:
    """One `mul`, one `add` and one `max` for each vector that is stored."""
    text = program(NETS["dense"]).show("loops", "infer", "contract")
    stores = len(re.findall(r"^ *batch:\w+\[.*\] = ", text, re.MULTILINE))
    assert stores > 0
    for op in ("mul", "add", "max"):
        assert len(re.findall(rf"= {op} ", text)) == stores


def test_factor_and_shift_are_small_and_computed_once() -> None:
    plan = program(NETS["convolution"]).stages("infer").plan
    once = [s.node for u in plan.units for s in u.stores if not s.node.type.batched]
    assert [n.type.shape for n in once] == [(6,), (6,)]
    assert not any(isinstance(n.op, Contract) for n in toposort(once))
