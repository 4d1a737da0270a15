"""Every example trains: all on shipped data, and on their own to a score stated here."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import netc
from tests.end_to_end.data import (
    EXAMPLES,
    SMALLER,
    cifar,
    derived,
    digits,
    fitting,
    mnist,
    xor,
)

NAMES = sorted(path.name for path in EXAMPLES.glob("*.net"))
MNIST_SCORES = (
    ("mnist_mlp.net", 20_000, 2, 0.94),
    ("snn.net", 20_000, 2, 0.94),
    ("residual.net", 20_000, 2, 0.94),
    ("own_layer.net", 20_000, 2, 0.94),
    ("network_in_network.net", 6_000, 1, 0.8),
)
CIFAR_SCORES = (("vgg.net", 1_000, 3, 0.25), ("all_convolutional.net", 1_000, 3, 0.25))


def model(name: str, seed: int | None = None) -> netc.Model:
    return netc.compile(str(EXAMPLES / name), seed=seed)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_learns_from_shipped_data(name: str) -> None:
    net = netc.compile(str(EXAMPLES / name), defines=SMALLER.get(name))
    data = fitting(net.manifest)
    before = net.evaluate(data)["loss"]
    net.fit(data, max_steps=60, validation=0, patience=None, progress=False)
    after = net.evaluate(data)
    assert all(np.isfinite(list(after.values())))
    assert after["loss"] < 0.9 * before


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


def test_lstm_reads_digits_row_by_row() -> None:
    net = model("lstm.net")
    net.fit(*digits("train"), progress=False)
    scores = net.evaluate(*digits("test"))
    assert scores["accuracy"] >= 0.93
    assert scores["loss"] < 0.3
    upside_down = digits("test")[0].reshape(-1, 8, 8)[:, ::-1].reshape(-1, 64)
    assert net.evaluate(upside_down, digits("test")[1])["accuracy"] < 0.5, "the order matters"


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


def test_saliency_maps_are_what_moving_pixels_shows() -> None:
    images, unseen = (digits(part)[0].reshape(-1, 8, 8) for part in ("train", "test"))
    net = model("saliency.net")
    net.fit(images, digits("train")[1], progress=False)
    assert net.evaluate(unseen, digits("test")[1])["accuracy"] >= 0.9
    found = net.predict(unseen)
    assert isinstance(found, dict)
    assert found["J"].shape == (297, 10, 8, 8)
    assert found["map"].shape == (297, 8, 8)
    shift = np.float32(0.01)
    for row, column in ((2, 3), (4, 4), (6, 1)):
        ends = []
        for sign in (1, -1):
            moved = unseen.copy()
            moved[:, row, column] += sign * shift
            ends.append(net.predict(moved)["p"])
        slope = (ends[0] - ends[1]) / (2 * shift)
        np.testing.assert_allclose(found["J"][:, :, row, column], slope, rtol=0.02, atol=2e-3)


def test_a_gradient_penalty_flattens_and_costs_no_accuracy() -> None:
    found = []
    for strength in (0, 1):
        net = netc.compile(str(EXAMPLES / "gradient_penalty.net"), defines={"strength": strength})
        net.fit(*digits("train"), progress=False)
        found.append(net.evaluate(*digits("test")))
    free, flat = found
    assert flat["accuracy"] >= 0.9
    assert flat["accuracy"] >= free["accuracy"] - 0.02
    assert flat["steepness"] < 0.2 * free["steepness"]
    assert flat["loss"] < 0.9 * free["loss"]


def test_siamese_tells_pairs_of_new_writers_apart() -> None:
    net = model("siamese.net")
    net.fit(derived("pairs"), progress=False)
    assert net.evaluate(derived("pairs_test"))["accuracy"] >= 0.9
    image, other = derived("pairs_test")["left"], derived("pairs_test")["right"]
    assert np.all(net.predict(image, image)["distance"] < 1e-5)
    one, turned = net.predict(image, other)["distance"], net.predict(other, image)["distance"]
    np.testing.assert_allclose(one, turned, rtol=1e-4)


def test_a_learned_relation_tells_pairs_of_new_writers_apart() -> None:
    net = model("relation.net")
    net.fit(derived("pairs"), progress=False)
    assert net.evaluate(derived("pairs_test"))["accuracy"] >= 0.92


def test_a_graph_of_pixels_learns_the_weights_of_its_edges_only() -> None:
    net = model("graph_network.net")
    before = np.array(net.params["h.repeat_1.neighbours.W"])
    net.fit(*digits("train"), epochs=10, progress=False)
    assert net.evaluate(*digits("test"))["accuracy"] >= 0.9
    row, column = np.divmod(np.arange(256) // 4, 8)
    apart = np.maximum(abs(row[:, None] - row), abs(column[:, None] - column)) > 1
    moved = net.params["h.repeat_1.neighbours.W"] != before
    assert (~apart).sum() == 7744
    assert not moved[apart].any()
    assert moved[~apart].mean() > 0.85


def test_other_tasks_help_where_labels_are_missing() -> None:
    found = []
    for others in (0, 1):
        net = netc.compile(str(EXAMPLES / "multitask.net"), defines={"others": others})
        net.fit(derived("tasks"), progress=False)
        found.append(net.evaluate(derived("tasks_test"))["accuracy"])
    alone, together = found
    assert together >= 0.82
    assert together >= alone + 0.04


@pytest.mark.parametrize(("name", "samples", "epochs", "least"), MNIST_SCORES)
def test_a_short_run_on_mnist(name: str, samples: int, epochs: int, least: float) -> None:
    images, labels = mnist("train")
    unseen, answers = mnist("t10k")
    net = model(name)
    shape = (-1, *net.manifest.inputs[0].shape)
    given = images[:samples].reshape(shape), labels[:samples]
    net.fit(*given, epochs=epochs, validation=0, progress=False)
    assert net.evaluate(unseen.reshape(shape), answers)["accuracy"] >= least


def test_denoising_fills_in_unknown_pixels() -> None:
    images, unseen = mnist("train")[0][:20_000], mnist("t10k")[0][:2_000]
    net = model("denoising_autoencoder.net")
    net.fit(images, epochs=3, progress=False)
    unknown = np.random.default_rng(0).random(unseen.shape) < 0.5
    restored = np.asarray(net.predict(np.where(unknown, np.nan, unseen)))
    error = ((restored - unseen)[unknown] ** 2).mean()
    assert error < 0.25 * (unseen[unknown] ** 2).mean()
    assert error < 0.5 * ((images.mean(0) - unseen)[unknown] ** 2).mean()


def test_selu_keeps_mean_and_variance_through_eight_layers() -> None:
    scores = model("snn.net").evaluate(*mnist("t10k"))
    assert abs(scores["centre"]) < 0.1
    assert 0.8 < scores["spread"] < 1.2


def test_fifty_layers_need_their_connections() -> None:
    images, labels = mnist("train")
    net = netc.compile(str(EXAMPLES / "residual.net"), defines={"connected": False})
    net.fit(images[:20_000], labels[:20_000], epochs=2, progress=False)
    assert net.evaluate(*mnist("t10k"))["accuracy"] < 0.5


def test_lenet_reaches_98_8_percent_in_five_epochs() -> None:
    net = model("lenet.net")
    images, labels = mnist("train")
    net.fit(images.reshape(-1, 1, 28, 28), labels, epochs=5, progress=False)
    unseen, answers = mnist("t10k")
    assert net.evaluate(unseen.reshape(-1, 1, 28, 28), answers)["accuracy"] >= 0.988


@pytest.mark.parametrize(("name", "samples", "epochs", "least"), CIFAR_SCORES)
def test_a_short_run_on_cifar(name: str, samples: int, epochs: int, least: float) -> None:
    images, labels = cifar("data_batch_1")
    net = model(name)
    net.fit(images[:samples], labels[:samples], epochs=epochs, progress=False)
    assert net.evaluate(*cifar("test_batch"))["accuracy"] >= least


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
