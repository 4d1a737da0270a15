"""Bagging: networks trained on bootstrap samples, and their vote."""

from __future__ import annotations

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward.networks import CROSS_ENTROPY, network
from tests.catalogue.tools import compiled
from tests.end_to_end.data import digits

MEMBERS = 9


@experiment(
    "A35",
    "001.65.6-1",
    where="`fit` on `x[rows]`, the rows drawn with replacement; one compiled net for all members",
)
def test_a35_bagging():
    """Nine nets, each trained from its own start on 300 of 300 digits drawn with replacement, which
    miss a share of e⁻¹ of them: on new digits the majority of their votes is wrong at least
    15 % less often than they are on average."""
    train = "optimizer = sgd(lr = 0.3); batch = 10"
    text = network((64, 8, 10), "tanh", "softmax", CROSS_ENTROPY, train=train)
    model = compiled(text)
    images, names = digits("train")
    draw = np.random.default_rng(0)
    new, answers = digits("test")
    votes, missed = [], []
    for _ in range(MEMBERS):
        rows = draw.integers(0, 300, 300)
        missed.append(1 - len(np.unique(rows)) / 300)
        model.params.flat = 0.2 * draw.normal(size=model.params.flat.size)
        model.fit(images[rows], np.eye(10)[names[rows]], epochs=20, progress=False)
        votes.append(model.predict(new).argmax(1))
    counts = np.stack([np.bincount(column, minlength=10) for column in np.array(votes).T])
    majority = (counts.argmax(1) != answers).mean()
    single = (np.array(votes) != answers).mean(1)
    assert abs(np.mean(missed) - (1 - 1 / 300) ** 300) < 4 * 0.018 / np.sqrt(MEMBERS)
    assert len(np.unique(np.array(votes), axis=0)) == MEMBERS
    assert majority < 0.85 * single.mean()
