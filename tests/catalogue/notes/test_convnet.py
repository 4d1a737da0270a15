"""Text 004, section 8: shifted patterns, and a small convolutional net that learns them."""

from __future__ import annotations

from functools import cache

import numpy as np

import netc
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

SIDE = 12
GLYPHS = np.array(
    [
        [[1, 1, 1], [0, 0, 1], [1, 1, 1], [1, 0, 0], [1, 1, 1]],  # 2
        [[1, 1, 1], [0, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]],  # 3
        [[1, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1]],  # 5
    ]
)
"""The digits 2, 3 and 5 as [3, 5, 3] pixels."""

CONVOLUTIONAL = """
net Convolutional {
  input  image: [1, 12, 12]
  target label: class[3]
  maps = image |> conv(4, 3, padding="same", act=relu)
  deep = maps |> max_pool(2) |> conv(8, 3, padding="same", act=relu) |> max_pool(2)
  z = deep |> flatten |> dense(16, act=relu) |> dense(3)
  output maps
  output unrolled = flatten(image)
  output p = softmax(z)
  loss   cross_entropy(z, label)
  metric accuracy = argmax(z) == label
  assert shape(maps) == [4, 12, 12] and shape(deep) == [8, 3, 3]
  assert count(params) == 40 + 296 + 73 * 16 + 17 * 3
}
train { optimizer = adam(lr = 0.01); batch = 30; epochs = 40; seed = 1 }
"""

PERCEPTRON = """
net Perceptron {
  input  image: [1, 12, 12]
  target label: class[3]
  z = image |> flatten |> dense(11, act=relu) |> dense(3)
  loss   cross_entropy(z, label)
  metric accuracy = argmax(z) == label
  assert count(params) == 145 * 11 + 12 * 3
}
train { optimizer = adam(lr = 0.01); batch = 30; epochs = 40; seed = 1 }
"""


def drawn(label: int, row: int, column: int) -> np.ndarray:
    """An image with a digit at a place."""
    image = np.zeros((1, SIDE, SIDE))
    image[0, row : row + 5, column : column + 3] = GLYPHS[label]
    return image


def shifted(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits at random places, with noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, samples)
    rows, columns = random.integers(0, 8, samples), random.integers(0, 10, samples)
    images = np.array([*map(drawn, labels, rows, columns)])
    return images + 0.15 * random.normal(size=images.shape), labels


@cache
def trained() -> netc.Model:
    model = compiled(CONVOLUTIONAL)
    model.fit(*shifted(300, 0), progress=False)
    return model


@experiment(
    "E38",
    "004.8.4 004.8.b 004.8.3.c",
    where='`conv(…, padding="same")`, `max_pool(2)`, `flatten`, `dense`; `examples/lenet.net`',
)
def test_e38_a_convolutional_net_learns_shifted_digits_better_than_a_dense_one() -> None:
    """From 300 noisy digits 2, 3 and 5 at random places a net of two convolutions and pools (1,555
    parameters) is right on more than 90 % of 600 others, a dense net of 1,631 parameters, right on
    more than 95 % of the 300, on less than half."""
    test = shifted(600, 1)
    dense = compiled(PERCEPTRON)
    dense.fit(*shifted(300, 0), progress=False)
    scores = [model.evaluate(*test)["accuracy"] for model in (trained(), dense)]
    assert dense.evaluate(*shifted(300, 0))["accuracy"] > 0.95
    assert len(trained().params.flat) == 1555
    assert len(dense.params.flat) == 1631
    assert scores[0] > 0.9
    assert scores[1] < 0.5


@experiment("E38", "004.8.b", where="`flatten`; maps of `conv` as outputs")
def test_e38_maps_move_with_the_digit_and_unrolled_pixels_do_not_stay_together() -> None:
    """A 2 at three places gives the same maps at three places, to 1e-15, and the same class; in the
    unrolled vector neighbours of one column are 12 apart, and two of the vectors share at most 3
    pixels."""
    places = ((1, 1), (4, 7), (6, 3))
    found = trained().forward(np.array([drawn(0, *place) for place in places]))
    around = [
        maps[:, row - 1 : row + 6, column - 1 : column + 4]
        for maps, (row, column) in zip(found["maps"], places, strict=True)
    ]
    for other in around[1:]:
        np.testing.assert_allclose(other, around[0], atol=1e-15)
    assert (found["p"].argmax(axis=1) == 0).all()
    pixels = [np.flatnonzero(vector) for vector in found["unrolled"]]
    for places_, start in zip(pixels, ((1, 1), (4, 7), (6, 3)), strict=True):
        first = start[0] * SIDE + start[1]
        assert places_[0] == first
        # the right pixel of the second row is the neighbour below that of the first
        assert places_[3] - places_[2] == SIDE
    assert len({*pixels[0]} & {*pixels[1]}) < 4
