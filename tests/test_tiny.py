"""The product on a page: compile a text, train, evaluate, predict, save, load, look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import netc

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
net Ring {
  input  point: [2]
  target inside: class[2]

  logits = point |> dense(8, act=tanh) |> dense(2)

  output p = softmax(logits)
  loss     cross_entropy(logits, inside)
  metric   accuracy = argmax(logits) == inside
}

train { optimizer = adam(lr=0.05); batch = 32; epochs = 40; seed = 3 }
"""


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(0).uniform(-1, 1, (samples, 2))
    return points, (points**2).sum(axis=1) < 0.5


def test_train_evaluate_predict_save_load(tmp_path: Path) -> None:
    points, inside = data(500)
    model = netc.compile(source=TEXT)
    before = model.evaluate(points, inside)["loss"]
    history = model.fit(points[:400], inside[:400], progress=False)
    assert len(history) == 40
    scores = model.evaluate(points[400:], inside[400:])
    assert scores["accuracy"] > 0.95
    assert scores["loss"] < before / 3
    p = model.predict(points)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "run")
    np.testing.assert_array_equal(netc.load(tmp_path / "run").predict(points), p)


def test_forward_backward_update_equals_step() -> None:
    points, inside = data(37)
    one = netc.compile(source=TEXT, precision="f64")
    two = netc.compile(source=TEXT, precision="f64")
    for _ in range(3):
        one.forward(points, training=True)
        assert one.backward(inside) == pytest.approx(two.step(points, inside), rel=1e-12)
        one.update()
    np.testing.assert_allclose(one.params.flat, two.params.flat, rtol=1e-9, atol=1e-12)


def test_mistakes_have_a_place() -> None:
    with pytest.raises(netc.CompileError, match=r"<source>:6:21"):
        netc.compile(source=TEXT.replace("dense(8", "danse(8"))
    with pytest.raises(netc.DataError, match="point"):
        netc.compile(source=TEXT).forward(np.zeros((4, 3)))


def test_every_stage_prints() -> None:
    model = netc.compile(source=TEXT)
    for stage in ("ast", "graph", "backward", "simplified", "fused", "loops", "llvm", "asm"):
        assert model.ir(stage).strip()
