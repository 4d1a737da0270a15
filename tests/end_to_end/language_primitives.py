"""Every primitive of the language by name, with a NumPy computation of its own.

`CASES` goes from a name to expressions over inputs and what they are worth; `ELSEWHERE` names the
test of each primitive that is not a formula of its operands. Together they name every primitive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.end_to_end.language_numbers import (
    convolved,
    each,
    einsum,
    gauss,
    hot,
    image_windows,
    inverse_erf,
    lse,
    of_numbers,
    padded,
    spread_out,
    windows,
)


@dataclass(frozen=True)
class Operand:
    """A declared operand: real numbers of a range, or labels below `classes`."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    classes: int | None = None

    def declared(self) -> str:
        shape = list(self.shape)
        if self.classes is None:
            return f"{shape}"
        return f"class[{self.classes}]{shape or ''} missing"


@dataclass(frozen=True)
class Case:
    """`reference` takes arrays with a leading axis of samples, of length 1 where it is the same.

    A reference of a random expression takes the draws first. Without `smooth` the derivative is 0
    wherever it exists. `shared` tells that the operands may also be values without samples.
    """

    expression: str
    reference: Callable[..., Any]
    operands: Mapping[str, Operand]
    smooth: bool = True
    random: bool = False
    shared: bool = True
    definitions: str = ""


def case(expression: str, reference: Callable[..., Any], **rest: Any) -> Case:
    """Operands by name: a shape, (shape, low, high), or an `Operand`; the rest are fields."""
    operands: dict[str, Operand] = {}
    for name in [n for n in rest if len(n) == 1]:
        given = rest.pop(name)
        if isinstance(given, Operand):
            operands[name] = given
        elif given and isinstance(given[0], tuple):
            operands[name] = Operand(*given)
        else:
            operands[name] = Operand(tuple(given))
    return Case(expression, reference, operands, **rest)


def labels(classes: int, *shape: int) -> Operand:
    return Operand(shape, classes=classes)


UNARY: Final[dict[str, tuple[Callable[..., Any], float, float, bool]]] = {
    "exp": (np.exp, -2, 2, True),
    "log": (np.log, 0.2, 3, True),
    "log1p": (np.log1p, -0.7, 3, True),
    "expm1": (np.expm1, -2, 2, True),
    "sqrt": (np.sqrt, 0.2, 3, True),
    "rsqrt": (lambda x: x**-0.5, 0.2, 3, True),
    "abs": (np.abs, -2, 2, True),
    "sign": (np.sign, -2, 2, False),
    "floor": (np.floor, -2.1, 2.2, False),
    "ceil": (np.ceil, -2.1, 2.2, False),
    "round": (of_numbers(round), -2.1, 2.2, False),
    "sin": (np.sin, -4, 4, True),
    "cos": (np.cos, -4, 4, True),
    "tanh": (np.tanh, -3, 3, True),
    "sigmoid": (lambda x: 0.5 + 0.5 * np.tanh(x / 2), -3, 3, True),
    "erf": (of_numbers(math.erf), -2, 2, True),
    "erfinv": (of_numbers(inverse_erf), -0.9, 0.9, True),
    "isnan": (np.isnan, -2, 2, False),
}

REDUCED: Final[dict[str, Callable[..., Any]]] = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "logsumexp": lse,
}


def reduced(name: str, of: Callable[..., Any]) -> tuple[Case, ...]:
    """One axis, several, all; from the end; with and without the axes kept."""
    return (
        case(f"{name}(a)", lambda a: a, a=()),
        case(f"{name}(a)", lambda a: of(a, axis=(1, 2)), a=(3, 5)),
        case(f"{name}(a, axis=0)", lambda a: of(a, axis=1), a=(7, 3)),
        case(f"{name}(a, axis=-1)", lambda a: of(a, axis=2), a=(2, 9)),
        case(f"{name}(a, axis=[0, -1])", lambda a: of(a, axis=(1, 3)), a=(2, 3, 2)),
        case(
            f"{name}(a, axis=[-2], keepdims=true) * a",
            lambda a: of(a, axis=1, keepdims=True) * a,
            a=(3, 2),
        ),
        case(f"{name}(a, keepdims=true)", lambda a: of(a, axis=(1, 2), keepdims=True), a=(1, 2)),
    )


def arg_reduced(name: str, of: Callable[..., Any]) -> tuple[Case, ...]:
    flat = lambda a: of(a.reshape(len(a), -1), axis=1)  # noqa: E731 - one line of mathematics
    return (
        case(f"a + {name}(a)", lambda a: a, a=()),
        case(f"{name}(a)", flat, a=(3, 5), smooth=False),
        case(f"{name}(a, axis=-1)", lambda a: of(a, axis=-1), a=(2, 9), smooth=False),
        case(
            f"{name}(a, axis=[0], keepdims=true)",
            lambda a: of(a, axis=1, keepdims=True),
            a=(5, 2),
            smooth=False,
        ),
    )


CASES: Final[dict[str, tuple[Case, ...]]] = {
    **{
        name: (
            case(f"{name}(a)", of, a=((5,), low, high), smooth=smooth),
            case(f"a * {name}(a)", lambda a, of=of: a * of(a), a=((2, 9), low, high)),
        )
        for name, (of, low, high, smooth) in UNARY.items()
    },
    **{name: reduced(name, of) for name, of in REDUCED.items()},
    "min": (
        *reduced("min", np.min),
        case("min(a, b)", np.minimum, a=(9,), b=(9,)),
        case("min(a, 0.3)", lambda a: np.minimum(a, 0.3), a=(3, 2)),
    ),
    "max": (
        *reduced("max", np.max),
        case("max(a, b)", lambda a, b: np.maximum(a, b[:, None]), a=(3, 2), b=(2,)),
    ),
    "argmax": arg_reduced("argmax", np.argmax),
    "argmin": arg_reduced("argmin", np.argmin),
    "where": (
        case("where(a > 0.1, b, b * a)", lambda a, b: np.where(a > 0.1, b, b * a), a=(9,), b=(9,)),
        case(
            "where(a > 0.11, log(a) * sqrt(a), 0)",
            lambda a: np.where(a > 0.11, np.log(np.abs(a)) * np.sqrt(np.abs(a)), 0),
            a=(3, 5),
        ),
        case("where(a, 1, b)", lambda a, b: np.ones_like(a) + 0 * b, a=(3,), b=(3,), smooth=False),
    ),
    "batch_sum": (
        case("batch_sum(a)", lambda a: a.sum(0, keepdims=True), a=(3,), shared=False),
        case("a * batch_sum(a^2)", lambda a: a * (a**2).sum(0), a=(2, 2), shared=False),
    ),
    "batch_mean": (
        case("batch_mean(a)", lambda a: a.mean(0, keepdims=True), a=(3,)),
        case("(a - batch_mean(a))^3", lambda a: (a - a.mean(0)) ** 3, a=(9,), shared=False),
    ),
    "batch_max": (
        case("batch_max(a)", lambda a: a.max(0, keepdims=True), a=(3,)),
        case("a * batch_max(a * b)", lambda a, b: a * (a * b).max(0), a=(9,), b=(9,), shared=False),
    ),
    "einsum": tuple(
        case(f'einsum("{spec}", {", ".join("abcd"[: len(shapes)])})', einsum(spec), **shapes)
        for spec, shapes in {
            "i->i": {"a": (3,)},
            "ij->": {"a": (3, 5)},
            "ij->ji": {"a": (1, 9)},
            "ii->i": {"a": (3, 3)},
            "ii->": {"a": (5, 5)},
            "iji->ji": {"a": (3, 2, 3)},
            "i,i->i": {"a": (3,), "b": (3,)},
            "ik,kj->ij": {"a": (3, 5), "b": (5, 2)},
            "ij,kl->": {"a": (3, 2), "b": (1, 2)},
            "iij,jk->k": {"a": (2, 2, 3), "b": (3, 2)},
            ",i->i": {"a": (), "b": (3,)},
            "i,j,ij->": {"a": (3,), "b": (2,), "c": (3, 2)},
            "bi,bj,bk->ijk": {"a": (3, 2), "b": (3, 2), "c": (3, 3)},
            "ij,jk,kl,l->i": {"a": (2, 3), "b": (3, 5), "c": (5, 2), "d": (2,)},
        }.items()
    ),
    "convolve": (
        case("convolve(a, b)", convolved, a=(2, 9), b=(3, 2, 4)),
        case(
            "convolve(a, b, stride=2, padding=1, groups=2)",
            lambda a, b: convolved(padded(a, (0, 0), (1, 1)), b, groups=2, stride=2),
            a=(4, 7),
            b=(2, 2, 3),
        ),
        case(
            "convolve(a, b, dilation=3)",
            lambda a, b: convolved(a, b, dilation=3),
            a=(1, 8),
            b=(2, 1, 2),
        ),
        case(
            "convolve(a, b)",
            each(
                lambda a, b: np.einsum(
                    "cpqk,fck->fpq", image_windows(a, 2, 3), b.reshape(*b.shape[:2], -1)
                )
            ),
            a=(2, 3, 5),
            b=(2, 2, 2, 3),
        ),
    ),
    "convolve_transpose": (
        case("convolve_transpose(a, b)", spread_out, a=(3, 5), b=(3, 2, 4)),
        case(
            "convolve_transpose(a, b, stride=2)",
            lambda a, b: spread_out(a, b, 2),
            a=(2, 3),
            b=(2, 1, 3),
        ),
    ),
    "window_max": (
        case("window_max(a, 3)", lambda a: windows(a, 3, 3).max(-1), a=(2, 9)),
        case(
            "window_max(a, [2, 3], stride=1)",
            lambda a: image_windows(a, 2, 3).max(-1),
            a=(2, 3, 5),
        ),
    ),
    "window_sum": (
        case("window_sum(a, 3, stride=2)", lambda a: windows(a, 3, 2).sum(-1), a=(2, 9)),
        case("window_sum(a, 2)", lambda a: image_windows(a, 2, 2, 2).sum(-1), a=(1, 4, 7)),
    ),
    "reshape": (
        case("reshape(a, [6])", lambda a: a.reshape(len(a), 6), a=(2, 3)),
        case("exp(reshape(a, [2, 1, 5]))", lambda a: np.exp(a.reshape(-1, 2, 1, 5)), a=(5, 2)),
    ),
    "transpose": (
        case("transpose(a)", lambda a: a.transpose(0, 2, 1), a=(9, 2)),
        case("transpose(a, [2, 0, -2])", lambda a: a.transpose(0, 3, 1, 2), a=(2, 3, 5)),
    ),
    "broadcast": (
        case(
            "broadcast(a, [3, 2]) * b",
            lambda a, b: np.repeat(a[:, None], 3, 1) * b,
            a=(2,),
            b=(3, 2),
        ),
        case("broadcast(a, [2, 9])", lambda a: np.repeat(a, 2, 1), a=(1, 9)),
    ),
    "concat": (
        case("concat(a, b, a)", lambda a, b: np.concatenate([a, b, a], 1), a=(1,), b=(9,)),
        case(
            "concat(a, b, axis=-1)",
            lambda a, b: np.concatenate([a, b], 2),
            a=(3, 2),
            b=(3, 1),
        ),
    ),
    "stack": (
        case("stack(a, b)", lambda a, b: np.stack([a, b], 1), a=(3,), b=(3,)),
        case("stack(a, 2 * a, axis=-1)", lambda a: np.stack([a, 2 * a], -1), a=(9,)),
    ),
    "pad": (
        case("pad(a, 2)", lambda a: padded(a, (2, 2)), a=(5,)),
        case("pad(a, [1, 0], [0, 3])", lambda a: padded(a, (1, 0), (0, 3)), a=(2, 3)),
    ),
    "slice": (
        case("slice(a, 1, 4)", lambda a: a[:, 1:4], a=(5,)),
        case("slice(a, -3, -1, axis=-1)", lambda a: a[..., -3:-1], a=(2, 9)),
    ),
    "reverse": (
        case("reverse(a)", lambda a: a[:, ::-1, ::-1], a=(2, 3)),
        case("reverse(a, axis=-1) * a", lambda a: a[..., ::-1] * a, a=(3, 9)),
    ),
    "gather": (
        case("gather(a, t)", each(lambda a, t: hot(t, 5) @ a), a=(5, 3), t=labels(5)),
        case("gather(a, t)", each(lambda a, t: hot(t, 7) @ a), a=(7, 9), t=labels(7, 3)),
        case(
            "gather(a, t, axis=-1)",
            each(lambda a, t: np.moveaxis(np.tensordot(hot(t, 9), a, (-1, 1)), -1, 0)),
            a=(3, 9),
            t=labels(9, 2, 2),
        ),
        case("gather(a, [3, 0, 3])", lambda a: a[:, [3, 0, 3]], a=(5,)),
        case("gather(a, iota(3) * 2, axis=1)", lambda a: a[:, :, ::2], a=(2, 5, 3)),
        case("gather(a, argmax(b))", each(lambda a, b: a[np.argmax(b)]), a=(5, 2), b=(5,)),
        case(
            "gather(a, b)",
            each(lambda a, b: a[int(b)] if 0 <= b < 3 else 0.0),
            a=(3,),
            b=((), -0.7, 3.4),
        ),
    ),
    "uniform": (
        case(
            "uniform(a, b, [3])",
            lambda draw, a, b: a[:, None] + (b - a[:, None]) * draw("y", 3),
            a=(),
            b=(3,),
            random=True,
        ),
        case(
            "a * uniform(-1, 2, [2, 5], shared=true)",
            lambda draw, a: a * (-1 + 3 * draw("y", 2, 5, shared=True)),
            a=(2, 5),
            random=True,
        ),
    ),
    "normal": (
        case(
            "normal(a, b, [9])",
            lambda draw, a, b: a[:, None] + b * gauss(draw("y", 9)),
            a=(),
            b=(9,),
            random=True,
        ),
        case(
            "a + normal(0, 2, [3], shared=true)",
            lambda draw, a: a + 2 * gauss(draw("y", 3, shared=True)),
            a=(3,),
            random=True,
        ),
    ),
    "bernoulli": (
        case(
            "a * bernoulli(0.3, [2, 3])",
            lambda draw, a: a * (draw("y", 2, 3) < 0.3),
            a=(2, 3),
            random=True,
        ),
        case(
            "a * bernoulli(b, [9], shared=true)",
            lambda draw, a, b: a * (draw("y", 9, shared=True) < b),
            a=(9,),
            b=((9,), 0, 1),
            random=True,
        ),
    ),
    "shape": (
        case("reshape(a, shape(b)) * b", lambda a, b: a.reshape(-1, 2, 3) * b, a=(6,), b=(2, 3)),
        case("a * shape(a)[-1]", lambda a: a * 9, a=(2, 9)),
    ),
    "size": (case("a / size(a)", lambda a: a / 6, a=(2, 3)),),
    "count": (case("a^2 * count(a)", lambda a: a**2 * 15, a=(3, 5)),),
    "iota": (case("a * iota(9)", lambda a: a * np.arange(9), a=(2, 9)),),
    "present": (
        case("a * present(t)", lambda a, t: a * (t >= 0), a=(3,), t=labels(4, 3)),
        case(
            "where(present(log(a)), a^2, 1)",
            lambda a: np.where(a >= 0, a**2, 1),
            a=(9,),
        ),
    ),
    "repeat": (
        case(
            "a |> repeat(3, i -> turned(i))",
            lambda a: np.sin(3 * np.sin(2 * np.sin(a))),
            a=(5,),
            definitions="fn turned(x, i) = sin(i * x)",
        ),
        case("a |> repeat(0, tanh)", lambda a: a, a=(2,)),
        case(
            "a |> repeat(3, i -> x -> sin(i * x), all=true)",
            lambda a: np.stack([np.sin(a), y := np.sin(2 * np.sin(a)), np.sin(3 * y)], 1),
            a=(2, 3),
        ),
        case("a |> repeat(2, tanh)", lambda a: np.tanh(np.tanh(a)), a=(2, 2)),
    ),
}
"""By name of the primitive."""

ELSEWHERE: Final[dict[str, tuple[str, str]]] = {
    "stop_gradient": ("tests/end_to_end/test_language_primitives.py", "stop_gradient("),
    "grad": ("tests/end_to_end/test_language_derivatives.py", "grad("),
    "jacobian": ("tests/end_to_end/test_language_derivatives.py", "jacobian("),
    "hessian": ("tests/end_to_end/test_language_derivatives.py", "hessian("),
    "hvp": ("tests/end_to_end/test_language_derivatives.py", "hvp("),
    "over_data": ("tests/end_to_end/test_over_data.py", "over_data("),
    "orthonormalise": ("tests/prelude/references/initialisers.py", "orthogonal"),
}
"""Primitives with tests of their own: the file, and what to look for in it."""
