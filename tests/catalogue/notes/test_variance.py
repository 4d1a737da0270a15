"""Text 004, section 7.1.1: what becomes of variances on the way through deep nets."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import kstest, norm, uniform

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

WIDTH, LAYERS = 200, 10


def deep(act: str) -> str:
    """A net of ten layers of 200 units, with the errors of layers for an output error g."""
    layers = "\n  ".join(
        f"a{i} = z{i - 1} |> dense(width, bias=false, init=glorot_normal)\n  z{i} = {act}(a{i})"
        for i in range(1, LAYERS + 1)
    )
    return f"""
const width = {WIDTH}
net Deep {{
  input z0: [width]
  input g: [width]
  {layers}
  error = sum(z10 * g)
  output z10
  output d1 = grad(error, a1)
  output d4 = grad(error, a4)
  output d7 = grad(error, a7)
  output d10 = grad(error, a10)
}}
"""


@cache
def model_of(act: str) -> netc.Model:
    return compiled(deep(act))


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return 0.1 * random.normal(size=(60, WIDTH)), random.normal(size=(60, WIDTH))


def variances(model: netc.Model) -> np.ndarray:
    """The variances of the errors of layers 1, 4, 7 and 10, and of the last values over x's."""
    x, g = data()
    found = model.forward(x, g)
    return np.array([*(found[f"d{i}"].var() for i in (1, 4, 7, 10)), found["z10"].var() / x.var()])


@cache
def mean_variances(act: str) -> np.ndarray:
    """Geometric means of them over 8 draws of the weights, the first the net's own."""
    model, random = model_of(act), np.random.default_rng(2)
    logs, first = [np.log(variances(model))], model.params.flat
    for _ in range(7):
        model.params.flat = random.normal(0, WIDTH**-0.5, size=first.size)
        logs.append(np.log(variances(model)))
    model.params.flat = first
    return np.exp(np.mean(logs, axis=0))


@experiment("E22", "004.7.1.a", where="`output d = grad(error, a)` for the errors of a layer")
def test_e22_errors_vanish_geometrically_in_sigmoid_nets() -> None:
    """Ten layers of 200 units with Xavier weights, 8 draws: from the last to the first layer the
    variance of the errors falls to 5e-12 … 6e-12 with sigmoid units, less than (1/16)³ every three
    layers, and to 0.81 … 0.89 with tanh."""
    sigmoid = mean_variances("sigmoid")
    assert 5e-12 < sigmoid[0] / sigmoid[3] < 6e-12
    factors = sigmoid[:3] / sigmoid[1:4]
    assert factors.max() / factors.min() < 1.2
    assert factors.max() < 16.0**-3
    tanh = mean_variances("tanh")
    assert 0.81 < tanh[0] / tanh[3] < 0.89


EQUAL = """
net Equal {
  input  x: [3]
  target t: [2]
  h = x |> dense(4, act=sigmoid, init=zeros)
  y = h |> dense(2, init=zeros)
  output h
  loss half_squared_error(y, t)
}
train { optimizer = sgd(lr = 0.5); batch = 20 }
"""


@experiment("E23", "004.7.1.1.a", where="`init=zeros`")
def test_e23_units_that_start_equal_stay_equal() -> None:
    """From zero weights the 4 hidden units are bit for bit equal after each of 50 steps, though
    they learn; from random weights they differ after all of them."""
    random = np.random.default_rng(0)
    x, t = random.normal(size=(20, 3)), random.normal(size=(20, 2))
    model = compiled(EQUAL)
    for _ in range(50):
        model.step(x, t)
        h, w = model.forward(x), model.params["h.dense.W"]
        np.testing.assert_array_equal(h, h[:, :1] * np.ones(4))
        np.testing.assert_array_equal(w, w[:, :1] * np.ones(4))
    assert np.abs(w).min() > 1e-3
    model.params.flat = 0.1 * random.normal(size=len(model.params.flat))
    for _ in range(50):
        model.step(x, t)
        h = model.forward(x)
        assert np.abs(h[:, :1] - h[:, 1:]).max(axis=0).min() > 1e-3


@experiment("E24", "004.7.1.1.c 004.7.1.1.d 004.7.1.1.e", where="`glorot_normal` of the prelude")
def test_e24_xavier_keeps_variances_in_a_linear_net_and_unit_normals_do_not() -> None:
    """In ten linear layers of 200 units, 8 draws, Xavier weights keep the variance of values and of
    errors within 7 %; weights from N(0, 1), long the practice, multiply it by 200 a layer, in nine
    layers by 5.1e20 to 20 %."""
    linear = mean_variances("identity")
    assert linear[0] / linear[3] == pytest.approx(1, abs=0.07)
    assert linear[4] == pytest.approx(1, abs=0.07)
    model = model_of("identity")
    kept = model.params.flat
    assert kept.var() == pytest.approx(1 / WIDTH, rel=4 * np.sqrt(2 / kept.size))
    model.params.flat = np.random.default_rng(1).normal(size=kept.size)
    wild = variances(model)
    model.params.flat = kept
    assert wild[0] / wild[3] == pytest.approx(200.0**9, rel=0.2)


DRAWS = """
net Draws {
  input x: [300]
  input g: [100]
  param forward: [300, 100] = lecun_normal
  param backward: [300, 100] = fan_out_normal
  param both: [300, 100] = glorot_normal
  param he: [300, 100] = he_normal
  param normals: [300, 100] = normal(0, 0.5)
  param uniforms: [300, 100] = uniform(-2, 2)
  output values = [x @ forward, x @ backward, x @ both]
  output errors = [forward @ g, backward @ g, both @ g]
  output rectified = relu(x @ he)
}
"""


@cache
def draws() -> netc.Model:
    return compiled(DRAWS)


@experiment(
    "E24",
    "004.7.1.1.b 004.7.1.1.e 004.7.1.1.f",
    where="`normal`, `uniform`, `lecun_normal`, `fan_out_normal`, `glorot_normal`, `he_normal`",
)
def test_e24_initialisers_have_the_variances_of_the_text() -> None:
    """30,000 draws each: N(0, σ) takes σ as standard deviation and U(-a, a) passes a
    Kolmogorov-Smirnov test; variances 1/n_in, 1/n_out and 2/(n_in + n_out) to 4 standard errors,
    the last being a variance where the text writes N(0, 1/n_av); He's 2/n_in keeps the mean square
    behind rectifiers to 5 %."""
    params = draws().params
    assert kstest(params["normals"].ravel(), norm(0, 0.5).cdf).pvalue > 0.01
    assert kstest(params["uniforms"].ravel(), uniform(-2, 4).cdf).pvalue > 0.01
    for name, variance in {"forward": 1 / 300, "backward": 1 / 100, "both": 2 / 400}.items():
        assert params[name].var() == pytest.approx(variance, rel=4 * np.sqrt(2 / 30000))
    random = np.random.default_rng(0)
    x, g = random.normal(size=(300, 300)), random.normal(size=(300, 100))
    assert np.mean(draws().forward(x, g)["rectified"] ** 2) == pytest.approx(1, rel=0.05)


@experiment("E24", "004.7.1.1.c 004.7.1.1.d", where="`@` with drawn weights")
def test_e24_one_initialiser_cannot_keep_both_variances_of_a_narrowing_layer() -> None:
    """From 300 to 100 units: 1/n_in multiplies the variance of values by 1 and of errors by 1/3,
    1/n_out by 3 and 1, Xavier by 1.5 and 0.5, all to 3 %. Errors of mean 1 have twice the variance:
    (7.15) drops the term E(δ)² Var(w)."""
    random = np.random.default_rng(1)
    x, g = random.normal(size=(300, 300)), random.normal(size=(300, 100))
    found = draws().forward(x, g)
    values, errors = found["values"].var(axis=(0, 2)), found["errors"].var(axis=(0, 2))
    np.testing.assert_allclose(values / x.var(), [1, 3, 1.5], rtol=0.03)
    np.testing.assert_allclose(errors / g.var(), [1 / 3, 1, 0.5], rtol=0.03)
    shifted = draws().forward(x, g + 1)["errors"].var(axis=(0, 2))
    np.testing.assert_allclose(shifted / g.var(), [2 / 3, 2, 1], rtol=0.1)
