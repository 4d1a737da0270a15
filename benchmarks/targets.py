"""What netc is to reach on the reference machine: two cores with AVX-512, Python 3.11.

A ratio is the time of the fastest peer of the same run over netc's.
"""

from __future__ import annotations

from typing import Final

TRAINING: Final = {
    1: {
        "xor": 100,
        "mlp_s": 4,
        "mlp_m": 1.7,
        "mlp_l": 1.4,
        "selu8": 1.25,
        "lenet": 6,
        "vgg_bn": 1.55,
    },
    2: {
        "xor": 100,
        "mlp_s": 4,
        "mlp_m": 2,
        "mlp_l": 1.3,
        "selu8": 1.6,
        "lenet": 4.5,
        "vgg_bn": 1.6,
    },
}
"""Ratio of a step inside `fit`, by threads and net."""

INFERENCE: Final = {
    "xor": 2.5,
    "mlp_s": 3.5,
    "mlp_m": 2,
    "mlp_l": 1.1,
    "selu8": 1.5,
    "lenet": 8,
    "vgg_bn": 2,
}
"""Ratio of one sample, called from Python, on one thread."""

TRAINING_MEANS: Final = {1: 3.7, 2: 3.8}
INFERENCE_MEAN: Final = 2.4
NOISE: Final = 0.03
"""A peer that is faster by less than this is not faster."""

COLD_SECONDS: Final = 0.6
CACHED_SECONDS: Final = 0.06
"""Compile and first step of lenet, everything imported."""

IMPORT_SECONDS: Final = 0.03
CALL_SECONDS: Final = 3e-6
"""What a `forward` from Python may take beyond the native function."""

MEMORY: Final = 1.1
"""Memory of a training step, over what must be there at once."""

MNIST_SECONDS: Final = {1: 1.0, 2: 0.55}
"""One epoch of lenet on MNIST, by threads."""
