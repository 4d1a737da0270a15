"""From a graph to a formula.

Invariant: lifts, repeated numbers and the limits that rules take at infinity are not written; an
operation that mathematics has no sign for is written as a function by its own name.
"""

from __future__ import annotations

from math import inf, isinf
from typing import TYPE_CHECKING, Final

from netc.compiler.ir.graph import toposort
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.movement import Slice
from netc.compiler.ops.reduce import Reduce
from netc.compiler.ops.source import Constant, Iota, Source
from netc.derivation.algebra import (
    Call,
    Product,
    Sum,
    Term,
    add,
    atom,
    inverse,
    linear,
    number,
    scale,
    symbol,
    times,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netc.compiler.ir.graph import Node

COMPARISONS: Final = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠"}
IOTA: Final = Call("iota", ())
SILENT: Final = ("lift", "stop_gradient", "custom")


def read(root: Node, names: Mapping[Node, Sum]) -> Sum:
    """The formula of a graph; nodes in `names` are written by these."""
    known = dict(names)
    for node in toposort([root]):
        if node not in known:
            known[node] = _read(node, [known[arg] for arg in node.args])
    return known[root]


def _read(node: Node, args: Sequence[Sum]) -> Sum:
    word = node.op.word
    match node.op:
        case Source(name=name):
            return symbol(name)
        case Constant(value=value):
            return atom(Call("∞", ())) if value == inf else number(value)
        case Contract(spec=spec, windows=()):
            return _contraction(spec, *args)
        case Reduce(kind="sum"):
            detail = _detail(node)
            return linear(args[0], lambda x: Call("Σ", (x,), detail))
        case Reduce(kind=kind):
            return atom(Call(kind, (args[0],), _detail(node)))
        case Iota():
            return atom(IOTA)
        case Slice(starts=starts, stops=stops):
            parts = ", ".join(f"{a}:{b}" for a, b in zip(starts, stops, strict=True))
            return atom(Call(f"slice[{parts}]", (args[0],)))
        case _:
            pass
    if word in SILENT or (word in ("broadcast", "reshape") and _same_axes(node)):
        return args[0]
    if word in ("gather", "scatter") and node.args[0].type.rank + node.type.rank != 1:
        return atom(Call(word, tuple(args), repr(node.op)))
    if word == "eq" and node.type.rank == 1 and (code := _onehot(*args)) is not None:
        return code
    if word in COMPARISONS:
        return atom(Call(f"indicator {COMPARISONS[word]}", tuple(args)))
    rule = RULES.get(word)
    return atom(Call(word, tuple(args), repr(node.op))) if rule is None else rule(*args)


def _detail(node: Node) -> str:
    """The axes of a reduction, unless it is one of a vector."""
    vector = node.args[0].type.rank == 1
    return "" if vector else repr(node.op)


def _onehot(a: Sum, b: Sum) -> Sum | None:
    """Numbers 0, 1, … compared with a label are its one-hot code."""
    for numbers, label in ((a, b), (b, a)):
        if numbers == atom(IOTA):
            return atom(Call("onehot", (_bare(label),)))
    return None


def _bare(a: Sum) -> Sum:
    """What a broadcast repeats."""
    match a.terms:
        case (Term(1.0, ((Call("broadcast", (inner,), _), 1),)),):
            return inner
        case _:
            return a


def _same_axes(node: Node) -> bool:
    """Whether axes of one element alone are new or gone, or a single number is repeated."""
    before, after = node.args[0].type.shape, node.type.shape
    if node.op.word == "broadcast" and node.args[0].type.size == 1:
        return True
    return [n for n in before if n > 1] == [n for n in after if n > 1]


def _contraction(spec: str, a: Sum, b: Sum) -> Sum:
    """A product of matrices and columns where the contraction is one."""
    left, arrow = spec.split(",")
    right, out = arrow.split("->")
    for x, y, first, second in ((left, right, a, b), (right, left, b, a)):
        form = _form(x, y, out)
        if form is not None:
            return _product(first, second, *form)
    return atom(Call(f"contract[{spec}]", (a, b)))


def _product(a: Sum, b: Sum, left: bool, right: bool) -> Sum:
    return linear(a, lambda x: _inner(x, b, left, right))


def _inner(a: Sum, b: Sum, left: bool, right: bool) -> Product:
    return Product(a, b, left, right)


def _form(x: str, y: str, out: str) -> tuple[bool, bool] | None:
    """Which factor of `x y` is transposed, for letters of columns and matrices."""
    shared = set(x) & set(y)
    match len(x), len(y), len(shared):
        case 1, 1, 1:
            return (True, False) if out == "" else None
        case 1, 1, 0:
            return (False, True) if out == x + y else None
        case 2, 1, 1:
            return (x[0] == y, False) if out == x.replace(y, "") else None
        case 2, 2, 1:
            (k,) = shared
            wanted = x.replace(k, "") + y.replace(k, "")
            return (x[0] == k, y[1] == k) if out == wanted else None
        case _:
            return None


def _exp(x: Sum) -> Sum:
    """e^(z - logsumexp z) is the softmax of z."""
    for i, term in enumerate(x.terms):
        rest = Sum(x.terms[:i] + x.terms[i + 1 :])
        if term == Term(-1.0, ((Call("logsumexp", (rest,)), 1),)):
            return atom(Call("softmax", (rest,)))
    return atom(Call("exp", (x,)))


def _where(condition: Sum, a: Sum, b: Sum) -> Sum:
    """A choice; one between a value and 0 is a product with an indicator."""
    if "∞" in repr(condition):
        return b
    if b.number == 0:
        return times(condition, a)
    return atom(Call("where", (condition, a, b)))


def _power(a: Sum, b: Sum) -> Sum:
    whole = b.number
    if whole is None or not float(whole).is_integer() or isinf(whole) or abs(whole) > 4:
        return atom(Call("pow", (a, b)))
    result = number(1.0)
    for _ in range(int(abs(whole))):
        result = times(result, a)
    return inverse(result) if whole < 0 else result


def _scatter(value: Sum, index: Sum) -> Sum:
    return times(value, atom(Call("onehot", (index,))))


RULES: Final[dict[str, Callable[..., Sum]]] = {
    "add": add,
    "sub": lambda a, b: add(a, scale(-1.0, b)),
    "mul": times,
    "absorb": times,
    "neg": lambda a: scale(-1.0, a),
    "div": lambda a, b: times(a, inverse(b)),
    "exp": _exp,
    "where": _where,
    "pow": _power,
    "scatter": _scatter,  # of a number into a vector, as gather is of a vector
    "gather": lambda x, index: atom(Call("index", (x, index))),
}
