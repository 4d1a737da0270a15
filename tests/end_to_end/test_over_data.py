"""Initial values computed over the whole training data: when, from what, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import netc

if TYPE_CHECKING:
    from pathlib import Path

    from netc.model import Precision

NET = """
net T {
  input x: [3]
  target t: [1]
  param b: [1] = over_data(batch_mean(t))
  param top: [3] = over_data(batch_max(x), before = 7)
  state spread: [] = over_data(sqrt(batch_mean(sum((x - batch_mean(x))^2))), before = -1)
  state far: [3] = over_data(max(top - batch_mean(x), 0) / batch_size)
  h = x |> standardize
  y = dense(h, 1) + b + 0 * sum(top) + 0 * spread + 0 * sum(far)
  output h
  output y
  loss squared_error(y, t)
}
train { optimizer = sgd(lr = 0); batch = 32 }
"""
SAMPLES = 2500  # more than two chunks


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(0, 1, (SAMPLES, 3)) * [0.01, 1, 30] + [1000, 0, -5]
    return x.astype(np.float32), random.normal(4, 1, (SAMPLES, 1)).astype(np.float32)


def compiled(precision: Precision = "f64") -> netc.Model:
    return netc.compile(source=NET, precision=precision)


@pytest.mark.parametrize(("precision", "close"), [("f64", 1e-12), ("f32", 1e-6)])
def test_values_over_all_samples(precision: Precision, close: float) -> None:
    model = compiled(precision)
    x, t = (a.astype(np.float64) for a in data())
    model.fit(*data(), progress=False)
    assert model.params["b"] == pytest.approx(t.mean(), rel=close)
    np.testing.assert_allclose(model.params["top"], x.max(0), rtol=close)
    assert model.state["spread"] == pytest.approx(np.sqrt(x.var(0).sum()), rel=close)
    far = (x.max(0) - x.mean(0)) / SAMPLES
    np.testing.assert_allclose(model.state["far"], far, rtol=close)
    np.testing.assert_allclose(model.state["h.standardize.mu"], x.mean(0), rtol=close)
    np.testing.assert_allclose(model.state["h.standardize.sigma"], x.std(0), rtol=close)


def test_standardized_features_have_mean_0_and_deviation_1() -> None:
    model = compiled()
    model.fit(*data(), progress=False)
    h = model.predict(data()[0])["h"]
    np.testing.assert_allclose(h.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(h.std(0), 1, rtol=1e-9)


def test_before_the_first_training_the_values_are_those_of_the_text() -> None:
    model = compiled()
    x, t = data()
    assert model.params["b"] == 0
    assert (model.params["top"] == 7).all()
    assert model.state["spread"] == -1
    np.testing.assert_array_equal(model.forward(x[:5])["h"], x[:5])
    model.step(x[:5], t[:5])
    assert model.state["spread"] == -1


def test_they_are_computed_once() -> None:
    model = compiled()
    model.fit(*data(), progress=False)
    found = model.state.flat
    model.params["b"][...] = 1
    model.fit(*data(seed=1), progress=False)
    assert (model.state.flat == found).all()
    assert model.params["b"] == 1


def test_a_loaded_model_keeps_them(tmp_path: Path) -> None:
    model, fresh = compiled(), compiled()
    fresh.save(tmp_path / "fresh")
    model.fit(*data(), progress=False)
    model.save(tmp_path / "run")
    again = netc.load(tmp_path / "run")
    again.fit(*data(seed=1), progress=False)
    assert (again.state.flat == model.state.flat).all()
    early = netc.load(tmp_path / "fresh")
    early.fit(*data(), progress=False)
    assert (early.state.flat == model.state.flat).all()


def test_samples_held_out_for_validation_do_not_count() -> None:
    model = compiled()
    x, t = data()
    model.fit(x, t, validation=0.2, shuffle=False, progress=False)
    kept = x[: SAMPLES - SAMPLES // 5].astype(np.float64)
    np.testing.assert_allclose(model.state["h.standardize.mu"], kept.mean(0), rtol=1e-12)


def test_a_refused_training_computes_nothing() -> None:
    model = compiled()
    x, t = data()
    with pytest.raises(netc.DataError):
        model.fit(x, t[:-1], progress=False)
    assert model.state["spread"] == -1


@pytest.mark.parametrize("shape", [(4,), (2, 5), (2, 3, 4)])
def test_standardize_of_each_channel(shape: tuple[int, ...]) -> None:
    text = f"""net T {{ input x: {list(shape)}; param w = 1; h = x |> standardize; output h
      loss w * sum(h) }} train {{ optimizer = sgd(lr = 0) }}"""
    model = netc.compile(source=text, precision="f64")
    x = np.random.default_rng(3).normal(2, 3, (50, *shape))
    x[:, 0] = 0.1  # a constant channel becomes 0
    model.fit(x, progress=False)
    h = model.forward(x)
    np.testing.assert_allclose(h[:, 0], 0, atol=1e-8)
    axes = (0, *range(2, x.ndim))
    expected = (x - x.mean(axes, keepdims=True)) / np.maximum(x.std(axes, keepdims=True), 1e-6)
    np.testing.assert_allclose(h[:, 1:], expected[:, 1:], rtol=1e-11, atol=1e-12)
