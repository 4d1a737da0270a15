"""The objective with augmented samples: two means that are added."""

from __future__ import annotations

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

TWO_MEANS = """
net TwoMeans {
  input  x: [3]
  input  made: []
  target y: class[3]
  z = x |> dense(3)
  output p = softmax(z)
  e = cross_entropy(z, y)
  penalty batch_sum(e * (1 - made)) / max(batch_sum(1 - made), 1)
  penalty batch_sum(e * made) / max(batch_sum(made), 1)
}
"""


@experiment("X33", "000.8.10", where="`batch_sum` in a `penalty`, with a mark on made samples")
def test_x33_augmented_samples_have_a_mean_of_their_own() -> None:
    """With 6 samples and 15 made of them, objective and gradient are the sum of those of the two
    means (1e-12), whatever order the batch has; the mean over all 21 is another one."""
    model = compiled(TWO_MEANS)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(6, 3)), draw.integers(0, 3, 6)
    source = draw.integers(0, 6, 15)
    more, labels = x[source] + 0.3 * draw.normal(size=(15, 3)), y[source]

    def slope(x: np.ndarray, made: np.ndarray, y: np.ndarray) -> np.ndarray:
        model.forward(x, made, training=True)
        return np.append(model.backward(y), model.grads.flat)

    data, made = slope(x, np.zeros(6), y), slope(more, np.ones(15), labels)
    order = draw.permutation(21)
    stacked = np.r_[x, more][order], np.r_[np.zeros(6), np.ones(15)][order], np.r_[y, labels][order]
    both = slope(*stacked)
    assert np.allclose(both, data + made, rtol=1e-12, atol=1e-15)
    pooled = slope(stacked[0], np.zeros(21), stacked[2])
    assert np.abs(2 * pooled - both).max() > 0.01
