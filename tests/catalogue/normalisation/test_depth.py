"""Sections 10.0 and 10.4: what happens to activations in deep nets, reduced from the figures."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from netc.procedures.probe import probe
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import digits

DEEP = """
const std = 0.04419417382415922
## Three nets at a time with the same weights, drawn from N(0, 1/512): s of the next layer.
fn bent(s: [3, n]) = stack(selu(s[0]), relu(s[1]), tanh(s[2]))
layer drawn(a: [3, n]) {
  return a @ normal(0, std, [n, n], shared=true)
}
net Deep {
  input x: [512]
  s1 = stack(x, x, x) |> drawn
  LAYERS
  output moments = [ROWS]
}
"""
ROW = "concat(mean(bent(s{0}), axis=1), mean(bent(s{0})^2, axis=1), mean(s{0}^2, axis=1))"


@cache
def through_layers(depth: int = 32) -> np.ndarray:
    """For four draws and each layer: mean and second moment of a, and that of s, of three nets."""
    layers = "\n".join(f"s{i} = bent(s{i - 1}) |> drawn" for i in range(2, depth + 1))
    rows = ", ".join(ROW.format(i) for i in range(1, depth + 1))
    text = DEEP.replace("LAYERS", layers).replace("ROWS", rows)
    model = compiled(text, precision="f32", seed=1)
    x = np.random.default_rng(0).normal(size=(50, 512))
    found = []
    for model.seed in range(4):
        found.append(model.forward(x).mean(0).reshape(depth, 3, 3))
    return np.array(found)


@experiment("X54", "000.10.4h 000.10.4a", where="`selu`; `normal(…, shared=true)` draws weights")
def test_x54_thirty_two_layers_keep_mean_and_variance() -> None:
    """Width 512, weights N(0, 1/J), standard normal inputs: the means of all 32 SELU layers are
    within 0.05 of 0 and their variances in [0.9, 1.1] in each of four draws. With the same weights
    ReLU halves the second moment of net inputs (2^-15 at layer 16), tanh leaves 0.034 there.
    """
    mean, square, inputs = np.moveaxis(through_layers(), 2, 0)
    assert np.abs(mean[..., 0]).max() < 0.05
    variance = square[..., 0] - mean[..., 0] ** 2
    assert (variance > 0.9).all()
    assert (variance < 1.1).all()
    rectified, tanh = inputs.mean(0)[:, 1], inputs.mean(0)[:, 2]
    assert rectified[:8] == pytest.approx(0.5 ** np.arange(8), rel=0.25)
    assert rectified[15] == pytest.approx(2**-15, rel=0.5)
    assert tanh[[1, 3, 7, 15]] == pytest.approx([0.398, 0.166, 0.075, 0.034], rel=0.15)
    assert (np.diff(tanh) < 0).all()


DROPPED = """
net Dropped {
  input z: [1000]
  x = 0.7 * z + 0.2
  output standard = z |> alpha_dropout(rate=rate)
  output other = x |> alpha_dropout(rate=rate)
  output usual = selu(z) |> dropout(rate)
  output still = selu(z)
}
const rate = 0.05
"""
LIMIT = -1.758099340847376859940
REPAIRS = {0.05: (0.954844476005, 0.0839355721938), 0.1: (0.92128451615, 0.161970970058)}


@experiment("X56", "000.10.4f", where="`alpha_dropout`, `dropout`")
def test_x56_alpha_dropout() -> None:
    """A million numbers of N(0, 1), kept with q = 0.95 and 0.9, keep mean 0 ± 0.005 and variance
    1 ± 0.01; before the repair they have mean qμ + (1-q)α' and variance q((1-q)(α'-μ)² + ν).
    Standard dropout on SELU outputs has variance ν/q + μ²(1-q)/q instead.
    """
    z = np.random.default_rng(7).normal(size=(1000, 1000))
    mu, nu = 0.7 * z.mean() + 0.2, 0.49 * z.var()
    for rate, (scale, shift) in REPAIRS.items():
        q = 1 - rate
        model = compiled(DROPPED, precision="f32", defines={"rate": rate})
        found = model.forward(z, training=True)
        y = found["standard"].astype(float)
        assert abs(y.mean()) < 0.005
        assert y.var() == pytest.approx(1, abs=0.01)
        raw = (found["other"].astype(float) - shift) / scale
        dropped = np.abs(raw - LIMIT) < 1e-5
        assert dropped.mean() == pytest.approx(rate, abs=0.001)
        assert np.abs(raw - (0.7 * z + 0.2))[~dropped].max() < 1e-5
        assert raw.mean() == pytest.approx(q * mu + rate * LIMIT, abs=0.003)
        assert raw.var() == pytest.approx(q * (rate * (LIMIT - mu) ** 2 + nu), rel=0.01)
        kept, usual = found["still"].astype(float), found["usual"].astype(float)
        expected = kept.var() / q + kept.mean() ** 2 * rate / q
        assert usual.var() == pytest.approx(expected, rel=0.01)
        assert usual.var() > kept.var() + 0.8 * rate
        assert np.array_equal(model.forward(z[:2])["standard"], z[:2].astype(np.float32))


@cache
def standard_digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits, each pixel with mean 0 and variance 1 unless it is always 0."""
    x, t = digits("train")
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-6), t


NETS = {
    "snn": ("lecun_normal", "selu"),
    "bn": ("lecun_normal", "batch_norm |> relu"),
}
EIGHT = """
net Eight {
  input x: [64]
  target t: class[10]
  y = x |> repeat(8, dense(32, init=INIT) |> ACT) |> dense(10, init=lecun_normal)
  output y
  loss cross_entropy(y, t)
}
train { optimizer = sgd(lr=0.01); batch = 32 }
"""


@experiment("X57", "000.10.4i", where="`repeat(8, dense(…) |> selu)`, `batch_norm`")
def test_x57_batch_norm_net_against_self_normalising_net() -> None:
    """Eight layers of 32 units on the digits, the same rate and batches: the training error of the
    last 150 of 400 steps varies less about its trend with SELU than with batch norm, and is lower.
    """
    x, t = standard_digits()
    order = np.random.default_rng(0).permutation(400 * 32) % len(x)
    spread, level = {}, {}
    for name, (init, act) in NETS.items():
        text = EIGHT.replace("INIT", init).replace("ACT", act)
        model = compiled(text, precision="f32", seed=1)
        errors = np.array([model.step(x[rows], t[rows]) for rows in order.reshape(400, 32)])
        last = errors[-150:]
        steps = np.arange(150)
        trend = np.polyval(np.polyfit(steps, last, 1), steps)
        spread[name], level[name] = np.var(last - trend), last.mean()
    assert spread["snn"] < spread["bn"]
    assert level["snn"] < level["bn"]


FIVE = """
layer drawn(x: [n], units, gain) {
  return x @ normal(0, sqrt(gain / n), [n, units], shared=true)
}
net Five {
  input x: [64]
  target t: class[10]
  LAYERS
  loss LOSSES
}
"""
KINDS = {"tanh": ("tanh", 1), "selu": ("selu", 1), "relu": ("relu", 1), "he": ("relu", 2)}


def chain(kind: str) -> str:
    """Four hidden layers of 512 units, and ten outputs."""
    act, gain = KINDS[kind]
    layers = [f"{kind}{i + 1} = {act}({kind}_s{i + 1})" for i in range(4)]
    sums = [f"{kind}_s{i + 1} = {kind}{i} |> drawn(512, {gain})" for i in range(4)]
    lines = [line for pair in zip(sums, layers, strict=True) for line in pair]
    return "\n".join(lines).replace(f"{kind}0 ", "x ") + f"\n{kind}_y = {kind}4 |> drawn(10, 1)"


@experiment("X58", "000.10.0", where="`netc probe`, `netc.procedures.probe`")
def test_x58_activations_by_layer() -> None:
    """Four layers of 512 units on the digits, N(0, 1/J): from layer 1 to 4 the deviation of tanh
    falls, SELU stays near mean 0 and variance 1, ReLU halves its second moment with N(0, 1/J) and
    keeps it with N(0, 2/J).
    """
    x, t = standard_digits()
    losses = " + ".join(f"cross_entropy({kind}_y, t)" for kind in KINDS)
    text = FIVE.replace("LAYERS", "\n".join(map(chain, KINDS))).replace("LOSSES", losses)
    seen = {one.name: one for one in probe(compiled(text, precision="f32"), x[:300], t[:300])}
    tanh, selu, relu, he = ([seen[f"{kind}{i}"].value for i in range(1, 5)] for kind in KINDS)
    assert all(below.std > 1.05 * above.std for below, above in pairwise(tanh))
    assert all(abs(v.mean) < 0.1 and abs(v.std**2 - 1) < 0.25 for v in selu)
    second = [[v.mean**2 + v.std**2 for v in layers] for layers in (relu, he)]
    assert second[0][3] / second[0][0] == pytest.approx(1 / 8, rel=0.35)
    assert second[1][3] / second[1][0] == pytest.approx(1, rel=0.35)
    assert all(0.4 < v.saturated < 0.65 for v in relu), "zeros"
    deltas = [seen[f"tanh_s{i}"].gradient.std for i in range(1, 5)]
    assert all(below < above for below, above in pairwise(deltas)), "they fall on the way back"


WIDTHS = """
layer drawn(x: [n], units) {
  return x @ normal(0, sqrt(1 / n), [n, units], shared=true)
}
net Widths {
  input x: [512]
  LAYERS
}
"""


@experiment("X59", "000.10.4g", where="`selu`; `normal(…, shared=true)` draws weights")
def test_x59_net_inputs_become_normal_with_the_width() -> None:
    """Net inputs of the second layer of a SELU net: skewness and excess kurtosis over 10,000
    samples are near 0 at J = 512, and fall from J = 32 to 512 at least as fast as J^(-1/2).
    """
    widths = (32, 128, 512)
    layers = "\n".join(f"output z{j} = selu(x |> drawn({j})) |> drawn(64)" for j in widths)
    model = compiled(WIDTHS.replace("LAYERS", layers), precision="f32")
    draws = np.random.default_rng(3)
    found = model.predict(draws.standard_normal((10_000, 512), np.float32))
    size = {}
    for j in widths:
        z = found[f"z{j}"].astype(float)
        noise = 6 / len(z)  # of the square of a normal sample's skewness
        size[j] = np.sqrt(max(np.mean(skew(z) ** 2) - noise, 0)), abs(np.mean(kurtosis(z)))
    for moment, least in ((0, 0.04), (1, 0.04)):
        assert size[32][moment] > least
        assert size[512][moment] < 0.02
        assert size[512][moment] < size[32][moment] / 4 * 1.2
