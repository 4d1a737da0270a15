"""Augmentation of images: random transforms inside the compiled training function."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import digits

PLAIN = {
    "rotation": "random_rotation(degrees=0)",
    "translation": "random_shift(most=0)",
    "cropping": "random_crop(9, 9)",
    "brightness": "random_brightness(most=0)",
    "shearing": "random_shear(most=0)",
    "mirroring": "random_mirror(rate=0)",
    "saturation": "random_saturation(most=0)",
    "hue": "random_hue(degrees=0)",
    "contrast": "random_contrast(most=0)",
}
CHANGING = {
    "rotation": "random_rotation(degrees=30)",
    "translation": "random_shift(most=2)",
    "cropping": "random_crop(7, 6)",
    "brightness": "random_brightness(most=0.2)",
    "shearing": "random_shear(most=0.3)",
    "mirroring": "random_mirror(rate=0.5)",
    "saturation": "random_saturation(most=0.5)",
    "hue": "random_hue(degrees=60)",
    "contrast": "random_contrast(most=0.5)",
}


def together(layers: dict[str, str]) -> netc.Model:
    lines = [f"  output {name} = x |> {layer}\n" for name, layer in layers.items()]
    return compiled("net Images {\n  input x: [3, 9, 9]\n" + "".join(lines) + "}\n")


@cache
def changing() -> netc.Model:
    return together(CHANGING)


IMAGES = np.random.default_rng(0).uniform(size=(40, 3, 9, 9))
WHERE = "`random_rotation`, `random_shift`, `random_crop`, `random_shear`, `random_mirror`, …"


@experiment("X34", "000.8.10a-h", where=WHERE)
def test_x34_a_transform_of_parameter_0_is_the_identity() -> None:
    """With range 0 none of the nine transforms changes an image by more than 1e-15."""
    found = together(PLAIN).forward(IMAGES, training=True)
    for name, images in found.items():
        assert np.allclose(images, IMAGES, rtol=0, atol=1e-15), name


@experiment("X34", "000.8.10a-h", where=WHERE)
def test_x34_the_same_seed_gives_the_same_images() -> None:
    """Every transform changes training images, the same way for the same seed and another way for
    another one, each sample differently, and leaves them alone in inference."""
    model = changing()
    first, again = (model.forward(IMAGES, training=True) for _ in range(2))
    model.seed = 1
    other = model.forward(IMAGES, training=True)
    alike = model.forward(np.repeat(IMAGES[:1], 40, axis=0), training=True)
    model.seed = 0
    plain = model.forward(IMAGES)
    for name in CHANGING:
        assert first[name].tobytes() == again[name].tobytes(), name
        assert first[name].tobytes() != other[name].tobytes(), name
        assert len(np.unique(alike[name], axis=0)) > 1, name
        left = IMAGES[:, :, 1:8, 1:7] if name == "cropping" else IMAGES
        assert (plain[name] == left).all(), name


@experiment("X34", "000.8.10a-h", where="`random_rotation`, `random_shift`, `random_shear`")
def test_x34_rotation_shift_and_shear_are_those_of_scipy() -> None:
    """The places of an image say which map was drawn: an angle within ±30°, whole shifts within ±2,
    a shear within ±0.3, each to both sides; with it, the third channel is the affine transform of
    SciPy with linear interpolation and zeros outside, to 1e-12."""
    rows, columns = np.mgrid[-4:5, -4:5].astype(float)
    images = IMAGES.copy()
    images[:, 0], images[:, 1] = rows, columns
    found = changing().forward(images, training=True)
    drawn = {}
    for name in ("rotation", "translation", "shearing"):
        at = found[name][:, :2, 3:6, 3:6]
        shift = at[:, :, 1, 1]
        map_ = np.stack([at[:, :, 2, 1] - shift, at[:, :, 1, 2] - shift], axis=2)
        for image, matrix, move, result in zip(images, map_, shift, found[name], strict=True):
            offset = 4 - matrix @ [4, 4] + move
            expected = ndimage.affine_transform(
                image[2], matrix, offset, order=1, mode="grid-constant"
            )
            assert np.allclose(result[2], expected, rtol=0, atol=1e-12), name
        drawn[name] = map_, shift
    turned, moved, sheared = (drawn[n] for n in ("rotation", "translation", "shearing"))
    assert np.allclose(turned[0] @ turned[0].transpose(0, 2, 1), np.eye(2), atol=1e-12)
    angles = np.degrees(np.arctan2(turned[0][:, 0, 1], turned[0][:, 0, 0]))
    assert angles.min() < -15
    assert 15 < np.abs(angles).max() <= 30
    assert {*np.unique(moved[1])} == {-2, -1, 0, 1, 2}
    assert (np.abs(sheared[0][:, 1, 0]) <= 0.3).all()
    assert sheared[0][:, 1, 0].min() < -0.15
    assert sheared[0][:, 1, 0].max() > 0.15


@experiment("X34", "000.8.10a-h", where="`random_mirror`, `random_crop`, `random_brightness`, …")
def test_x34_mirroring_cropping_and_colours() -> None:
    """About half of the images are mirrored, crops are parts of the image, brightness adds another
    number within ±0.2 to each channel, contrast and saturation scale the distance from the mean of
    the image and of the colour by 0.5 to 1.5, hue keeps that mean and the distance from it."""
    found = changing().forward(IMAGES, training=True)
    mirrored = [
        (image == source[:, :, ::-1]).all()
        for image, source in zip(found["mirroring"], IMAGES, strict=True)
    ]
    same = [(a == b).all() for a, b in zip(found["mirroring"], IMAGES, strict=True)]
    assert np.logical_xor(mirrored, same).all()
    assert 10 < sum(mirrored) < 30
    places = set()
    for image, source in zip(found["cropping"], IMAGES, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(source, (3, 7, 6))[0]
        places |= {(i, j) for i in range(3) for j in range(4) if (windows[i, j] == image).all()}
    assert {i for i, _ in places} == {0, 1, 2}
    assert {j for _, j in places} == {0, 1, 2, 3}

    added = found["brightness"] - IMAGES
    each = added.mean(axis=(2, 3))
    assert np.allclose(added, each[:, :, None, None], atol=1e-15)
    assert np.abs(each).max() <= 0.2
    assert (np.ptp(each, axis=1) > 1e-3).all(), "another number for each channel"
    for name, axes in (("contrast", (1, 2, 3)), ("saturation", (1,))):
        mean = IMAGES.mean(axis=axes, keepdims=True)
        scale = (found[name] - mean) / (IMAGES - mean)
        factor = np.median(scale, axis=(1, 2, 3), keepdims=True)
        assert np.allclose(found[name], mean + factor * (IMAGES - mean), atol=1e-12)
        assert 0.5 <= factor.min() < 0.8
        assert 1.2 < factor.max() <= 1.5
    grey = IMAGES.mean(axis=1, keepdims=True)
    turned = found["hue"] - grey
    assert np.allclose(turned.sum(axis=1), 0, atol=1e-12)
    assert np.allclose((turned**2).sum(axis=1), ((IMAGES - grey) ** 2).sum(axis=1), atol=1e-12)
    assert np.abs(found["hue"] - IMAGES).max() > 0.1


TURNS = """
net Turns {
  input x: [3, 9, 9]
  quarter = warp(x, 0, 1, -1, 0)
  output once = quarter
  output four = quarter |> warp(0, 1, -1, 0) |> warp(0, 1, -1, 0) |> warp(0, 1, -1, 0)
  output back = x |> warp(1, 0, 0, 1, 2, -1) |> warp(1, 0, 0, 1, -2, 1)
  output twice = reverse(reverse(x, 2), 2)
}
"""


@experiment("X34", "000.8.10a-h", where="`warp`, `reverse`")
def test_x34_transforms_that_undo_each_other() -> None:
    """One quarter turn is that of NumPy; four, two mirrorings, and a shift there and back give the
    image again, the last one without the rows and columns that had left it."""
    found = compiled(TURNS).forward(IMAGES)
    assert np.allclose(found["once"], np.rot90(IMAGES, 1, axes=(2, 3)), atol=1e-15)
    assert np.allclose(found["four"], IMAGES, atol=1e-15)
    assert (found["twice"] == IMAGES).all()
    assert np.allclose(found["back"][:, :, 2:, :-1], IMAGES[:, :, 2:, :-1], atol=1e-15)
    assert (found["back"][:, :, :2] == 0).all()


READER = """
const shift = 0
const turn = 0
net Reader {
  input  pixels: [64]
  target digit: class[10]
  image  = reshape(pixels, [1, 8, 8]) |> random_shift(shift) |> random_rotation(turn)
  logits = image |> flatten |> dense(40, act=relu, init=he_uniform) |> dense(10)
  output logits
  loss   cross_entropy(logits, digit)
  metric accuracy = argmax(logits) == digit
}
train { optimizer = adam(lr = 0.005); batch = 50; epochs = 8 }
"""


@cache
def reader(shift: int, turn: int) -> netc.Model:
    model = netc.compile(source=READER, defines={"shift": shift, "turn": turn}, threads=1)
    model.fit(*digits("train"), progress=False)
    return model


@experiment("X33", "000.8.10 000.8.10a-h", where="`random_shift`, `random_rotation` on inputs")
def test_x33_augmented_images_teach_what_does_not_change_the_label() -> None:
    """Digits shifted by one pixel keep their labels, and a net trained with such shifts and small
    turns reads at least 20 points more of shifted test digits than one trained without."""
    images, labels = digits("test")
    moved = np.roll(images.reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64)
    plain, augmented = (
        reader(*ranges).evaluate(moved, labels)["accuracy"] for ranges in ((0, 0), (1, 10))
    )
    assert augmented > plain + 0.2, (plain, augmented)


@experiment("X33", "000.8.10 000.8.10a-h", where="`model.forward` of turned images")
def test_x33_a_turn_by_half_changes_the_label_of_a_six() -> None:
    """A net that reads over 85 % of the test digits right calls most sixes turned by 180° nines: a
    transform that keeps other labels does not keep this one."""
    model, (images, labels) = reader(0, 0), digits("test")
    assert model.evaluate(images, labels)["accuracy"] > 0.85
    turned = images[labels == 6][:, ::-1]
    assert np.mean(np.argmax(model.forward(turned), axis=1) == 9) > 0.5
    zeros = images[labels == 0][:, ::-1]
    assert np.mean(np.argmax(model.forward(zeros), axis=1) == 0) > 0.8
