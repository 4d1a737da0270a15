"""How weights and inputs should start."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

SCALE = """
net Scale {
  input x: [5]
  param s = 1
  param W1: [5, 20] = normal(0, 1)
  param W2: [20, 1] = normal(0, 1)
  h = sigmoid(s * (x @ W1))
  y = sigmoid(s * (h @ W2))
  output y
  output slope = mean(h * (1 - h))
  output steepness = sum(abs(grad(sum(y), W2)))
}
"""


@experiment("S31", "002.10.2", where="a net with one scale of all its weights")
def test_s31_tiny_weights_make_a_linear_net_and_huge_ones_saturate_it() -> None:
    """Scale 1e-3: affine to 1e-5, σ' = 1/4; 1: residual 0.1 … 0.9; 1e3: σ' below 1e-2."""
    x = np.random.default_rng(0).normal(size=(400, 5))
    model = compiled(SCALE)
    design = np.hstack([x, np.ones((400, 1))])
    residual, slope = {}, {}
    for s in (1e-3, 1.0, 1e3):
        model.params["s"] = s
        found = model.forward(x)
        y = found["y"]
        off = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        residual[s], slope[s] = off.std() / y.std(), found["slope"].mean()
    assert residual[1e-3] < 1e-5
    assert slope[1e-3] == pytest.approx(0.25, abs=1e-5)
    assert 0.1 < residual[1.0] < 0.9
    assert 0.1 < slope[1.0] < 0.22
    assert slope[1e3] < 1e-2


STANDARD = """
const standardised = true
net Standard {
  input x: [3]
  input t: [1]
  z = if standardised then x |> standardize else x
  param w: [3] = 0
  param b: [1] = 0
  output z
  output H = hessian(objective, params)
  metric error = squared_error(sum(w * z) + b, t)
  loss half_squared_error(sum(w * z) + b, t)
}
train { optimizer = sgd(lr=0.1); batch = 200; epochs = 1 }
"""


@experiment("S32", "002.10.3 003.7.7", where="`standardize` of the prelude")
def test_s32_standardised_inputs_allow_a_hundred_times_the_rate() -> None:
    """Means 0, deviations 1; the largest stable rate 2/λ grows from below 0.02 to above 1.5."""
    draw = np.random.default_rng(1)
    x = draw.normal([0, 5, -2], [0.1, 10, 1], (200, 3))
    t = draw.normal(size=(200, 1))
    stable = {}
    for standardised in (False, True):
        model = compiled(STANDARD, defines={"standardised": standardised})
        model.fit(x, t, lr=0, progress=False)
        found = model.forward(x, t)
        if standardised:
            np.testing.assert_allclose(found["z"].mean(0), 0, atol=1e-12)
            np.testing.assert_allclose(found["z"].std(0), 1, rtol=1e-12)
        stable[standardised] = 2 / np.linalg.eigvalsh(found["H"][0])[-1]
        for factor, grows in ((0.95, False), (1.05, True)):
            model.params.flat = draw.normal(size=4)
            before = model.evaluate(x, t)["error"]
            model.fit(x, t, lr=factor * stable[standardised], epochs=200, progress=False)
            assert (model.evaluate(x, t)["error"] > before) == grows
    assert stable[False] < 0.02
    assert stable[True] > 1.5


ZEROS = """
net Zeros {
  input x: [3]
  target y: [1]
  a = x |> dense(4, act=tanh, init=zeros) |> dense(1, init=zeros)
  b = x |> dense(4, act=relu, init=zeros) |> dense(1, init=zeros)
  c = x |> dense(4, act=sigmoid, init=zeros) |> dense(1, init=zeros)
  loss squared_error(a, y) + squared_error(b, y) + squared_error(c, y)
}
train { optimizer = sgd(lr=0.05) }
"""


@experiment("S33", "002.10.4 003.4.2", where="`zeros` and random `init`s")
def test_s33_weights_of_zero_stay_zero_or_equal() -> None:
    """From 0, 200 steps: tanh and ReLU nets move the last bias only, sigmoid units stay equal."""
    draw = np.random.default_rng(2)
    x = draw.normal(size=(30, 3))
    y = 1 + np.sin(x.sum(1, keepdims=True))
    model = compiled(ZEROS)
    p = model.params
    for _ in range(200):
        model.step(x, y)
    for name in "ab":
        assert not any(p[f"{name}.{part}"].any() for part in ("dense.W", "dense.b", "dense_2.W"))
        assert float(p[f"{name}.dense_2.b"][0]) == pytest.approx(y.mean(), rel=1e-9)
    assert np.abs(p["c.dense.W"]).max() > 1e-3
    assert np.ptp(p["c.dense.W"], axis=1).max() == 0
    assert np.ptp(p["c.dense_2.W"]) == 0
    p.flat = draw.uniform(-0.1, 0.1, p.flat.size)
    for _ in range(200):
        model.step(x, y)
    assert all(np.ptp(p[f"{name}.dense.W"], axis=1).min() > 1e-3 for name in "abc")


DEPTH = """
## Rows: linear 1/√n, ReLU √(2/n), ReLU √(1/n), tanh 0.01, tanh √(1/n), the same draws in each.
layer tried(a: [5, n]) {
  param W: [n, n] = 0
  scale = [sqrt(1 / n), sqrt(2 / n), sqrt(1 / n), 0.01, sqrt(1 / n)]
  z = reshape(scale, [5, 1]) * (a @ W)
  return concat(z[0:1], concat(relu(z[1:3]), tanh(z[3:5])))
}

net Depth {
  input x: [5, 256]
  last = x |> repeat(50, tried)
  output power = mean(last^2, axis=1)
  output equal = x[0] |> dense(4, init=constant(1))
  he = x[0] |> dense(256, init=he_normal)
  xavier = x[0] |> dense(256, init=lecun_normal)
  output he
  output xavier
}
"""


@experiment(
    "S34",
    "002.10.5 003.7.8a 003.7.8b",
    where="`lecun_normal`, `he_normal` of the prelude; `repeat(50, …)`",
)
def test_s34_fifty_layers_keep_their_size_with_the_right_weights() -> None:
    """E[a²] after 50 layers: linear 1/√n and ReLU √(2/n) of order 1, ReLU √(1/n) about 2⁻⁵⁰."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(20, 1, 256)) * np.ones((5, 1))
    model = compiled(DEPTH)
    for name, value in model.params.items():
        if name.startswith("last."):
            value[...] = draw.normal(size=value.shape)
    found = model.forward(x)
    linear, he, halved, tiny, slow = found["power"].mean(0)
    assert 0.1 < linear < 10
    assert 0.05 < he < 20
    assert halved == pytest.approx(he * 2.0**-50, rel=1e-9)
    assert tiny < 1e-70
    assert 1e-3 < slow < 0.1
    assert np.ptp(found["equal"], axis=1).max() == 0, "N(1, 0) as printed: all units equal"
    for name, variance in (("he", 2 / 256), ("xavier", 1 / 256)):
        spread = model.params[f"{name}.dense.W"].var()
        assert spread == pytest.approx(variance, rel=5 * np.sqrt(2 / 65536))


PROBE = """
layer tried(x: [n], scale) {
  param W: [n, n] = lecun_normal
  return tanh(scale * (x @ W))
}

net Probe {
  input x: [100]
  param scale = 1
  a = x |> tried(scale)
  b = a |> tried(scale)
  c = b |> tried(scale)
  d = c |> tried(scale)
  output sizes = [mean(a^2), mean(b^2), mean(c^2), mean(d^2)]
  output last = d
  output slope = sum(jacobian(d, x)^2) / 100
}
"""


@experiment("S35", "002.10.6 002.10.5", where="means of hidden layers as an `output`; `jacobian`")
def test_s35_a_probe_of_the_layers_shows_which_weight_scale_is_too_small() -> None:
    """Scales 0.1/√n and 0.5/√n: layers shrink at least 3-fold each; 1/√n: less than 2-fold."""
    x = np.random.default_rng(4).normal(size=(30, 100))
    model = compiled(PROBE)
    ratios, slopes = {}, {}
    for scale in (0.1, 0.5, 1, 4):
        model.params["scale"] = scale
        found = model.forward(x)
        sizes = found["sizes"].mean(0)
        ratios[scale] = sizes[1:] / sizes[:-1]
        slopes[scale] = found["slope"].mean()
    assert ratios[0.1].max() < 0.02
    assert ratios[0.5].max() < 1 / 3
    assert ratios[1].min() > 1 / 2
    assert ratios[4].min() > 0.9
    assert slopes[0.1] < 1e-7, "Jacobians vanish"
    assert slopes[4] > 10, "and explode"
