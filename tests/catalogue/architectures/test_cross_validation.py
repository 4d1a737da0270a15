"""Cross-validation: folds, leave-one-out, what it is an estimate of, and how much it scatters."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.model_selection import KFold, LeaveOneOut

import netc
from netc.procedures import newton
from netc.procedures.cross_validation import cross_validate
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

LINEAR = """
net Linear {
  input  x: [3]
  target y: []
  param  w: [3] = normal(0, 1)
  a = x @ w
  output H = hessian(objective, params)
  loss squared_error(a, y)
  metric one = 1 + 0 * y
}
train { optimizer = adam(lr=0.05); batch = 8; epochs = 40 }
"""
"""Its risk under x ~ N(0, I), y = vᵀx + ε is |w - v|² + Var ε."""

V = np.array([1.0, -2, 0.5])


@cache
def linear():
    return compiled(LINEAR)


def sample(random, count, noise=1.0):
    x = random.normal(size=(count, 3))
    return x, x @ V + random.normal(0, noise, count)


def solve(model, *data):
    """Training to the least squares of the data, by one Newton step."""
    newton.minimise(model, *data, steps=1)


@experiment("000.5.2.2a", where="`netc.procedures.cross_validation`, folds of scikit-learn")
def test_000_5_2_2a_five_folds_of_twenty_points():
    """Five folds of 4 of 20 points are disjoint and together all; five trainings from the same
    start give the risks. A constant loss of 1 has the risk 1 exactly, with the printed factor N/L
    16; a fold that trains on a test point is refused, and the model is left as it was."""
    model = linear()
    x, y = sample(np.random.default_rng(1), 20)
    folds = list(KFold(5, shuffle=True, random_state=0).split(x))
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(20))
    before, starts = np.array(model.params.flat), []

    def train(model, *data):
        starts.append((*model.params.flat, *model.optimizer_state.flat, len(data[0])))
        model.fit(*data, progress=False)

    found = cross_validate(model, x, y, folds=folds, train=train)
    assert starts == [(*before, *np.zeros(6), 16)] * 5
    np.testing.assert_array_equal(model.params.flat, before)
    again = compiled(LINEAR)
    again.params.flat = before
    again.fit(x[folds[2][0]], y[folds[2][0]], progress=False)
    risk = again.evaluate(x[folds[2][1]], y[folds[2][1]])["loss"]
    assert found.risks[2] == pytest.approx(risk, rel=1e-12)
    ones = cross_validate(model, x, y, folds=folds, measure="one", train=solve)
    assert ones.risk == 1
    N, L = 20, 5
    sums = ones.sizes * ones.risks
    assert np.mean(N / L * sums) == 16
    assert np.mean(L / N * sums) == 1
    with pytest.raises(netc.UsageError, match="trains on"):
        cross_validate(model, x, y, folds=[([0, 1, 2], [2])])
    with pytest.raises(netc.UsageError, match="no folds"):
        cross_validate(model, x, y, folds=[])


@experiment("000.5.2.2b", where="`LeaveOneOut` of scikit-learn as `folds`")
def test_000_5_2_2b_leave_one_out_is_cross_validation_with_n_folds():
    """20 folds of 20 points equal leave-one-out bit by bit; for least squares both are the mean of
    (residual / (1 - leverage))², the closed form, to 1e-10."""
    model = linear()
    x, y = sample(np.random.default_rng(2), 20)
    folds = cross_validate(model, x, y, folds=KFold(20).split(x), train=solve)
    single = cross_validate(model, x, y, folds=LeaveOneOut().split(x), train=solve)
    np.testing.assert_array_equal(folds.risks, single.risks)
    hat = x @ np.linalg.pinv(x)
    residual = (y - hat @ y) / (1 - np.diag(hat))
    np.testing.assert_allclose(folds.risks, residual**2, rtol=1e-9)
    assert folds.sizes.tolist() == [1] * 20


@cache
def repeated():
    """For 150 data sets of 20 points: 5-fold estimates, and true risks for 16 and for 20 points."""
    model, random = linear(), np.random.default_rng(3)
    x, y = sample(random, 150 * 20)
    starts = range(0, len(x), 20)
    parts = list(KFold(5).split(x[:20]))
    folds = [(start + chosen, start + held) for start in starts for chosen, held in parts]
    estimates = cross_validate(model, x, y, folds=folds, train=solve).risks.reshape(150, 5)
    risks = []
    for start in starts:
        for size in (16, 20):
            solve(model, x[start : start + size], y[start : start + size])
            risks.append(np.sum((model.params["w"] - V) ** 2) + 1)
    return estimates.mean(1), *np.reshape(risks, (150, 2)).T


@experiment("000.5.2.2c", where="`cross_validate(…, train=…)`")
def test_000_5_2_2c_the_estimate_is_that_of_a_smaller_training_set():
    """Over 150 data sets of 20 points the mean 5-fold estimate agrees with the mean risk of models
    trained on N(1 - 1/L) = 16 points within three standard errors, and is above that for 20 points
    in expectation: 1 + 3/12 = 1.25 against 1 + 3/16 = 1.1875."""
    estimate, smaller, full = repeated()
    gap = estimate - smaller
    assert abs(gap.mean()) < 3 * gap.std() / np.sqrt(150)
    for risks, size in ((smaller, 16), (full, 20)):
        expected = 1 + 3 / (size - 3 - 1)
        assert abs(risks.mean() - expected) < 3 * risks.std() / np.sqrt(150)
    assert smaller.mean() > full.mean()


@experiment("000.5.2.2d", where="`cross_validate`, `model.evaluate`")
def test_000_5_2_2d_the_estimate_scatters():
    """The 5-fold estimate from 20 points has a standard deviation of about a third of its mean and
    hardly knows the risk of its own data set (correlation below 0.5). Training sets share 12 of
    their 16 points; one label moved by 20 multiplies the estimate by more than 10."""
    estimate, _, full = repeated()
    assert 0.2 < estimate.std() / estimate.mean() < 0.6
    assert np.corrcoef(estimate, full)[0, 1] < 0.5
    x, y = sample(np.random.default_rng(4), 20)
    folds = list(KFold(5).split(x))
    assert len(np.intersect1d(folds[0][0], folds[1][0])) == 12
    assert all(sum(7 in chosen for chosen in part) in (1, 4) for part in zip(*folds, strict=True))
    plain = cross_validate(linear(), x, y, folds=folds, train=solve).risk
    y[7] += 20
    assert cross_validate(linear(), x, y, folds=folds, train=solve).risk > 10 * plain
