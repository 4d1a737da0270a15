"""Augmentation in NumPy and SciPy, in inference; what is drawn stays as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from tests.prelude.references.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prelude.references.layers import Array


def same(_: dict[str, Array], x: Array) -> Array:
    return x


def warped(x: Array, matrix: Array, shift: Array) -> Array:
    """Images [.., h, w] along a linear map about their middle."""
    middle = (np.array(x.shape[-2:]) - 1) / 2
    offset = middle - matrix @ middle + shift
    flat = x.reshape(-1, *x.shape[-2:])
    images = [
        ndimage.affine_transform(i, matrix, offset, order=1, mode="grid-constant") for i in flat
    ]
    return np.array(images).reshape(x.shape)


def _warp(*numbers: float) -> Callable[[dict[str, Array], Array], Array]:
    matrix, shift = np.reshape(numbers[:4], (2, 2)), np.array(numbers[4:])
    return lambda _, x: warped(x, matrix, shift)


def _taken(_: dict[str, Array], x: Array) -> Array:
    return np.stack([x[:, :, 0, 1], 0 * x[:, :, 0, 0], x[:, :, 2, 4]], axis=2)


AUGMENTATION: dict[str, tuple[Layer, ...]] = {
    "pixels": (Layer("pixels([0, -1, 2], [1, 0, 4])", (2, 3, 5), _taken),),
    "warp": (
        Layer("warp(0.8, 0.3, -0.2, 1.1)", (2, 5, 7), _warp(0.8, 0.3, -0.2, 1.1, 0, 0)),
        Layer(
            "warp(1.2, -0.4, 0.1, 0.7, p=0.4, q=-0.6)",
            (1, 6, 4),
            _warp(1.2, -0.4, 0.1, 0.7, 0.4, -0.6),
        ),
    ),
    "random_rotation": (
        Layer("random_rotation", (2, 5, 4), same),
        Layer("random_rotation(90)", (1, 3, 3), same),
    ),
    "random_shift": (
        Layer("random_shift", (2, 5, 4), same),
        Layer("random_shift(most=1)", (1, 3, 7), same),
    ),
    "random_shear": (
        Layer("random_shear", (2, 5, 4), same),
        Layer("random_shear(most=1)", (1, 3, 7), same),
    ),
    "random_crop": (
        Layer("random_crop(3, 2)", (2, 5, 4), lambda _, x: x[:, :, 1:4, 1:3]),
        Layer("random_crop(1, 7)", (3, 1, 8), lambda _, x: x[:, :, :, :7]),
    ),
    "random_mirror": (
        Layer("random_mirror", (2, 5, 4), same),
        Layer("random_mirror(rate=0.1)", (1, 3, 7), same),
    ),
    "random_brightness": (
        Layer("random_brightness", (2, 5, 4), same),
        Layer("random_brightness(most=3)", (1, 3, 7), same),
    ),
    "random_contrast": (
        Layer("random_contrast", (2, 5, 4), same),
        Layer("random_contrast(most=1)", (1, 3, 7), same),
    ),
    "random_saturation": (
        Layer("random_saturation", (2, 5, 4), same),
        Layer("random_saturation(most=1)", (3, 3, 7), same),
    ),
    "random_hue": (
        Layer("random_hue", (3, 5, 4), same),
        Layer("random_hue(degrees=90)", (3, 1, 7), same),
    ),
}
