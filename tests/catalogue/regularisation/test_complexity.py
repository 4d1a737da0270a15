"""Complexity: training and test error by the size of a net, and by the time it is trained."""

from __future__ import annotations

from functools import cache

import numpy as np

import netc
from netc.procedures.growing import carry
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

CURVE = """
const hidden = 1
net Curve {
  input  x: [1]
  target y: [1]
  p = 2 * x |> dense(hidden, act=tanh, init=normal(0, 3)) |> dense(1)
  output p
  loss squared_error(p, y)
}
train {
  optimizer = rprop(lr = 0.01, high = 1)
  batch = 20
  epochs = 2000
  monitor = "training.loss"
  restore_best = true
}
"""


def curve(count: int, seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(-2, 2, count)[:, None]
    return x, np.sin(2 * x) + noise * np.random.default_rng(seed).normal(size=(count, 1))


TRAINING, VALIDATION, TEST = curve(20, 1, 0.5), curve(40, 101, 0.5), curve(401, 0, 0)
"""Noisy samples of sin(2x) to learn from and to choose by, and the function itself."""


@cache
def errors() -> tuple[list[float], list[float]]:
    """Training and test error of nets of 1, 2, 6 and 20 units, each grown from the last."""
    training, test = [], []
    last: netc.Model | None = None
    for hidden in (1, 2, 6, 20):
        model = compiled(CURVE, defines={"hidden": hidden})
        if last is not None:
            carry(last, model)
            model.params["p.dense_2.W"][len(last.params["p.dense.b"]) :] = 0
        model.fit(*TRAINING, progress=False)
        training.append(model.evaluate(*TRAINING)["loss"])
        test.append(model.evaluate(*TEST)["loss"])
        last = model
    return training, test


@experiment("X12", "000.8.0", where="`growing.carry`, `restore_best`")
def test_x12_larger_nets_fit_better_and_generalise_worse() -> None:
    """With 1, 2, 6 and 20 hidden units, each net grown from the last, the training error on 20
    noisy samples falls every time, from over 0.4 to under 0.05, while the error against the
    function itself is least at 2 or 6 units and 1.3 times as large at 20."""
    training, test = errors()
    assert (np.diff(training) < 0).all(), training
    assert training[0] > 0.4
    assert training[-1] < 0.05
    best = min(test)
    assert test.index(best) in (1, 2), test
    assert test[0] > 2 * best, test
    assert test[3] > 1.3 * best, test


EARLY = """
net Early {
  input  x: [1]
  target y: [1]
  p = 2 * x |> dense(30, act=tanh, init=normal(0, 3)) |> dense(1)
  output p
  loss squared_error(p, y)
}
train { optimizer = adam(lr = 0.02); batch = 20; epochs = 1500 }
"""


@experiment("X31", "000.8.8", where="`validation`, `restore_best`, `patience`")
def test_x31_the_net_of_least_validation_error_generalises_better() -> None:
    """Thirty units trained on 20 noisy samples: the net of the epoch with least validation error
    comes back, well before the last, and its error against the function is less than half of that
    of the last; `patience = 20` stops 20 epochs after a best one."""
    model = compiled(EARLY)
    history = model.fit(*TRAINING, validation=VALIDATION, restore_best=True, progress=False)
    seen = history["validation.loss"]
    assert history.kept_epoch == 1 + int(np.argmin(seen)) < len(seen) // 4
    assert model.evaluate(*VALIDATION)["loss"] == min(seen)
    chosen, fitted = (model.evaluate(*data)["loss"] for data in (TEST, TRAINING))

    last = compiled(EARLY)
    stopped = last.fit(*TRAINING, validation=VALIDATION, patience=20, progress=False)
    assert stopped.stopped == "patience"
    assert len(stopped) == 21 + int(np.argmin(stopped["validation.loss"]))
    last.fit(*TRAINING, epochs=1500 - len(stopped), progress=False)
    assert last.evaluate(*TRAINING)["loss"] < 0.1 * fitted
    assert chosen < 0.5 * last.evaluate(*TEST)["loss"]
