"""In which order kernels come, as far as memory depends on it."""

from __future__ import annotations

from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import toposort
from netc.compiler.ops.contract import Contract
from netc.compiler.plan.memory import touched
from netc.compiler.plan.plan import Buffer
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


def images(plan, weight: str) -> int:
    """How many values of an image's size are alive where a weight's gradient is formed."""
    moments: dict[Buffer, list[int]] = {}
    for i, unit in enumerate(plan.units):
        for buffer in touched(plan, unit):
            if buffer.region == "batch" and buffer.elements >= 4 * 64:
                moments.setdefault(buffer, []).append(i)
    spans = [(min(found), max(found)) for found in moments.values()]
    (made,) = (s.node for u in plan.units for s in u.stores if s.buffer.name == weight)
    inside = set(toposort([made]))
    products = {n: i for i, u in enumerate(plan.units) if (n := u.contraction) in inside}
    here = max(i for n, i in products.items() if isinstance(n.op, Contract) and n.op.sum_batch)
    return sum(first <= here <= last for first, last in spans)


def test_a_weights_gradient_frees_its_operands_as_soon_as_the_batch_is_summed():
    """All layers' images are alive when the way back begins, and few where it ends."""
    plan = plan_of(NORMAL * 6)
    assert images(plan, "h.conv_6.W") >= 10
    assert images(plan, "h.conv.W") <= 4


def test_without_sums_over_the_batch_the_samples_go_on_to_the_end():
    plan = plan_of(PLAIN * 4)
    products = [u.contraction for u in plan.units if u.kind == "contract"]
    summed = [isinstance(n.op, Contract) and n.op.sum_batch for n in products]
    assert summed == sorted(summed)
