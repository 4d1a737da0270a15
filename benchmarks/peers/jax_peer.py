"""JAX as one writes it: a jitted step that owns its state, with SGD or Adam in jax.numpy.

Images are [n, h, w, c] and weights of convolutions [h, w, in, out], its faster way. Adam is that of
Kingma and Ba 2015, algorithm 1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.nets import LEARNING_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.nets import Array, Part, Piece
    from benchmarks.peers import Order

TYPES: Final = {"f32": np.float32, "f64": np.float64}
ACTIVATIONS: Final = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "selu": jax.nn.selu,
}
IMAGES: Final = ("NHWC", "HWIO", "NHWC")
BETAS: Final = (0.9, 0.999)
EPSILON: Final = {"Adam": 1e-8, "batch_norm": 1e-5}
MOMENTUM: Final = 0.9


class Jax:
    """The state of the training is donated to each step, so that it is updated in place."""

    def __init__(self, order: Order) -> None:
        jax.config.update("jax_enable_x64", order.precision == "f64")
        self._type = TYPES[order.precision]
        parts = tuple(piece.part for piece in order.pieces)
        values = [self._values(piece) for piece in order.pieces]
        states = [tuple(map(self._array, piece.states)) for piece in order.pieces]
        moments = [jax.tree.map(jnp.zeros_like, values) for _ in BETAS]
        self._training = (values, states, moments, jnp.zeros((), jnp.int32))
        update = _adam if order.net.optimizer == "Adam" else _sgd
        self._step = jax.jit(partial(_step, parts, update), donate_argnums=0)
        self._forward = jax.jit(partial(_infer, parts))

    def _values(self, piece: Piece) -> tuple[Any, ...]:
        weights, *others = piece.values or (None,)
        if weights is None:
            return ()
        if piece.part.kind == "conv":
            weights = weights.transpose(2, 3, 1, 0)
        return tuple(map(self._array, (weights, *others)))

    def _array(self, value: Array) -> Any:
        return jnp.array(value, self._type)

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        images = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        return self._array(images), jnp.array(y, jnp.int32)

    def step(self, x: Any, y: Any) -> Any:
        self._training, loss = self._step(self._training, x, y)
        return loss

    def forward(self, x: Any) -> Any:
        return self._forward(self._training[0], self._training[1], x).block_until_ready()

    def number(self, loss: Any) -> float:
        jax.block_until_ready(self._training)
        return float(loss)


def _step(parts: Sequence[Part], update: Any, training: Any, x: Any, y: Any) -> Any:
    values, states, moments, count = training
    key = jax.random.fold_in(jax.random.key(0), count)

    def objective(values: Any) -> Any:
        logits, moved = _logits(parts, values, states, x, key)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -chosen.mean(), moved

    (loss, moved), slopes = jax.value_and_grad(objective, has_aux=True)(values)
    count += 1
    values, moments = update(values, moments, slopes, count)
    return (values, moved, moments, count), loss


def _infer(parts: Sequence[Part], values: Any, states: Any, x: Any) -> Any:
    return _logits(parts, values, states, x, None)[0]


def _sgd(values: Any, moments: Any, slopes: Any, count: Any) -> Any:
    del count
    return jax.tree.map(lambda w, g: w - LEARNING_RATE * g, values, slopes), moments


def _adam(values: Any, moments: Any, slopes: Any, count: Any) -> Any:
    (b1, b2), (m, v) = BETAS, moments
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, slopes)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, slopes)
    time = count.astype(jax.tree.leaves(values)[0].dtype)
    rate, scale = LEARNING_RATE / (1 - b1**time), 1 / (1 - b2**time)

    def moved(w: Any, m: Any, v: Any) -> Any:
        return w - rate * m / (jnp.sqrt(v * scale) + EPSILON["Adam"])

    return jax.tree.map(moved, values, m, v), [m, v]


def _logits(parts: Sequence[Part], values: Any, states: Any, x: Any, key: Any) -> Any:
    """The net's output and its next states; `key` draws and marks training."""
    moved = []
    for part, own, state in zip(parts, values, states, strict=True):
        x, after = _applied(part, own, state, x, key)
        moved.append(after)
    return x, moved


def _applied(part: Part, own: Any, state: Any, x: Any, key: Any) -> Any:
    size = int(part.number)
    match part.kind:
        case "dense":
            return x @ own[0] + own[1], state
        case "conv":
            padding = [(size, size)] * 2
            y = lax.conv_general_dilated(x, own[0], (1, 1), padding, dimension_numbers=IMAGES)
            return y + own[1], state
        case "batch_norm":
            return _normalised(own, state, x, training=key is not None)
        case "max_pool":
            return _pooled(x, size, lax.max, -jnp.inf), state
        case "avg_pool":
            return _pooled(x, size, lax.add, 0.0) / size**2, state
        case "flatten":
            return x.transpose(0, 3, 1, 2).reshape(len(x), -1), state
        case "dropout" if key is None or not part.number:
            return x, state
        case "dropout":
            kept = 1 - part.number
            return jnp.where(jax.random.bernoulli(key, kept, x.shape), x / kept, 0), state
        case activation:
            return ACTIVATIONS[activation](x), state


def _pooled(x: Any, size: int, operation: Any, start: float) -> Any:
    window = (1, size, size, 1)
    return lax.reduce_window(x, x.dtype.type(start), operation, window, window, "VALID")


def _normalised(own: Any, state: Any, x: Any, *, training: bool) -> Any:
    """Batch normalisation; the running variance is the biased one."""
    mean, variance = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if training else state
    scale = own[0] * lax.rsqrt(variance + EPSILON["batch_norm"])
    y = (x - mean) * scale + own[1]
    if not training:
        return y, state
    now = (mean, variance)
    return y, tuple(
        MOMENTUM * old + (1 - MOMENTUM) * new for old, new in zip(state, now, strict=True)
    )
