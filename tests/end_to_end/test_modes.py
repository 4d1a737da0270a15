"""One text, two functions: what `training` selects, how states move, and what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import netc

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def compiled(text: str, seed: int = 1) -> netc.Model:
    return netc.compile(source=text, precision="f64", seed=seed)


def rows(samples: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(3, 2, (samples, width))


# -- modes -----------------------------------------------------------------------------------------


def test_training_selects_an_expression_and_statements() -> None:
    model = compiled("""net T {
      input x: [3]
      y = if training then 2 * x else x
      if training { z = y + 1 } else { z = y - 1 }
      output z
    }""")
    x = rows(5, 3)
    np.testing.assert_array_equal(model.forward(x, training=True), 2 * x + 1)
    np.testing.assert_array_equal(model.forward(x), x - 1)
    np.testing.assert_array_equal(model.predict(x), x - 1)


COUNTER = """
layer counted(x: [n]) {
  state seen: [n] = 0
  before = seen
  seen <- seen + batch_sum(x)
  return x + 100 * before + seen
}
"""


def test_a_state_has_its_new_value_after_the_arrow_and_none_moves_in_inference() -> None:
    model = compiled(COUNTER + "net T { input x: [2]; output y = x |> counted }")
    x = rows(4, 2)
    total = x.sum(0)
    model.state["y.counted.seen"][...] = 7
    first = model.forward(x, training=True)
    np.testing.assert_allclose(first, x + 700 + (7 + total), rtol=1e-14)
    np.testing.assert_allclose(model.state["y.counted.seen"], 7 + total, rtol=1e-14)
    np.testing.assert_allclose(model.forward(x), x + 101 * (7 + total), rtol=1e-14)
    np.testing.assert_allclose(model.state["y.counted.seen"], 7 + total, rtol=1e-14)


def test_a_shared_instance_updates_in_text_order() -> None:
    model = compiled(
        COUNTER + "net T { input x: [2]; input u: [2]; layer c = counted\n"
        "a = c(x); output b = c(u); output a }"
    )
    x, u = rows(4, 2), rows(4, 2, seed=1)
    found = model.forward(x, u, training=True)
    first, second = x.sum(0), x.sum(0) + u.sum(0)
    np.testing.assert_allclose(found["a"], x + first, rtol=1e-14)
    np.testing.assert_allclose(found["b"], u + 100 * first + second, rtol=1e-14)
    assert list(model.state) == ["c.counted.seen"]
    np.testing.assert_allclose(model.state["c.counted.seen"], second, rtol=1e-14)


def test_no_gradient_flows_through_a_state() -> None:
    model = compiled("""net T {
      input x: [2]
      param w: [2] = 3
      state s: [2] = 0
      s <- batch_mean(w * x)
      loss sum(w * s)
    }""")
    x = rows(6, 2)
    model.forward(x, training=True)
    model.backward()
    np.testing.assert_allclose(model.grads["w"], 3 * x.mean(0), rtol=1e-14)


def test_shared_batch_norm_follows_both_branches() -> None:
    model = compiled("""net T {
      input x: [2]
      input u: [2]
      layer norm = batch_norm(momentum = 0.75)
      output y = norm(x) - norm(u)
    }""")
    x, u = rows(8, 2), rows(8, 2, seed=2)
    model.forward(x, u, training=True)
    mean = 0.25 * (0.75 * x.mean(0) + u.mean(0))
    var = 0.75 * (0.75 + 0.25 * x.var(0)) + 0.25 * u.var(0)
    np.testing.assert_allclose(model.state["norm.batch_norm.mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(model.state["norm.batch_norm.var"], var, rtol=1e-13)


NORMED = """
net T {
  input x: [4]
  target t: [1]
  h = x |> dense(6) |> batch_norm |> relu
  y = dense(h, 1)
  output y
  loss squared_error(y, t)
}
train { optimizer = momentum(lr = 0.01); batch = 8; epochs = 4; seed = 3 }
"""


def data() -> tuple[Array, Array]:
    x = rows(30, 4)
    return x, np.sin(x[:, :1])


def test_states_are_saved_and_resumed(tmp_path: Path) -> None:
    whole, part = compiled(NORMED), compiled(NORMED)
    whole.fit(*data(), progress=False)
    part.fit(*data(), epochs=2, progress=False)
    part.save(tmp_path / "run")
    again = netc.load(tmp_path / "run")
    for name, value in part.state.items():
        np.testing.assert_array_equal(again.state[name], value)
    again.fit(*data(), epochs=4, progress=False, resume=True)
    assert again.state.flat.tobytes() == whole.state.flat.tobytes()
    assert again.params.flat.tobytes() == whole.params.flat.tobytes()


def test_a_trained_batch_norm_predicts_each_sample_alone() -> None:
    model = compiled(NORMED)
    x, t = data()
    model.fit(x, t, progress=False)
    together = model.predict(x)
    alone = np.concatenate([model.forward(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(alone, together, rtol=1e-12)


def test_batch_norm_of_large_means_in_single_precision() -> None:
    """The variance is that of centred values: that of squares would lose all digits here."""
    text = "net T { input x: [3]; output y = x |> batch_norm }"
    model = netc.compile(source=text, precision="f32")
    x = (np.random.default_rng(4).normal(0, 1, (256, 3)) + 4096).astype(np.float32)
    y = model.forward(x, training=True)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-3)


# -- draws -----------------------------------------------------------------------------------------

MANY = 20_000


def drawn(model: netc.Model, x: Array) -> Array:
    return np.asarray(model.forward(x, training=True))


def dropping(chain: str, width: int = 3, seed: int = 1) -> netc.Model:
    text = (
        f"net T {{ input x: [{width}]; param w = 1; y = w * x |> {chain}; output y; loss sum(y) }}"
    )
    return compiled(text + " train { optimizer = sgd(lr = 0) }", seed)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_keeps_its_share_and_its_mean(rate: float) -> None:
    y = drawn(dropping(f"dropout({rate})"), np.full((MANY, 3), 2.0))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 2 / (1 - rate), rtol=1e-14)
    spread = np.sqrt(rate * (1 - rate) / y.size)
    assert kept.mean() == pytest.approx(1 - rate, abs=4 * spread)
    assert y.mean() == pytest.approx(2, abs=4 * spread * 2 / (1 - rate))
    assert y.var() == pytest.approx(4 * rate / (1 - rate), rel=0.05)
    assert np.abs(np.corrcoef(kept.T) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize("chain", ["dropout(0.4)", "alpha_dropout(0.4)"])
def test_masks_are_fresh_in_each_step_and_the_same_for_a_seed(chain: str) -> None:
    x = np.ones((40, 3))
    one, two, other = dropping(chain), dropping(chain), dropping(chain, seed=2)
    before = []
    for _ in range(4):
        found = drawn(one, x)
        assert (drawn(one, x) == found).all(), "the draws of a step are those of the step"
        assert (drawn(two, x) == found).all()
        assert (drawn(other, x) != found).any()
        assert all((found != earlier).any() for earlier in before)
        before.append(found)
        for model in (one, two, other):
            model.step(x)
    assert (one.forward(x) == x).all()


def test_the_gradient_has_the_mask_of_the_forward_pass() -> None:
    model = dropping("dropout(0.5)")
    x = rows(9, 3)
    y = drawn(model, x)
    model.backward()
    assert model.grads["w"] == pytest.approx(y.sum() / 9, rel=1e-13)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(8).normal(0, 1, (MANY, 5))
    for rate in (0.05, 0.1, 0.5):
        y = drawn(dropping(f"alpha_dropout({rate})", width=5), x)
        assert y.mean() == pytest.approx(0, abs=0.02)
        assert y.var() == pytest.approx(1, abs=0.03)
        counts = np.unique(y.round(9), return_counts=True)[1]
        assert counts.max() / y.size == pytest.approx(rate, abs=0.01)  # all dropped are equal
