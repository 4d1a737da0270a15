"""Early stopping, dropout, and images changed at random."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

OVERFIT = """
net Overfit {
  input x: [10]
  target y: [1]
  p = x |> dense(60, act=tanh) |> dense(1)
  loss squared_error(p, y)
}
train { optimizer = adam(lr=0.01); batch = 40; epochs = 400; restore_best = true }
"""


@experiment(
    "S38", "002.11.1 003.6.12", where="`validation`, `patience`, `restore_best` of the train block"
)
def test_s38_early_stopping_keeps_the_epoch_of_the_least_dev_error() -> None:
    """The dev curve is U-shaped; its least epoch is kept and beats full training on test data."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(440, 10))
    y = np.sin(x[:, :1]) + 0.5 * draw.normal(size=(440, 1))
    data, dev, test = (x[:40], y[:40]), (x[40:240], y[40:240]), (x[240:], y[240:])
    model = compiled(OVERFIT)
    start = {name: value.copy() for name, value in model.params.items()}
    history = model.fit(data, validation=dev, progress=False)
    curve = np.array(history["validation.loss"])
    least = int(curve.argmin())
    assert history.kept_epoch == least + 1
    assert 0 < least < 200
    assert curve[0] > 1.2 * curve[least]
    assert curve[-1] > 1.2 * curve[least]
    assert model.evaluate(*dev)["loss"] == pytest.approx(curve[least], rel=1e-12)
    stopped = model.evaluate(*test)["loss"]
    for name, value in start.items():
        model.params[name] = value
    model.fit(data, validation=dev, restore_best=False, progress=False)
    assert model.evaluate(*test)["loss"] > 1.2 * stopped
    patient = model.fit(data, validation=dev, patience=10, progress=False)
    assert patient.stopped == "patience"


DROPPED = """
const rate = 0.2
layer masked(x, keep) { return if training then where(bernoulli(keep, shape(x)), x, 0) else x }
net Dropped {
  input x: [100]
  target y: [1]
  mask = x |> dropout(rate)
  output mask
  output plain = x |> masked(0.8)
  p = mask |> dense(1, init=normal(0, 0.01))
  output p
  loss squared_error(p, y)
}
train { optimizer = sgd(lr=0.002); batch = 64 }
"""


@experiment("S42", "003.6.9 003.6.10", where="`dropout` of the prelude; a `bernoulli` mask by hand")
def test_s42_inverted_masks_have_mean_one_and_variance_a_quarter() -> None:
    """Kept with p = 0.8: mask/p has mean 1 and variance 0.25; the plain mask mean 0.8."""
    model = compiled(DROPPED)
    ones = np.ones((2000, 100))
    found = [model.forward(ones, training=True)["mask"]]
    plain = model.forward(ones, training=True)["plain"]
    model.backward(np.zeros((2000, 1)))
    model.update()
    found.append(model.forward(ones, training=True)["mask"])
    masks = np.concatenate(found)
    assert masks.mean() == pytest.approx(1, rel=0.01)
    assert masks.var() == pytest.approx(0.25, rel=0.01)
    assert plain.mean() == pytest.approx(0.8, rel=0.01)
    assert set(np.unique(masks)) == {0, 1 / 0.8}
    assert (found[0][0] != found[0][1]).any(), "another mask for each sample"
    assert (found[0] != found[1]).any(), "and for each step"
    np.testing.assert_array_equal(model.forward(ones)["mask"], ones)
    np.testing.assert_array_equal(model.forward(ones)["p"], model.forward(ones)["p"])


@experiment("S42", "003.6.9", where="`dropout(rate)` in training only")
def test_s42_the_loss_of_a_net_with_dropout_goes_up_and_down() -> None:
    """The training loss rises in some steps with dropout, never without; p = 1 changes no bit."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(64, 100)), draw.normal(size=(64, 1))
    curves, kept = {}, {}
    for rate in (0.2, 0):
        model = compiled(DROPPED, defines={"rate": rate})
        curves[rate] = [model.step(x, y) for _ in range(100)]
        kept[rate] = model.params.flat
    bare = compiled(DROPPED.replace("x |> dropout(rate)", "x"))
    without = [bare.step(x, y) for _ in range(100)]
    assert (np.diff(curves[0.2]) > 0).sum() > 10
    assert (np.diff(without) < 0).all()
    np.testing.assert_array_equal(curves[0], without)
    np.testing.assert_array_equal(kept[0], bare.params.flat)


IMAGES = """
## A window of `size` rows and columns at a random place.
layer crop(x: [h, w], size) {
  rows = gather(x, iota(size) + floor(uniform(0, h - size + 1, [1])))
  return gather(rows, iota(size) + floor(uniform(0, w - size + 1, [1])), axis=1)
}

fn mirrored(x) = reverse(x, 1)
fn turned(x) = reverse(x', 0)

net Images {
  input x: [5, 5]
  output twice = mirrored(mirrored(x))
  output once = mirrored(x)
  output round = turned(turned(turned(turned(x))))
  output quarter = turned(x)
  output whole = x |> crop(5)
  output part = x |> crop(3)
}
"""


@experiment("S43", "003.6.11", where="`reverse`, `gather` at random places, in a `layer`")
def test_s43_flips_undo_themselves_and_whole_crops_are_the_image() -> None:
    """Two flips, four quarter turns, a crop of all change nothing; small crops hit every place."""
    x = np.random.default_rng(2).normal(size=(1, 5, 5)) * np.ones((400, 1, 1))
    found = compiled(IMAGES).forward(x)
    for name in ("twice", "round", "whole"):
        np.testing.assert_array_equal(found[name], x)
    np.testing.assert_array_equal(found["once"], x[:, :, ::-1])
    np.testing.assert_array_equal(found["quarter"], np.rot90(x, axes=(1, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3)).reshape(9, 9)
    places = [int(np.flatnonzero((windows == p.ravel()).all(1))[0]) for p in found["part"]]
    assert set(places) == set(range(9))


DIGITS = """
const augmented = true

## In training, each image up to one pixel away from its place, no image as it was before.
layer moved(x: [h, w]) {
  wide = pad(x, [1, 1], [1, 1])
  rows = gather(wide, iota(h) + floor(uniform(0, 3, [1])))
  image = gather(rows, iota(w) + floor(uniform(0, 3, [1])), axis=1)
  return if training and augmented then image else x
}

net Digits {
  input image: [10, 10]
  target digit: class[10]
  logits = image |> moved |> flatten |> dense(64, act=relu) |> dense(10)
  loss cross_entropy(logits, digit)
  metric wrong = argmax(logits) != digit
}
train { optimizer = adam(lr=3e-3); batch = 50; epochs = 100 }
"""


def placed_digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits of 8 x 8 pixels, each at a random place in 10 x 10."""
    with (files("netc.runtime") / "digits.npz").open("rb") as file:
        archive = np.load(file)
        images, labels = archive["images"].reshape(-1, 8, 8) / 16.0, archive["labels"]
    places = np.random.default_rng(3).integers(0, 3, (len(images), 2))
    wide = np.zeros((len(images), 10, 10))
    for image, place, (top, left) in zip(images, wide, places, strict=True):
        place[top : top + 8, left : left + 8] = image
    return wide, labels


@experiment("S43", "003.6.11", where="a `layer` of one's own that moves images in training")
def test_s43_moved_images_lower_the_dev_error() -> None:
    """150 digits at random places: moving them in training lowers the error on 1000 others."""
    images, labels = placed_digits()
    wrong = {}
    for augmented in (False, True):
        model = compiled(DIGITS, defines={"augmented": augmented}, precision="f32")
        model.fit(images[:150], labels[:150], progress=False)
        wrong[augmented] = model.evaluate(images[700:1700], labels[700:1700])["wrong"]
    assert wrong[True] < 0.8 * wrong[False]
