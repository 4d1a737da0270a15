"""Functions of many kernels call them in pieces: the same bits as in one body."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from netc.compiler.backend import emit_body

NET = """
net N {
  input x: [7]
  target t: class[3]
  h = x |> dense(20, act=tanh) |> batch_norm |> dense(9, act=relu) |> dropout(0.2)
  logits = h |> dense(3)
  output p = softmax(logits)
  loss cross_entropy(logits, t)
}
train { optimizer = adam(lr=0.01)  clip_norm = 1 }
"""


def trained(threads):
    random = np.random.default_rng(1)
    x, t = random.normal(size=(37, 7)).astype(np.float32), random.integers(0, 3, 37)
    model = netc.compile(source=NET, threads=threads)
    for _ in range(3):
        model.step(x, t)
    found = [model.params.flat.tobytes(), model.state.flat.tobytes(), model(x).tobytes()]
    return found, model.ir("llvm").count("define internal void @netc.calls.")


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_change_nothing(monkeypatch, size, threads):
    expected, none = trained(threads)
    monkeypatch.setattr(emit_body, "PIECE", size)
    found, pieces = trained(threads)
    assert found == expected
    assert none == 0
    assert pieces > 2
