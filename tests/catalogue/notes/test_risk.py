"""Text 004, section 2: risk, the 0-1 loss, held-out data and folds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold, train_test_split

import netc
from netc.procedures.cross_validation import cross_validate
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

LINE = """
net Line {
  input  x: []
  target t: []
  param w: [2] = 0
  y = w[0] + w[1] * x
  output y
  loss (t - y)^2
}
train { optimizer = sgd(lr = 0.3); batch = 1000; epochs = 150 }
"""

CLASSES = """
net Classes {
  input  x: [2]
  target label: class[3]
  z = x |> dense(3)
  output choice = argmax(z)
  loss   cross_entropy(z, label)
  metric error = zero_one(argmax(z), label)
  metric accuracy = argmax(z) == label
}
train { optimizer = sgd(lr = 0.5); batch = 20; epochs = 5 }
"""

MEMORY = """
net Memory {
  input  x: [40]
  target t: []
  y = sum(x |> dense(1))
  output y
  loss (t - y)^2
}
train { optimizer = sgd(lr = 0.05); batch = 20; epochs = 1500 }
"""


@cache
def line() -> netc.Model:
    return compiled(LINE)


def noisy_line(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, samples)
    return x, 1 - 2 * x + 0.5 * random.normal(size=samples)


@experiment("E1", "004.2.b 004.5.1.h", where="`metric zero_one(argmax(z), label)` of the prelude")
def test_e1_the_zero_one_loss_is_what_accuracy_lacks() -> None:
    """Over 301 predictions of 3 classes the mean 0-1 loss is exactly 1 - accuracy, before and after
    training, and on the test part."""
    random = np.random.default_rng(0)
    x = random.normal(size=(401, 2))
    label = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5) * (x[:, 0] > 0)
    model = compiled(CLASSES)
    untrained = model.evaluate(x[:301], label[:301])
    model.fit(x[:301], label[:301], progress=False)
    for part in (slice(None, 301), slice(301, None)):
        scores = model.evaluate(x[part], label[part])
        choice = model.forward(x[part])
        assert scores["accuracy"] == pytest.approx(accuracy_score(label[part], choice), abs=1e-15)
        assert scores["error"] + scores["accuracy"] == pytest.approx(1, abs=1e-15)
    assert scores["accuracy"] > untrained["accuracy"]


@experiment(
    "E2",
    "004.2.a 004.2.c 004.2.d 004.2.f",
    where="`input`, `target` and `loss` of a net, `model.evaluate`; "
    "`sklearn.model_selection.train_test_split`",
)
def test_e2_a_random_split_is_a_partition_with_two_reported_risks() -> None:
    """A random split of 500 pairs is a disjoint partition; the reported losses are the means of
    (t - f(x))² over each part, and both are within 4 standard errors of the expected risk, an
    integral."""
    x, t = noisy_line(500, seed=1)
    parts = train_test_split(np.arange(500), test_size=0.3, random_state=0)
    assert not {*parts[0]} & {*parts[1]}
    assert {*parts[0]} | {*parts[1]} == {*range(500)}
    model = line()
    model.params.flat = np.zeros(2)
    history = model.fit(x[parts[0]], t[parts[0]], progress=False)
    assert history["objective"][-1] < history["objective"][0]
    w = np.array(model.params["w"])
    for part in parts:
        squares = (t[part] - w[0] - w[1] * x[part]) ** 2
        risk = model.evaluate(x[part], t[part])["loss"]
        assert risk == pytest.approx(squares.mean(), rel=1e-12)
        expected = quad(lambda at: (1 - 2 * at - model.forward([at]).item()) ** 2 / 2, -1, 1)[0]
        error = squares.std() / np.sqrt(len(part))
        assert abs(risk - (expected + 0.25)) < 4 * error


@experiment("E2", "004.2.e", where="`model.fit` and `model.evaluate` on other data")
def test_e2_a_net_that_knows_its_data_by_heart_does_not_know_the_law() -> None:
    """A linear net of 40 inputs reproduces 20 noisy numbers to a mean squared error below 1e-20,
    while its loss on 1,000 others is above 0.8; the law of the data has 0.25."""
    random = np.random.default_rng(2)
    x = random.normal(size=(1020, 40))
    t = x[:, 0] + 0.5 * random.normal(size=1020)
    model = compiled(MEMORY)
    model.fit(x[:20], t[:20], progress=False)
    assert model.evaluate(x[:20], t[:20])["loss"] < 1e-20
    assert model.evaluate(x[20:], t[20:])["loss"] > 0.8


@experiment("E3", "004.2.g", where="`netc.procedures.cross_validation`, `sklearn`'s `KFold`")
def test_e3_folds_are_disjoint_and_give_one_loss_each() -> None:
    """5 folds of 103 pairs are disjoint and cover the data, each trains on the complement; their 5
    losses are those of lines fitted by least squares to 1e-6, within 3 of their own standard errors
    of the noise, 0.25."""
    x, t = noisy_line(103, seed=4)
    folds = [*KFold(5, shuffle=True, random_state=0).split(x)]
    model = line()
    model.params.flat = np.zeros(2)
    losses = cross_validate(model, x, t, folds=folds).risks
    seen = np.zeros(103)
    for (train, test), loss in zip(folds, losses, strict=True):
        assert {*train} == {*range(103)} - {*test}
        seen[test] += 1
        slope, offset = np.polyfit(x[train], t[train], 1)
        best = np.mean((t[test] - offset - slope * x[test]) ** 2)
        assert loss == pytest.approx(best, abs=1e-6)
    assert (seen == 1).all()
    assert abs(losses.mean() - 0.25) < 3 * losses.std() / np.sqrt(5)


SCAN = """
net Scan {
  input  x: []
  target t: []
  param w: [8] = 0
  powers = stack(x^0, x, x^2, x^3, x^4, x^5, x^6, x^7)
  output powers
  y = sum(w * powers)
  output y
  loss (t - y)^2
}
"""


@experiment("E3", "004.2.h", where="a net for each class of hypotheses, `KFold` to compare them")
def test_e3_folds_choose_among_classes_of_hypotheses() -> None:
    """Among the polynomials of degree 0 to 7 the mean loss of 5 folds is lowest at degree 3, the
    degree of the data's law, and a line has more than twice that loss."""
    random = np.random.default_rng(5)
    x = random.uniform(-2, 2, 200)
    t = 0.5 * x**3 + 0.3 * x**2 - 0.25 * x + 1 + 0.5 * random.normal(size=200)
    model = compiled(SCAN)
    powers = model.forward(x)["powers"]
    np.testing.assert_allclose(powers, x[:, None] ** np.arange(8), rtol=1e-13)
    folds = [*KFold(5, shuffle=True, random_state=0).split(x)]
    risk = np.zeros(8)
    for degree in range(8):
        for train, test in folds:
            w = np.linalg.lstsq(powers[train, : degree + 1], t[train])[0]
            model.params["w"] = np.pad(w, (0, 7 - degree))
            risk[degree] += model.evaluate(x[test], t[test])["loss"] / 5
    assert risk.argmin() == 3
    assert risk[1] > 2 * risk[3]
