"""In which order kernels come, as far as memory depends on it."""

from __future__ import annotations

from netc.compiler.driver import compile_text
from netc.compiler.ops.contract import Contract
from netc.compiler.plan.memory import lifetimes
from netc.grammar.source import Source

NET = """net Deep {{
  input x: [4, 8, 8]
  target t: [3]
  h = x {layers}
  y = h |> flatten |> dense(3)
  output y
  loss sum((y - t)^2)
}}
train {{ optimizer = sgd() }}
"""
NORMAL = "|> conv(4, 3, padding=1) |> batch_norm |> relu "
PLAIN = "|> conv(4, 3, padding=1, act=relu) "


def plan_of(layers: str):
    return compile_text(Source("deep.net", NET.format(layers=layers))).stages("step").plan


def images(plan) -> list[int]:
    """How many values of an image's size are alive in each product."""
    spans = [s for b, s in lifetimes(plan).items() if b.region == "batch" and b.elements >= 4 * 64]
    products = [i for i, unit in enumerate(plan.units) if unit.kind == "contract"]
    return [sum(first <= i <= last for first, last in spans) for i in products]


def test_a_weights_gradient_frees_its_operands_as_soon_as_the_batch_is_summed():
    """Two images of each layer are alive in the middle, and few where the way back ends."""
    alive = images(plan_of(NORMAL * 6))
    assert max(alive) >= 12
    assert alive[-1] <= 4


def test_without_sums_over_the_batch_the_samples_go_on_to_the_end():
    plan = plan_of(PLAIN * 4)
    products = [u.contraction for u in plan.units if u.kind == "contract"]
    summed = [isinstance(n.op, Contract) and n.op.sum_batch for n in products]
    assert summed == sorted(summed)
