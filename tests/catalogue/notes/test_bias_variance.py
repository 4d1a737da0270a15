"""Text 004, appendix A: bias, variance and noise."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

DEGREES = (1, 3, 7)
POINTS, SETS = 40, 400

POLYNOMIAL = """
net Polynomial {
  input  x: []
  target t: []
  param w: [8] = 0
  phi = stack(1, x, x^2, x^3, x^4, x^5, x^6, x^7)
  output phi
  y = sum(w * phi)
  output y
  loss squared_error(y, t)
}
"""

CONSTANT = """
net Constant {
  input  x: class[3]
  target t: []
  param f: [3] = 0
  output y = f[x]
  loss squared_error(f[x], t)
}
train { optimizer = sgd(lr = 0.5); batch = 3000; epochs = 400 }
"""


def law(x: np.ndarray) -> np.ndarray:
    """The regression function of the noisy cubic."""
    return 0.5 * x**3 + 0.3 * x**2 - 0.25 * x + 1


@cache
def polynomial() -> netc.Model:
    return compiled(POLYNOMIAL)


@cache
def grid() -> tuple[np.ndarray, np.ndarray]:
    """Midpoints of (-2, 2), over which averages stand for those over p(x), and the targets' law."""
    x = (np.arange(100) + 0.5) / 25 - 2
    return x, law(x)


@cache
def ensemble(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions [SETS, 100] of polynomials fitted to independent data sets, and the mean squared
    errors of each for new noisy targets."""
    model, random = polynomial(), np.random.default_rng(degree)
    x, f = grid()
    predictions, errors = [], []
    for _ in range(SETS):
        at = random.uniform(-2, 2, POINTS)
        design = model.forward(at)["phi"][:, : degree + 1]
        w = np.linalg.lstsq(design, law(at) + random.normal(size=POINTS))[0]
        model.params["w"] = np.pad(w, (0, 7 - degree))
        predictions.append(model.forward(x)["y"])
        errors.append(model.evaluate(x, f + random.normal(size=100))["loss"])
    return np.array(predictions), np.array(errors)


@experiment(
    "E41", "004.A.2 004.A.3", where="one compiled net, `model.params` set for each data set"
)
def test_e41_the_generalisation_error_is_bias_and_variance_and_noise() -> None:
    """400 data sets of 40 points of the cubic with noise 1, degrees 1, 3 and 7: squared bias +
    variance = E[(y - f)²] at each x to 1e-12 (A.14), and with the noise of 1 they are the mean
    squared error on new data within 4 standard errors. The bias falls from 0.49 to below 0.01
    and the variance, a squared deviation, rises with the degree: low bias, high variance."""
    _, f = grid()
    biases, variances = [], []
    for degree in DEGREES:
        y, errors = ensemble(degree)
        mean = y.mean(axis=0)
        bias, variance = (mean - f) ** 2, ((y - mean) ** 2).mean(axis=0)
        total = ((y - f) ** 2).mean(axis=0)
        np.testing.assert_allclose(bias + variance, total, rtol=1e-12)
        expected, error = bias.mean() + variance.mean() + 1, errors.std() / np.sqrt(SETS)
        assert abs(errors.mean() - expected) < 4 * error
        biases.append(bias.mean())
        variances.append(variance.mean())
    assert biases[0] == pytest.approx(0.49, abs=0.02)
    assert max(biases[1:]) < 0.01
    assert (np.diff(variances) > 0).all()


@experiment("E41", "004.A.1", where="`loss squared_error(f[x], t)`, one free value for each x")
def test_e41_the_minimiser_of_the_squared_loss_is_the_conditional_mean() -> None:
    """A net with one free value for each of 3 inputs learns the means of the targets at each input
    to 1e-10 under the squared loss, and its loss is then the mean of their variances."""
    random = np.random.default_rng(0)
    x = random.integers(0, 3, 3000)
    t = np.array([1, -2, 0.5])[x] + random.exponential(np.array([1, 0.5, 2])[x])
    model = compiled(CONSTANT)
    model.fit(x, t, progress=False)
    means = np.array([t[x == k].mean() for k in range(3)])
    np.testing.assert_allclose(model.params["f"], means, atol=1e-10)
    noise = np.mean((t - means[x]) ** 2)
    np.testing.assert_allclose(model.evaluate(x, t)["loss"], noise, rtol=1e-12)
    model.params["f"] = means + np.array([0.1, 0.2, -0.3])
    model_error = np.mean(np.array([0.1, 0.2, 0.3])[x] ** 2)
    np.testing.assert_allclose(model.evaluate(x, t)["loss"], noise + model_error, rtol=1e-12)
