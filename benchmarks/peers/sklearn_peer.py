"""scikit-learn's MLPClassifier, one `partial_fit` a step: chains of dense layers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.nets import LEARNING_RATE

if TYPE_CHECKING:
    from benchmarks.nets import Array
    from benchmarks.peers import Order

ACTIVATIONS: Final = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}
LEAST_CLASSES: Final = 3
"""With two classes it builds another net: one output."""


class Sklearn:
    """Raises NotImplementedError for what MLPClassifier has not got."""

    def __init__(self, order: Order) -> None:
        weights = [p.values for p in order.pieces if p.part.kind == "dense"]
        kinds = {p.part.kind for p in order.pieces} - {"dense"}
        classes = weights[-1][0].shape[1]
        if len(kinds) != 1 or not kinds <= ACTIVATIONS.keys() or classes < LEAST_CLASSES:
            raise NotImplementedError(order.net.name)
        self._type = {"f32": np.float32, "f64": np.float64}[order.precision]
        self._net = MLPClassifier(
            hidden_layer_sizes=[w.shape[1] for w, _ in weights[:-1]],
            activation=ACTIVATIONS[kinds.pop()],
            solver=order.net.optimizer.lower(),
            learning_rate_init=LEARNING_RATE,
            momentum=0.0,
            alpha=0.0,
            batch_size=1,
            shuffle=False,
        )
        nothing = np.zeros((1, weights[0][0].shape[0]), self._type)
        self._net.partial_fit(nothing, [0], classes=np.arange(classes))  # builds it
        for layer, values in enumerate(weights):
            self._net.coefs_[layer][...], self._net.intercepts_[layer][...] = values
        del self._net._optimizer  # a new one is made, with moments of 0

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        return np.ascontiguousarray(x, self._type), y

    def step(self, x: Any, y: Any) -> Any:
        self._net.batch_size = len(x)
        return self._net.partial_fit(x, y)

    def forward(self, x: Any) -> Any:
        raise NotImplementedError("it computes probabilities only")

    def number(self, loss: Any) -> float:
        return float(loss.loss_)
