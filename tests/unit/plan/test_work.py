"""The estimate of how long a function takes."""

import pytest

from netc.compiler.driver import compile_text
from netc.compiler.plan.work import work
from netc.grammar.source import Source

CHAIN = """
net Chain {{
  input x: [{m}]
  target t: class[{n}]
  z = x |> dense({n}, act={act})
  output z
  loss cross_entropy(z, t)
}}
train {{ optimizer = {optimizer} }}
"""


def estimate(function="step", lanes=16, m=256, n=128, act="relu", optimizer="sgd(lr=0.1)"):
    text = CHAIN.format(m=m, n=n, act=act, optimizer=optimizer)
    return work(compile_text(Source("a.net", text)).stages(function).simplified, lanes)


def test_a_product_counts_its_multiplications():
    found = estimate("infer")
    assert found.fixed == 0
    assert found.per_block == pytest.approx(256 * 128 / 4, rel=0.05)


def test_more_of_everything_takes_longer():
    plain = estimate()
    assert estimate(m=512).per_block == pytest.approx(2 * plain.per_block, rel=0.1)
    assert estimate(act="tanh").per_block > plain.per_block
    assert estimate(optimizer="adam(lr=0.1)").fixed > 2 * plain.fixed
    assert estimate().per_block > 1.9 * estimate("infer").per_block


def test_wider_vectors_save_time_where_no_sample_is():
    narrow, wide = estimate(lanes=4), estimate(lanes=16)
    assert narrow.fixed == pytest.approx(4 * wide.fixed, rel=0.01)
    assert narrow.per_block == wide.per_block  # of fewer samples
