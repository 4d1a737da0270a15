"""Every op once more, as an independent line of NumPy on one sample: what the ops must equal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netc.compiler.ops import contract, gather
from netc.compiler.ops import elementwise as e
from netc.compiler.ops import movement as m
from netc.compiler.ops import reduce as r
from netc.compiler.ops import unfold as u

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reference = Callable[..., Any]


def scalar(function: Callable[..., Any]) -> Reference:
    return lambda op, *args: np.vectorize(function, otypes=[np.float64])(*args)


def product(op: contract.Contract, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over all index combinations, one by one."""
    first, rest = op.spec.split(",")
    second, out = rest.split("->")
    sizes = dict(zip(first + second, a.shape + b.shape, strict=True))
    for (element, place, tap), w in op.windows:
        span = w.dilation * (w.size - 1)
        places = len(range(0, w.length + w.before + w.after - span, w.stride))
        sizes |= {element: w.length, place: places, tap: w.size}
    letters = sorted(sizes)
    result = np.zeros([sizes[c] for c in out])
    for index in np.ndindex(*(sizes[c] for c in letters)):
        at = dict(zip(letters, index, strict=True))
        if any(
            at[e] != at[p] * w.stride + at[t] * w.dilation - w.before for (e, p, t), w in op.windows
        ):
            continue
        where = [tuple(at[c] for c in part) for part in (first, second, out)]
        result[where[2]] += a[where[0]] * b[where[1]]
    return result


def fold(function: Callable[..., Any]) -> Callable[[r.Reduce, np.ndarray], np.ndarray]:
    """`function` of the list of elements that fall together, in row-major order."""

    def reduced(op: r.Reduce, x: np.ndarray) -> np.ndarray:
        kept = [i for i in range(x.ndim) if i not in op.axes]
        result = np.zeros([x.shape[i] for i in kept])
        for index in np.ndindex(*result.shape):
            chosen = [slice(None)] * x.ndim
            for axis, at in zip(kept, index, strict=True):
                chosen[axis] = at
            result[index] = function([float(v) for v in x[tuple(chosen)].ravel()])
        return result

    return reduced


REDUCTIONS: Final = {
    "sum": fold(math.fsum),
    "max": fold(max),
    "min": fold(min),
    "prod": fold(math.prod),
    "argmax": fold(lambda v: v.index(max(v))),
    "argmin": fold(lambda v: v.index(min(v))),
    "logsumexp": fold(lambda v: math.log(math.fsum(map(math.exp, v)))),
}


def placed(op: r.Broadcast, x: np.ndarray) -> np.ndarray:
    result = np.zeros(op.shape)
    for index in np.ndindex(*op.shape):
        result[index] = x[tuple(index[a] for a in op.axes)]
    return result


def padded(op: m.Pad, x: np.ndarray) -> np.ndarray:
    result = np.zeros([b + n + a for b, n, a in zip(op.before, x.shape, op.after, strict=True)])
    result[tuple(slice(b, b + n) for b, n in zip(op.before, x.shape, strict=True))] = x
    return result


def reversed_(op: m.Reverse, x: np.ndarray) -> np.ndarray:
    result = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        result[index] = x[tuple(~i if a in op.axes else i for a, i in enumerate(index))]
    return result


def one_hot(indices: np.ndarray, size: int) -> np.ndarray:
    """A row for each index with a 1 at its whole part, or zeros."""
    rows = [[float(k <= i < k + 1) for k in range(size)] for i in indices.ravel()]
    return np.array(rows).reshape(*indices.shape, size)


def gathered(op: gather.Gather, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """By a product with one-hot rows, whose axes come first."""
    hot = one_hot(indices, x.shape[op.axis])
    product = np.tensordot(hot, x, (-1, op.axis))
    first = range(indices.ndim)
    return np.moveaxis(product, first, [op.axis + i for i in first])


def scattered(op: gather.Scatter, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    hot = one_hot(indices, op.size)
    axes = range(indices.ndim)
    product = np.tensordot(hot, values, (axes, [op.axis + i for i in axes]))
    return np.moveaxis(product, 0, op.axis)


def taps(windows: u.Windows, shape: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """Each index of the unfolded windows with that of its element, None in the padding."""
    for index in np.ndindex(*shape):
        element = list(index[: len(shape) - len(windows)])
        for (axis, window), tap in zip(windows, index[len(element) :], strict=True):
            element[axis] = element[axis] * window.stride + tap * window.dilation - window.before
        lengths = [(element[axis], window.length) for axis, window in windows]
        yield index, tuple(element) if all(0 <= e < n for e, n in lengths) else None


def unfolded(op: u.Unfold, x: np.ndarray) -> np.ndarray:
    sizes = list(x.shape)
    for axis, w in op.windows:
        last = [p for p in range(99) if p * w.stride + w.reach <= w.before + w.length + w.after]
        sizes[axis] = len(last)
    result = np.full((*sizes, *(w.size for _, w in op.windows)), op.fill)
    for index, element in taps(op.windows, result.shape):
        if element is not None:
            result[index] = x[element]
    return result


def folded(op: u.Fold, x: np.ndarray) -> np.ndarray:
    sizes = list(x.shape[: x.ndim - len(op.windows)])
    for axis, window in op.windows:
        sizes[axis] = window.length
    result = np.zeros(sizes)
    for index, element in taps(op.windows, x.shape):
        if element is not None:
            result[element] += x[index]
    return result


def inverse_erf(y: float) -> float:
    """Bisection."""
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return (low + high) / 2


SAMPLEWISE: Final[dict[type, Reference]] = {
    e.Add: lambda op, a, b: a + b,
    e.Sub: lambda op, a, b: a - b,
    e.Mul: lambda op, a, b: a * b,
    e.Absorb: scalar(lambda a, b: 0.0 if a == 0 else a * b),
    e.Div: lambda op, a, b: a / b,
    e.Neg: lambda op, x: -x,
    e.Pow: scalar(math.pow),
    e.Max: scalar(lambda a, b: a if a > b else b),
    e.Min: scalar(lambda a, b: a if a < b else b),
    e.Exp: scalar(math.exp),
    e.Expm1: scalar(math.expm1),
    e.Log: scalar(math.log),
    e.Log1p: scalar(math.log1p),
    e.Sqrt: scalar(math.sqrt),
    e.Rsqrt: scalar(lambda x: 1 / math.sqrt(x)),
    e.Abs: scalar(abs),
    e.Sign: scalar(lambda x: int(x > 0) - int(x < 0)),
    e.Floor: scalar(math.floor),
    e.Ceil: scalar(math.ceil),
    e.Round: scalar(round),
    e.Sin: scalar(math.sin),
    e.Cos: scalar(math.cos),
    e.Tanh: scalar(math.tanh),
    e.Sigmoid: scalar(lambda x: 1 / (1 + math.exp(-x))),
    e.Erf: scalar(math.erf),
    e.Erfinv: scalar(inverse_erf),
    e.Where: scalar(lambda c, a, b: a if c else b),
    e.Isnan: scalar(math.isnan),
    e.Lt: scalar(lambda a, b: a < b),
    e.Le: scalar(lambda a, b: a <= b),
    e.Gt: scalar(lambda a, b: a > b),
    e.Ge: scalar(lambda a, b: a >= b),
    e.Eq: scalar(lambda a, b: a == b),
    e.Ne: scalar(lambda a, b: a != b),
    e.And: scalar(lambda a, b: bool(a) and bool(b)),
    e.Or: scalar(lambda a, b: bool(a) or bool(b)),
    e.Not: scalar(lambda x: not x),
    e.StopGradient: lambda op, x: x,
    r.Reduce: lambda op, x: REDUCTIONS[op.kind](op, x),
    r.Broadcast: placed,
    r.Lift: lambda op, x: x,
    m.Reshape: lambda op, x: np.array(x.ravel().tolist()).reshape(op.shape),
    m.Transpose: lambda op, x: np.transpose(x, op.permutation),
    m.Slice: lambda op, x: x[tuple(slice(a, b) for a, b in zip(op.starts, op.stops, strict=True))],
    m.Pad: padded,
    m.Concat: lambda op, *parts: np.concatenate(parts, op.axis),
    m.Reverse: reversed_,
    u.Unfold: unfolded,
    u.Fold: folded,
    contract.Contract: product,
    gather.Gather: gathered,
    gather.Scatter: scattered,
}
"""The value for one sample."""


def over_batch(op: object, *args: np.ndarray) -> np.ndarray:
    """The value of an op that leaves the batch, from arrays with a leading batch axis."""
    match op:
        case r.BatchReduce("sum"):
            return np.asarray(sum(args[0]))
        case r.BatchReduce("max"):
            return np.asarray(np.max(args[0], axis=0))
        case contract.Contract(sum_batch=True):
            return np.asarray(sum(product(op, a, b) for a, b in zip(*args, strict=True)))
        case gather.Scatter(sum_batch=True):
            return np.asarray(sum(scattered(op, a, b) for a, b in zip(*args, strict=True)))
    raise AssertionError(op)
