"""The primitives: what the compiler itself knows, each with its signature, builder and one line.

Invariant: the only table of names that texts may call and that are not defined in `.net`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.elaborate import (
    convolutions,
    derivatives,
    draws,
    einsum,
    indexing,
    initial_only,
    known,
    movements,
    reductions,
    windows,
)
from netc.compiler.elaborate.arithmetic import combine, tensor
from netc.compiler.elaborate.build import OPS, elementwise, with_number
from netc.compiler.elaborate.scope import Bound
from netc.compiler.elaborate.values import Chain, Group, Operand, Primitive, Tensor, Use
from netc.compiler.ir.graph import make
from netc.compiler.ops.source import Iota
from netc.grammar import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.compiler.elaborate.values import Value


def _pointwise(use: Use) -> Value:
    operands = tuple(use.arguments.values())
    return combine(use.name, operands, use.scope, use.span, use.name)


def _shape(use: Use) -> Value:
    found = known.shape_of(use.arguments["x"])
    if found is None:
        known.wrong(use.arguments["x"], "the operand of `shape`", "a tensor")
    return found


def _size(use: Use) -> Value:
    result = 1
    shape = _shape(use)
    assert isinstance(shape, tuple)
    for n in shape:
        assert isinstance(n, int)
        result *= n
    return result


def _count(use: Use) -> Value:
    operand = use.arguments["x"]
    if not isinstance(operand.value, Group):
        return _size(use)
    return operand.value.size


def _stop(use: Use) -> Value:
    operand = use.arguments["x"]
    if isinstance(operand.value, Group):
        parts = tuple(make(OPS["stop_gradient"](), part) for part in operand.value.parts)
        return Group(parts, operand.value.pattern)
    x = tensor(operand, use.scope, "the operand of `stop_gradient`")
    return Tensor(make(OPS["stop_gradient"](), x.node), x.classes, x.missing)


def _present(use: Use) -> Value:
    """1 where a value is known, 0 where it is NaN, or -1 as a label."""
    x = tensor(use.arguments["x"], use.scope, "the operand of `present`")
    if x.classes is not None:
        return Tensor(with_number("ge", x.node, 0))
    return Tensor(elementwise("not", elementwise("isnan", x.node)))


_COPIES: Final = 10_000  # of one `repeat`: each is text of its own for the rest of the compiler


def _iota(use: Use) -> Value:
    n = known.size(use.arguments["n"], "the length")
    return Tensor(make(Iota(n, use.scope.session.precision)))


def _repeat(use: Use) -> Value:
    """`x |> repeat(n, chain)`: n applications of the chain, each with parameters of its own.

    The last value, or with `all=true` those of all applications along a new first axis.
    """
    given = use.get("all")
    every = given is not None and known.boolean(given, "`all`")
    least = 1 if every else 0
    count = known.size(use.arguments["n"], "the number of copies", least=least, most=_COPIES)
    chain = use.chains["chain"]
    operand = use.arguments["x"]
    steps = []
    for index in range(1, count + 1):
        copy = chain
        match chain:
            case Chain(expression=tree.Lambda() as counted, scope=scope):
                bound = Bound(index, counted.parameter.span)
                copy = Chain(counted.body, scope.inside(counted.parameter.name, bound))
        result = use.scope.at(use.scope.path.repeat()).apply(copy, operand, use.span)
        operand = Operand(result, use.span)
        if every:
            steps.append((operand, tensor(operand, use.scope, "a value of the chain").node))
    return Tensor(indexing.stack(steps, 0)) if every else operand.value


def _entry(name: str, signature: str, build: Callable[[Use], Value], doc: str) -> Primitive:
    """A primitive from a signature such as `x, axis?`, `x, n, chain: layer` or `*, axis?`."""
    names = [part.strip() for part in signature.split(",") if part.strip() != "*"]
    chains = tuple(n.partition(":")[0] for n in names if ":" in n)
    defaults = tuple(n.rstrip("?") for n in names if n.endswith("?"))
    parameters = tuple(n.partition(":")[0].rstrip("?") for n in names)
    return Primitive(name, parameters, build, doc, defaults, chains, "*" in signature)


_UNARY: Final = {
    "exp": "e^x.",
    "log": "The natural logarithm.",
    "log1p": "log(1 + x), exact near 0.",
    "expm1": "e^x - 1, exact near 0.",
    "sqrt": "The square root.",
    "rsqrt": "1 / sqrt(x).",
    "abs": "|x|; slope 0 at 0.",
    "sign": "-1, 0 or 1.",
    "floor": "The largest whole number not above x.",
    "ceil": "The smallest whole number not below x.",
    "round": "The nearest whole number, halves to even.",
    "sin": "The sine.",
    "cos": "The cosine.",
    "tanh": "The hyperbolic tangent.",
    "sigmoid": "1 / (1 + e^-x).",
    "erf": "The error function.",
    "erfinv": "The inverse of erf.",
    "isnan": "1 where x is NaN, else 0.",
}

_REDUCED = "x, axis?, keepdims?"
_EITHER = "x, y?, axis?, keepdims?"
_POOLS = "x, size, stride?, padding?, dilation?"
_WINDOWS = "stride?, padding?, dilation?, groups?"

_LISTED: Final = (
    _entry("where", "condition, a, b", _pointwise, "a where the condition holds, else b."),
    _entry("min", _EITHER, reductions.extreme("min"), "The smaller of two, or over axes."),
    _entry("max", _EITHER, reductions.extreme("max"), "The larger of two, or over axes."),
    _entry("sum", _REDUCED, reductions.reduction("sum"), "The sum over axes; all by default."),
    _entry("mean", _REDUCED, reductions.mean, "The mean over axes; all by default."),
    _entry("prod", _REDUCED, reductions.reduction("prod"), "The product over axes."),
    _entry("argmax", _REDUCED, reductions.reduction("argmax"), "The index of the largest."),
    _entry("argmin", _REDUCED, reductions.reduction("argmin"), "The index of the smallest."),
    _entry("logsumexp", _REDUCED, reductions.reduction("logsumexp"), "log(sum(exp(x)))."),
    _entry("batch_sum", "x", reductions.batch("sum"), "The sum over the samples."),
    _entry("batch_max", "x", reductions.batch("max"), "The largest of the samples."),
    _entry("batch_mean", "x", reductions.batch_mean, "The mean over the samples."),
    _entry("einsum", "spec, *", einsum.einsum, "A sum of products named by axis letters."),
    _entry("convolve", f"x, w, {_WINDOWS}", convolutions.convolve, "Weights at every place."),
    _entry(
        "convolve_transpose",
        f"x, w, {_WINDOWS}, extra?",
        convolutions.convolve_transpose,
        "The transpose of `convolve`: its gradient by the image.",
    ),
    _entry("window_max", _POOLS, windows.window_max, "The largest element under each window."),
    _entry("window_sum", _POOLS, windows.window_sum, "The sum of the elements under each window."),
    _entry("reshape", "x, shape", movements.reshape, "The same elements in another shape."),
    _entry("transpose", "x, axes?", movements.transpose, "Axes reordered; reversed by default."),
    _entry("broadcast", "x, shape, axis?", movements.broadcast, "Repeated to a larger shape."),
    _entry("concat", "*, axis?", movements.concat, "One after the other along an axis."),
    _entry("stack", "*, axis?", movements.stack, "Side by side along a new axis."),
    _entry("pad", "x, before, after?", movements.pad, "Zeros around each axis."),
    _entry("slice", "x, start, stop, axis?", movements.slice_, "A range of one axis."),
    _entry("reverse", "x, axis?", movements.reverse, "Axes turned round; all by default."),
    _entry("gather", "x, indices, axis?", indexing.gather, "The elements that numbers pick."),
    _entry("uniform", "lo, hi, shape?, shared?", draws.uniform, "Uniform between lo and hi."),
    _entry("normal", "mean, std, shape?, shared?", draws.normal, "Normal with mean and deviation."),
    _entry("bernoulli", "p, shape?, shared?", draws.bernoulli, "1 with probability p, else 0."),
    _entry("shape", "x", _shape, "The shape of one sample."),
    _entry("size", "x", _size, "The number of elements of one sample."),
    _entry("count", "x", _count, "The number of elements of a group of parameters."),
    _entry("iota", "n", _iota, "The vector 0, 1, …, n - 1."),
    _entry("present", "x", _present, "1 where a value is known, 0 where it is missing."),
    _entry("stop_gradient", "x", _stop, "x itself, a constant for every derivative."),
    _entry("grad", "e, v", derivatives.grad, "The derivative of a number, of the shape of v."),
    _entry("jacobian", "y, v", derivatives.jacobian, "All derivatives: [y axes, v axes]."),
    _entry("hessian", "e, v", derivatives.hessian, "Second derivatives: [v axes, v axes]."),
    _entry("hvp", "e, v, u", derivatives.hvp, "The Hessian times u, of the shape of v."),
    _entry("repeat", "x, n, chain: layer, all?", _repeat, "n applications of a chain."),
    _entry("over_data", "e, before?", initial_only.over_data, "A value of the training data."),
    _entry("orthonormalise", "x", initial_only.orthonormalise, "Orthonormal rows or columns."),
)

PRIMITIVES: Final[dict[str, Primitive]] = {
    entry.name: entry
    for entry in (
        *(_entry(name, "x", _pointwise, doc) for name, doc in _UNARY.items()),
        *_LISTED,
    )
}
