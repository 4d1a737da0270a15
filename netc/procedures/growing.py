"""Nets that grow: what was learned is carried into a larger net; cascade correlation.

Invariant: a net grows by compiling a larger one; numbers that both have are carried over bit for
bit, and units that are there already keep their incoming weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.compiling import compile as compile_net
from netc.runtime.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from netc.model import Model, Precision

CASCADE: Final = """\
## Units one after the other; each sees the inputs and all units before it.
const inputs = 1
const outputs = 1
const hidden = 0

layer with_unit(x: [n]) { return concat(x, x |> dense(1, act=tanh)) }

net Cascade {
  input  x: [inputs]
  target y: [outputs]

  output a = x |> repeat(hidden, with_unit)
  output p = a |> dense(outputs)
  loss   squared_error(p, y)
}
"""
"""A cascade: `a` holds the inputs and all units, and the linear output `p` reads `a`."""

CANDIDATES: Final = """\
## Units that are trained side by side to correlate with what the net gets wrong.
const width = 1
const outputs = 1
const pool = 8

net Candidates {
  input  a: [width]
  target e: [outputs]

  output v = a |> dense(pool, act=tanh)
  spread  = v - batch_mean(v)
  error   = e - batch_mean(e)
  output C = sum(abs(batch_sum(stack(spread, axis=-1) * error)), axis=-1)
  penalty -sum(C)
}

train { optimizer = rprop(lr = 0.1) }
"""
"""Candidates for the next unit: `C` is the correlation of each, the sum over the outputs of
|sum_n (v^n - mean v) (e^n - mean e)|."""

_UNIT: Final = "a.repeat_{}.with_unit.dense."
_CANDIDATE: Final = "v.dense."
_OUTPUT: Final = "p.dense."


@dataclass(frozen=True, slots=True)
class Cascade:
    """A net grown by cascade correlation."""

    model: Model
    errors: tuple[float, ...]
    """Mean squared error after 0, 1, 2, … units."""
    correlations: tuple[float, ...]
    """What each unit reached before it was frozen."""


def carry(old: Model, new: Model) -> list[str]:
    """Copies parameters and states into a net that has grown; the parameters that are new.

    Names decide. Where a shape has grown, the old values fill the leading part and the rest keeps
    its initial value. Raises UsageError for one that has shrunk or has other axes.
    """
    for before, after in ((old.params, new.params), (old.state, new.state)):
        for name, values in before.items():
            if name in after:
                _leading(name, values, after[name])
    return [name for name in new.params if name not in old.params]


def _leading(name: str, values: NDArray[Any], into: NDArray[Any]) -> None:
    small, large = np.shape(values), np.shape(into)
    if len(small) != len(large) or any(s > n for s, n in zip(small, large, strict=True)):
        raise UsageError(f"`{name}` does not grow from {list(small)} to {list(large)}")
    into[tuple(slice(s) for s in small)] = values


def solve_output(model: Model, features: ArrayLike, targets: ArrayLike, layer: str) -> None:
    """Sets a linear layer to the least squares solution for features [N, n] and targets [N, K].

    `layer` is the start of its names: `p.dense.` for `p.dense.W` and `p.dense.b`. Of many solutions
    it takes the shortest.
    """
    a = np.asarray(features, np.float64)
    with_bias = np.hstack([a, np.ones((len(a), 1))])
    solved = np.linalg.lstsq(with_bias, np.asarray(targets, np.float64), rcond=None)[0]
    model.params[f"{layer}W"] = solved[:-1]
    model.params[f"{layer}b"] = solved[-1]


def cascade_correlation(
    x: ArrayLike,
    y: ArrayLike,
    *,
    units: int,
    pool: int = 8,
    steps: int = 200,
    tolerance: float = 0.0,
    seed: int = 0,
    precision: Precision = "f64",
    net: str = CASCADE,
    candidates: str = CANDIDATES,
) -> Cascade:
    """Grows a net for inputs x [N, n] and targets y [N, K], one unit at a time.

    The linear output is solved for; then `pool` candidate units are trained for `steps` full-batch
    steps to correlate with the errors, the best one joins the net with its incoming weights frozen,
    and the output is solved for again: up to `units` units, or until the mean squared error is at
    most `tolerance`. Other texts in place of `net` and `candidates` keep the names of those.
    Source: Fahlman and Lebiere 1990; 000.8.6.1.
    """
    inputs, targets = np.asarray(x, np.float64), np.asarray(y, np.float64)
    sizes = {"inputs": inputs.shape[1], "outputs": targets.shape[1]}

    def of_size(hidden: int) -> Model:
        defines = {**sizes, "hidden": hidden}
        return compile_net(source=net, defines=defines, precision=precision, seed=seed)

    model = of_size(0)
    features, errors = _refitted(model, inputs, targets)
    history = [float(np.mean(errors**2))]
    correlations: list[float] = []
    while len(correlations) < units and history[-1] > tolerance:
        defines = {"width": features.shape[1], "outputs": sizes["outputs"], "pool": pool}
        made = seed + len(correlations)
        tried = compile_net(source=candidates, defines=defines, precision=precision, seed=made)
        tried.fit(features, errors, epochs=steps, batch=len(inputs), shuffle=False, progress=False)
        reached = np.asarray(tried.evaluate(features, errors, batch=len(inputs))["C"])[0]
        best = int(np.argmax(reached))
        correlations.append(float(reached[best]))
        grown = of_size(len(correlations))
        _join(model, grown, tried, best, len(correlations))
        model = grown
        features, errors = _refitted(model, inputs, targets)
        history.append(float(np.mean(errors**2)))
    return Cascade(model, tuple(history), tuple(correlations))


def _refitted(
    model: Model, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solves for the output layer; what it reads, and the errors p - y that are left."""
    features = np.asarray(_outputs(model, x)["a"], np.float64)
    solve_output(model, features, y, _OUTPUT)
    return features, np.asarray(_outputs(model, x)["p"], np.float64) - y


def _outputs(model: Model, x: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    found = model.predict(x)
    if not isinstance(found, dict):
        raise UsageError("a cascade has the outputs `a` and `p`")
    return found


def _join(old: Model, new: Model, tried: Model, best: int, count: int) -> None:
    """The units there were, and the best candidate as the last one."""
    for name in old.params:
        if not name.startswith(_OUTPUT):
            new.params[name] = old.params[name]
    unit = _UNIT.format(count)
    new.params[f"{unit}W"] = tried.params[f"{_CANDIDATE}W"][:, best : best + 1]
    new.params[f"{unit}b"] = tried.params[f"{_CANDIDATE}b"][best : best + 1]
