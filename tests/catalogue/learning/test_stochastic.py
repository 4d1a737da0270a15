"""Gradients of minibatches: how many, how noisy, what a smaller rate does; and what is measured."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netc
from netc.compiler.describe import describe
from netc.compiling import program_of
from netc.grammar.source import Source
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import digits

COUNTED = """
const samples = 100
net Counted {
  input number: class[samples]
  param w = 0
  state seen: [samples] = 0
  state sizes: [10] = 0
  seen <- seen + batch_sum(one_hot(number, samples))
  sizes <- sizes + batch_size * (iota(10) == step - 1)
  loss w * number
}
train { optimizer = sgd(); batch = 32 }
"""


@experiment("000.7.3a", where="`batch`, `shuffle` of the train block; `batch_size` in a net")
def test_000_7_3a_an_epoch_has_the_last_batch_incomplete() -> None:
    """100 samples in batches of 32 are 4 updates of 32, 32, 32 and 4, each sample once; with
    replacement some come twice and some not at all; batches of 1 are 100 updates. 50,000 samples
    are 1,563 updates of 32 and 782 of 64.
    """
    model = compiled(COUNTED)
    history = model.fit(np.arange(100), progress=False)
    assert history.epochs[-1].steps == 4
    assert model.state["sizes"].tolist() == [32, 32, 32, 4, 0, 0, 0, 0, 0, 0]
    assert np.all(model.state["seen"] == 1)
    model.state["seen"][...] = 0
    model.fit(np.arange(100), shuffle="with_replacement", progress=False)
    assert model.state["seen"].sum() == 100
    assert model.state["seen"].min() == 0
    assert model.state["seen"].max() > 1
    assert compiled(COUNTED).fit(np.arange(100), batch=1, progress=False).epochs[-1].steps == 100
    for batch, updates in ((32, 1563), (64, 782)):
        model = compiled(
            "net Any { input x: []; param w = 0; loss w * x } train { optimizer = sgd() }"
        )
        history = model.fit(np.zeros(50_000), batch=batch, progress=False)
        assert history.epochs[-1].steps == updates


@cache
def classifier() -> netc.Model:
    """A linear classifier with the gradient of each sample."""
    return compiled("""
    net Classifier {
      input x: [8]
      input t: []
      param w: [8] = 0.2
      e = binary_cross_entropy_with_logits(sum(w * x), t)
      loss e
      output each = jacobian(e, w)
    }
    train { optimizer = sgd() }
    """)


@cache
def noisy() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    x = random.normal(size=(10_000, 8))
    return x, (random.random(10_000) < 0.5).astype(float)


def gradient(rows: np.ndarray) -> np.ndarray:
    model, (x, t) = classifier(), noisy()
    model.forward(x[rows], t[rows], training=True)
    model.backward()
    return np.array(model.grads["w"])


@experiment("000.7.3a", where="the objective is the mean over the batch")
def test_000_7_3a_the_mean_of_the_minibatches_is_the_full_gradient() -> None:
    """Weighted by their sizes, the gradients of all 313 batches of 32 from 10,000 samples average
    to that of the whole set (7.23), which is the mean of the gradients of the samples, to 1e-12.
    """
    full = gradient(np.arange(10_000))
    batches = np.split(np.random.default_rng(1).permutation(10_000), np.arange(32, 10_000, 32))
    assert len(batches) == 313
    mean = sum(len(rows) * gradient(rows) for rows in batches) / 10_000
    np.testing.assert_allclose(mean, full, atol=1e-12)
    each = classifier().forward(*noisy())
    np.testing.assert_allclose(each.mean(0), full, atol=1e-12)


@experiment("000.7.3b", where="`jacobian(e, w)`: the gradient of each sample")
def test_000_7_3b_the_noise_of_a_gradient_falls_with_the_root_of_the_batch() -> None:
    """The standard deviation of gradients of 10,000 samples, drawn with replacement, is a tenth of
    that of 100, for a hundred times the cost; both are σ/√B with the σ of the samples' gradients.
    """
    random = np.random.default_rng(2)
    sigma = classifier().forward(*noisy()).std(0)
    noise = {}
    for size, draws in ((100, 2000), (10_000, 200)):
        found = [gradient(random.integers(0, 10_000, size)) for _ in range(draws)]
        deviation = np.std(found, axis=0, ddof=1)
        # a standard deviation of n draws is known to 1 part in sqrt(2 n)
        assert np.all(np.abs(deviation * np.sqrt(size) / sigma - 1) < 4 / np.sqrt(2 * draws))
        noise[size] = np.sqrt(np.mean(deviation**2))
    # eight weights of independent features
    assert noise[100] / noise[10_000] == pytest.approx(10, rel=4 / np.sqrt(2 * 8 * 200))


@experiment("000.7.3c", where="`piecewise` of the prelude with the clock `epoch`")
def test_000_7_3c_the_rate_is_divided_by_ten_after_150_epochs() -> None:
    """The steps of a constant gradient are 0.1 up to epoch 150 and 0.01 in epochs 151 and 152."""
    model = compiled("""
    net Slope { input x: []; param w = 0; loss w * x }
    train { optimizer = sgd(lr = 0.1 * piecewise([151], [1, 0.1])) }
    """)
    places = [0.0]
    for epochs in (149, 150, 151, 152):
        model.fit([1.0], epochs=epochs, resume=epochs > 149, progress=False)
        places.append(float(model.params["w"]))
    assert np.diff(places) == pytest.approx([-14.9, -0.1, -0.01, -0.01])


@experiment("000.7.3c", where='`history["loss"]`, `history["validation.loss"]`')
def test_000_7_3c_the_losses_of_both_sets_drop_with_the_rate() -> None:
    """A linear net on noisy targets, batches of 4: its learning curves are flat from the second
    epoch on; after the rate is divided by 10 at epoch 13, both losses are lower than ever before.
    """
    random = np.random.default_rng(4)
    x = random.normal(size=(1200, 10))
    y = x @ random.normal(size=10) + random.normal(size=1200)
    model = compiled("""
    net Line {
      input x: [10]
      target y: [1]
      p = x |> dense(1)
      loss half_squared_error(p, y)
    }
    train { optimizer = sgd(lr = 0.1 * piecewise([13], [1, 0.1])); batch = 4; epochs = 15 }
    """)
    seen = (x[:600], y[:600])
    history = model.fit(*seen, validation=(x[600:], y[600:]), progress=False)
    for name in ("loss", "validation.loss"):
        curve = np.array(history[name])
        assert curve[12:].max() < curve[:12].min()
        slope = np.polyfit(np.arange(11), curve[1:12], 1)[0]
        assert abs(slope) < 0.01


REPORTED = """
const dropped = 0
net Reported {
  input image: [64]
  target digit: class[10]
  logits = image |> dense(20, act=relu) |> dropout(dropped) |> dense(10)
  loss cross_entropy(logits, digit)
  penalty 1e-2 * l2(weights)
  metric accuracy = argmax(logits) == digit
}
train { optimizer = adam(lr=0.01); epochs = 6 }
"""


@experiment("000.7.0", where="`objective`, `loss` and each `metric` in the history")
def test_000_7_0_objective_loss_and_accuracy_are_three_curves() -> None:
    """The objective is the data error plus 0.01 Σw² and has its own curve, the surrogate loss and
    the accuracy of training and unseen digits theirs; the accuracy itself cannot be descended.
    """
    images, labels = digits("train")
    model = compiled(REPORTED)
    unseen = digits("test")
    history = model.fit(images, labels, validation=unseen, progress=False)
    for part in ("", "validation."):
        objective, loss, accuracy = (
            np.array(history[part + name]) for name in ("objective", "loss", "accuracy")
        )
        assert np.all(objective > loss + 0.2)
        assert loss[-1] < loss[0]
        assert accuracy[-1] > accuracy[0]
        assert len(objective) == len(loss) == len(accuracy) == 6
    squares = sum(np.sum(w**2) for name, w in model.params.items() if name.endswith("W"))
    assert objective[-1] - loss[-1] == pytest.approx(0.01 * squares)
    scores = model.evaluate(*unseen)
    assert scores == pytest.approx({"loss": loss[-1], "accuracy": accuracy[-1]})
    wrong = REPORTED.replace("loss cross_entropy(logits, digit)", "loss argmax(logits) != digit")
    with pytest.raises(netc.CompileError, match="not-differentiable"):
        compiled(wrong.replace("penalty 1e-2 * l2(weights)", ""))


@experiment("000.7.0", where="`netc profile`, `dropout`, `batch`")
def test_000_7_0_a_gradient_costs_as_much_as_the_function_and_has_two_noises() -> None:
    """The gradient of a 64→20→10 net takes 1.14 times the multiply-adds of its loss. Two batches
    give two gradients, and with dropout so do two passes over one batch, without it the same.
    """
    program = program_of(Source("reported", REPORTED), {}, "f64", None)
    operations = {
        name: sum(
            kernel.operations
            for kernel in describe(program.stages(name), name, program.model, program.manifest, 32)
        )
        for name in ("evaluate", "step")
    }
    assert operations["evaluate"] == 2 * 32 * (64 * 20 + 20 * 10)
    assert operations["step"] / operations["evaluate"] == pytest.approx(1 + 1.14, abs=0.005)
    images, labels = digits("train")
    for dropped in (0, 0.5):
        model = compiled(REPORTED, defines={"dropped": dropped})
        model.scalars["lr"] = 0
        found = []
        for start in (0, 32, 0):
            rows = slice(start, start + 32)
            model.forward(images[rows], training=True)
            model.backward(labels[rows])
            found.append(model.grads.flat)
            model.update()
        assert not np.allclose(found[0], found[1])
        assert np.allclose(found[0], found[2]) == (dropped == 0)
