"""What becomes one kernel: counted, never timed."""

from __future__ import annotations

from collections import Counter

import pytest

from netc.compiler.driver import compile_text
from netc.compiler.ops.contract import Contract
from netc.grammar.source import Source

MLP = """net Mlp {
  input x: [20]
  target t: class[5]
  h = x |> dense(30, act=tanh)
  logits = h |> dense(5)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
}
train { optimizer = OPTIMIZER }
"""
WEIGHTS = {"h.dense.W": (20, 30), "logits.dense.W": (30, 5)}


def stages(function: str, optimizer: str = "adam()"):
    text = MLP.replace("OPTIMIZER", optimizer)
    return compile_text(Source("mlp.net", text)).stages(function)


def stored(plan):
    return {s.node: s.buffer for unit in plan.units for s in unit.stores}


def products(plan):
    return [n for n in plan.graph.nodes() if isinstance(n.op, Contract)]


@pytest.mark.parametrize("function", ["infer", "forward", "backward", "step"])
def test_one_kernel_for_each_product(function):
    plan = stages(function).plan
    kernels = [unit.contraction for unit in plan.units if unit.kind == "contract"]
    assert sorted(map(id, kernels)) == sorted(map(id, products(plan)))
    assert len(kernels) == {"infer": 2, "forward": 2, "backward": 5, "step": 5}[function]


def test_bias_and_activation_are_computed_on_the_products_tile():
    plan = stages("infer").plan
    hidden, _ = (unit for unit in plan.units if unit.kind == "contract")
    assert [s.node.op.word for s in hidden.stores][-1:] == ["tanh"]
    assert hidden.contraction not in stored(plan)


def test_derivative_of_the_activation_joins_the_backward_product():
    plan = stages("backward").plan
    shapes = [u.stores[0].node for u in plan.units if u.kind == "contract"]
    (back,) = (n for n in shapes if n.type.batched and n.type.shape == (30,) and n.op.word == "mul")
    assert back not in products(plan)


@pytest.mark.parametrize("optimizer", ["sgd()", "momentum()", "nesterov()", "adam()", "rmsprop()"])
def test_the_optimizer_runs_on_the_gradients_tile(optimizer):
    """In a step no gradient of a weight is ever in memory, and weights are written in place."""
    plan = stages("step", optimizer).plan
    places = stored(plan)
    gradients = [n for n in products(plan) if n.op.sum_batch]
    assert len(gradients) == 2
    assert not any(g in places for g in gradients)
    for name, shape in WEIGHTS.items():
        shaped = [b for n, b in places.items() if n.type.shape == shape and not n.type.batched]
        assert {b.region for b in shaped} <= {"parameter", "optimizer"}
        (unit,) = (u for u in plan.units for s in u.stores if s.buffer.name == name)
        assert unit.kind == "contract"
    assert not any(unit.kind == "copy" for unit in plan.units)


def test_backward_stores_the_gradients():
    places = stored(stages("backward").plan)
    regions = Counter(b.region for b in places.values() if b.region not in ("batch", "fixed"))
    assert regions == {"gradient": 4}


def test_softmax_and_cross_entropy_forward_and_backward_are_one_kernel():
    """Between the logits' product and the first backward product there is one loop over blocks."""
    plan = stages("step").plan
    kinds = [unit.kind for unit in plan.units]
    contracts = [i for i, kind in enumerate(kinds) if kind == "contract"]
    between = plan.units[contracts[1] + 1 : contracts[2]]
    assert [unit.kind for unit in between if unit.stores[0].node.type.batched] == ["nests"]


def test_equal_layers_share_one_kernel():
    layers = "\n".join(f"  h{i} = h{i - 1} |> dense(20, act=tanh)" for i in range(1, 9))
    text = (
        f"net Deep {{\n  input x: [20]\n  h0 = x |> dense(20, act=tanh)\n{layers}\n  output h8\n}}"
    )
    compiled = compile_text(Source("deep.net", text)).stages("infer")
    calls = [launch for launch in compiled.launches if launch.unit.kind == "contract"]
    assert len(calls) == 9
    assert len({id(launch.kernel) for launch in calls}) == 1


def test_what_is_cheap_is_computed_again():
    """x + 1 has two users and no memory."""
    text = """net Cheap {
      input x: [20]
      y = x + 1
      output a = tanh(y)
      output b = exp(y)
    }"""
    plan = compile_text(Source("cheap.net", text)).stages("infer").plan
    assert sorted(n.op.word for n in stored(plan)) == ["exp", "source", "tanh"]
