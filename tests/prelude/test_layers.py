"""Layers: inference against NumPy, training gradients, and the statistics of random ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.prelude.harness import Net, net, slope
from tests.prelude.references.layers import LAYERS, Layer

CASES = [case for cases in LAYERS.values() for case in cases]
IDS = [f"{case.chain} {list(case.shape)}" for case in CASES]


def network(chain: str, shape: tuple[int, ...], *, training: bool = False) -> Net:
    """The chain on x; the loss weights its outputs by their position."""
    text = f"""net T {{
      input x: {list(shape)}
      y = x |> {chain}
      output z = y
      loss sum(sin(y) + 0.3 * y^2)
    }}"""
    return replace(scrambled(net(text)), training=training)


def scrambled(unit: Net) -> Net:
    """The net with random numbers in all parameters, so that zero biases are tested too."""
    random = np.random.default_rng(5)
    parameters = {k: v + random.normal(0, 0.3, v.shape) for k, v in unit.parameters.items()}
    return replace(unit, parameters=parameters)


def rows(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(6).normal(0, 1, (4, *shape))


def short(unit: Net) -> dict[str, np.ndarray]:
    return {name.rsplit(".", 1)[-1]: value for name, value in unit.parameters.items()}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_inference(case: Layer) -> None:
    unit = network(case.chain, case.shape)
    x = rows(case.shape)
    np.testing.assert_allclose(unit.output("z", x=x), case.value(short(unit), x), rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_training_gradient_by_the_input(case: Layer) -> None:
    unit = network(case.chain, case.shape, training=True)
    x = rows(case.shape)
    assert unit.values.loss is not None
    found = unit.gradient(unit.values.loss, "input", "x", x=x)
    np.testing.assert_allclose(found, slope(lambda v: unit.loss(x=v), x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_training_gradient_by_the_parameters(case: Layer) -> None:
    unit = network(case.chain, case.shape, training=True)
    x = rows(case.shape)
    loss = unit.values.loss
    assert loss is not None
    random = np.random.default_rng(7)
    for name, value in unit.parameters.items():
        towards = random.normal(0, 1, value.shape)
        ends = [
            replace(unit, parameters={**unit.parameters, name: value + s * 1e-6 * towards})
            for s in (1, -1)
        ]
        change = (ends[0].loss(x=x).sum() - ends[1].loss(x=x).sum()) / 2e-6
        found = (unit.gradient(loss, "parameter", name, x=x) * towards).sum()
        assert found == pytest.approx(change, rel=1e-6, abs=1e-8), name


def test_parameters_start_as_documented() -> None:
    started = net("net T { input x: [5]; y = x |> prelu(start=0.1); output z = y }")
    assert started.parameters["y.prelu.alpha"] == 0.1
    unit = net("net T { input x: [5]; y = x |> dense(3) |> prelu |> layer_norm; output z = y }")
    held = short(unit)
    assert (held["b"] == 0).all()
    assert held["alpha"] == 0.25
    assert (held["gamma"] == 1).all()
    assert (held["beta"] == 0).all()
    assert 0 < np.abs(held["W"]).max() <= np.sqrt(6 / 8)
    assert list(unit.parameters) == [
        *("y.dense.W", "y.dense.b", "y.prelu.alpha", "y.layer_norm.gamma", "y.layer_norm.beta")
    ]


def test_all_biases_start_at_zero_and_lengths_at_one() -> None:
    chain = "dense_last(3) |> weight_norm_dense(2) |> layer_norm"
    unit = net(f"net T {{ input x: [5]; y = x |> {chain}; output z = y }}")
    starts = {name: float(v.min()) for name, v in unit.parameters.items() if v.ndim == 1}
    assert starts == {
        "y.dense_last.b": 0,
        "y.weight_norm_dense.g": 1,
        "y.weight_norm_dense.b": 0,
        "y.layer_norm.gamma": 1,
        "y.layer_norm.beta": 0,
    }


def test_convolutions_have_biases_that_start_at_zero() -> None:
    shapes = {"conv": "3, 4, 5", "conv1d": "3, 5", "conv_transpose": "3, 4, 5"}
    for name, shape in shapes.items():
        unit = net(f"net T {{ input x: [{shape}]; y = x |> {name}(2, 3); output z = y }}")
        assert (short(unit)["b"] == [0, 0]).all(), name


def test_an_embedding_starts_as_a_standard_normal_table() -> None:
    unit = net("net T { input t: class[100]; y = t |> embedding(100, 60); output z = y }")
    (table,) = unit.parameters.values()
    assert table.mean() == pytest.approx(0, abs=0.05)
    assert table.std() == pytest.approx(1, abs=0.05)


# -- random layers in training: moments over many samples, and independence -----------------------

MANY = 20_000


def drawn(chain: str, x: np.ndarray, step: int = 1) -> np.ndarray:
    unit = net(f"net T {{ input x: [{x.shape[1]}]; output z = x |> {chain} }}")
    return replace(unit, training=True, step=step).output("z", x=x)


def test_dropout_keeps_the_mean_and_drops_the_rate() -> None:
    x = np.full((MANY, 3), 2.0)
    y = drawn("dropout(0.3)", x)
    assert set(np.unique(y).round(12)) == {0.0, round(2 / 0.7, 12)}
    assert (y == 0).mean(0) == pytest.approx(0.3, abs=0.02)
    assert y.mean() == pytest.approx(2, abs=0.03)
    assert abs(np.corrcoef(y.T)[0, 1]) < 0.03
    assert (drawn("dropout(0.3)", x, step=2) != y).any()
    assert (drawn("dropout(0.3)", x) == y).all()
    assert (drawn("dropout(0)", x) == x).all()


def test_shared_dropout_drops_the_same_elements_of_all_samples() -> None:
    y = drawn("dropout(0.5, shared=true)", np.ones((50, 40)))
    assert (y == y[0]).all()
    assert set(np.unique(y)) == {0.0, 2.0}


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(8).normal(0, 1, (MANY, 5))
    for rate in (0.05, 0.1, 0.5):
        y = drawn(f"alpha_dropout({rate})", x)
        assert y.mean() == pytest.approx(0, abs=0.02)
        assert y.var() == pytest.approx(1, abs=0.03)
    kept = drawn("alpha_dropout(0.1)", np.zeros((MANY, 1)))
    low, high = np.unique(kept.round(9))
    assert high == pytest.approx(0.161970970058, abs=1e-8)
    assert low == pytest.approx(-0.92128451615 * 1.7580993408 + 0.161970970058, abs=1e-8)


def test_gaussian_noise_adds_its_standard_deviation() -> None:
    x = np.full((MANY, 3), 5.0)
    noise = drawn("gaussian_noise(0.5)", x) - x
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(0.5, abs=0.01)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.03


def test_rates_by_default() -> None:
    x = np.full((50, 3), 2.0)
    for name, rate in (("dropout", 0.5), ("alpha_dropout", 0.1), ("gaussian_noise", 0.1)):
        assert (drawn(name, x) == drawn(f"{name}({rate})", x)).all(), name


def test_rrelu_draws_slopes_between_lo_and_hi() -> None:
    slopes = -drawn("rrelu(0.1, 0.3)", np.full((MANY, 2), -1.0))
    assert 0.1 <= slopes.min() < 0.101
    assert 0.299 < slopes.max() <= 0.3
    assert slopes.mean() == pytest.approx(0.2, abs=0.005)
    assert (drawn("rrelu(0.1, 0.3)", np.full((4, 2), 3.0)) == 3).all()


def test_layer_norm_gives_mean_zero_and_variance_one() -> None:
    unit = net("net T { input x: [50]; output z = x |> layer_norm(eps=0) }")
    z = unit.output("z", x=np.random.default_rng(9).normal(3, 2, (7, 50)))
    np.testing.assert_allclose(z.mean(1), 0, atol=1e-14)
    np.testing.assert_allclose(z.var(1), 1, rtol=1e-12)


def test_a_chain_in_residual_makes_parameters_of_its_own_each_time() -> None:
    unit = net(
        "net T { input x: [3]; h = x |> residual(dense(3)) |> residual(dense(3)); output y = h }"
    )
    assert [n for n in unit.parameters if n.endswith("W")] == [
        *("h.residual.dense.W", "h.residual_2.dense.W")
    ]


# -- recurrent layers: how their biases start ------------------------------------------------------


def test_only_the_forget_gates_of_an_lstm_start_open() -> None:
    text = """net T {
      input x: [2, 3]
      a = x |> lstm(4)
      b = x |> lstm(4, forget=2)
      output c = a + b + (x |> gru(4)) + (x |> rnn(4))
    }"""
    biases = {k: v for k, v in net(text).parameters.items() if k.endswith((".b", ".d"))}
    forget = np.repeat([0, 1, 0, 0], 4)
    np.testing.assert_array_equal(biases.pop("a.lstm.b"), forget)
    np.testing.assert_array_equal(biases.pop("b.lstm.b"), 2 * forget)
    assert len(biases) == 3
    assert not any(value.any() for value in biases.values())
