"""Every example trains on its real data, from its own train block, to the score it promises."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import netc
from tests.end_to_end.data import EXAMPLES, digits, mnist, xor


def model(name: str, seed: int | None = None) -> netc.Model:
    return netc.compile(str(EXAMPLES / name), seed=seed)


def test_every_example_is_trained_here() -> None:
    names = {path.name for path in EXAMPLES.glob("*.net")}
    assert names == {"xor.net", "digits.net", "logistic.net", "autoencoder.net", "mnist_mlp.net"}


def test_xor_is_learned_from_at_least_eight_of_ten_seeds() -> None:
    x, y = xor()
    solved = 0
    for seed in range(10):
        net = model("xor.net", seed)
        net.fit(x, y, progress=False)
        scores = net.evaluate(x, y)
        solved += scores["accuracy"] == 1 and scores["loss"] < 0.1
    assert solved >= 8


def test_digits_reach_97_percent() -> None:
    net = model("digits.net")
    before = net.evaluate(*digits("test"))["accuracy"]
    history = net.fit(*digits("train"), progress=False)
    scores = net.evaluate(*digits("test"))
    assert before < 0.3
    assert scores["accuracy"] >= 0.97
    assert scores["loss"] < 1.2
    assert history is not None
    predicted = np.asarray(net.predict(digits("test")[0])).argmax(1)
    assert (predicted == digits("test")[1]).mean() == pytest.approx(scores["accuracy"])


def test_logistic_regression_gets_nine_in_ten() -> None:
    net = model("logistic.net")
    net.fit(*digits("train"), progress=False)
    scores = net.evaluate(*digits("test"))
    assert scores["accuracy"] >= 0.88
    assert scores["loss"] < 0.45


def test_autoencoder_beats_the_mean_image() -> None:
    images, unseen = digits("train")[0], digits("test")[0]
    mean_error = ((unseen - images.mean(0)) ** 2).mean()
    net = model("autoencoder.net")
    net.fit(images, progress=False)
    outputs = net.predict(unseen)
    assert isinstance(outputs, dict)
    assert outputs["code"].shape == (297, 8)
    error = ((outputs["copy"] - unseen) ** 2).mean()
    assert error < 0.45 * mean_error
    assert net.evaluate(unseen)["error"] == pytest.approx(error, rel=1e-4)
    assert {"enc.dense.W", "enc.dense_2.W"} <= set(net.params)
    assert sum(value.ndim == 2 for value in net.params.values()) == 2


def test_mnist_reaches_97_8_percent() -> None:
    images, labels = mnist("train")
    net = model("mnist_mlp.net")
    net.fit(images, labels, progress=False)
    assert net.evaluate(*mnist("t10k"))["accuracy"] >= 0.978


def test_the_script_that_calls_a_model() -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "call_model.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert run.returncode == 0, run.stderr
    assert "the saved model predicts the same: True" in run.stdout
    accuracy = float(run.stdout.split("accuracy ")[1].split()[0])
    assert accuracy >= 0.88
