"""`einsum`: sums of products named by axis letters, of any number of operands.

Invariant: each step is a sum over axes or a product of two, from left to right, that keeps exactly
the letters which the result or a later operand still needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate import known
from netc.compiler.elaborate.arithmetic import tensor
from netc.compiler.elaborate.build import contract, elementwise
from netc.compiler.elaborate.shape_mistakes import BadEinsum
from netc.compiler.elaborate.values import Operand, Tensor, Use, Value, show_shape
from netc.compiler.ir.graph import make
from netc.compiler.ops.movement import transpose
from netc.compiler.ops.reduce import broadcast, reduce
from netc.compiler.ops.source import Iota, constant
from netc.grammar.diagnostics import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netc.compiler.ir.graph import Node

Labelled = tuple[str, "Node"]
"""A value and a letter for each of its axes."""


def einsum(use: Use) -> Value:
    """`einsum("ik,kj->ij", a, b)`; a letter twice in one operand takes its diagonal."""
    text = use.arguments["spec"]
    spec = known.string(text, "the specification of `einsum`").replace(" ", "")
    inputs, out = _read(text, spec)
    if len(inputs) != len(use.rest):
        raise _refused(text, spec, _counts(len(inputs), len(use.rest)))
    nodes = [tensor(x, use.scope, "an operand of `einsum`").node for x in use.rest]
    _check(text, spec, inputs, nodes)
    values = [_diagonal(letters, node) for letters, node in zip(inputs, nodes, strict=True)]
    return Tensor(_product(values, out))


def _read(text: Operand, spec: str) -> tuple[list[str], str]:
    """The letters of the operands and of the result."""
    if "..." in spec:
        raise _refused(text, spec, "`...` is not supported", "name every axis by a letter")
    wrong = next((c for c in spec.replace("->", "") if not ("a" <= c <= "z" or c == ",")), None)
    if wrong is not None:
        raise _refused(text, spec, f"`{wrong}` is no letter from a to z")
    operands, arrow, out = spec.partition("->")
    if not arrow:
        once = "".join(sorted(c for c in set(spec) - {","} if spec.count(c) == 1))
        raise _refused(text, spec, "the result has no letters", f'write "{spec}->{once}"')
    if "->" in out or "," in out:
        raise _refused(text, spec, "one result stands behind one `->`")
    for letter in out:
        if letter not in operands:
            raise _refused(text, spec, f"`{letter}` of the result stands in no operand")
        if out.count(letter) > 1:
            raise _refused(text, spec, f"`{letter}` stands twice in the result")
    return operands.split(","), out


def _refused(text: Operand, spec: str, reason: str, hint: str | None = None) -> Failure:
    if hint is None:
        return Failure(BadEinsum(span=text.span, spec=spec, reason=reason))
    return Failure(BadEinsum(span=text.span, spec=spec, reason=reason, hint=hint))


def _counts(named: int, given: int) -> str:
    operands = "operand" if named == 1 else "operands"
    return f"it names {named} {operands}, {given} {'is' if given == 1 else 'are'} given"


def _check(text: Operand, spec: str, inputs: Sequence[str], nodes: Sequence[Node]) -> None:
    """Every operand has a letter for each axis, and every letter one size."""
    sizes: dict[str, int] = {}
    for letters, node in zip(inputs, nodes, strict=True):
        if len(letters) != node.type.rank:
            count = f"{len(letters)} letter{'' if len(letters) == 1 else 's'}"
            shape = show_shape(node.type.shape)
            raise _refused(text, spec, f"`{letters}` has {count} for the shape {shape}")
        for letter, size in zip(letters, node.type.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise _refused(text, spec, f"`{letter}` is {sizes[letter]} and {size}")


def _diagonal(letters: str, x: Node) -> Labelled:
    """Each letter once: of a repeated one only the elements where its places agree are kept."""
    zero = constant(0, (), x.type.precision)
    while repeated := next((c for c in letters if letters.count(c) > 1), None):
        first = letters.index(repeated)
        second = letters.index(repeated, first + 1)
        shape = x.type.shape
        places = make(Iota(shape[first], x.type.precision))
        along = (broadcast(places, shape, (axis,)) for axis in (first, second))
        x = reduce("sum", elementwise("where", elementwise("eq", *along), x, zero), (second,))
        letters = letters[:second] + letters[second + 1 :]
    return letters, x


def _product(values: Sequence[Labelled], out: str) -> Node:
    """The product of all values, summed over what the result lacks, in the order of `out`."""
    letters, x = "", None
    for position, value in enumerate(values):
        later = [out, *(others for others, _ in values[position + 1 :])]
        if x is None:
            letters, x = _summed(value, later)
        else:
            letters, x = _pair((letters, x), value, later)
    assert x is not None
    return transpose(x, tuple(letters.index(letter) for letter in out))


def _pair(left: Labelled, right: Labelled, later: Sequence[str]) -> Labelled:
    """The product of two values with the letters that are needed later."""
    (a, x), (b, y) = _summed(left, [right[0], *later]), _summed(right, [left[0], *later])
    if not a or not b:
        return a + b, elementwise("mul", x, y)
    kept = [c for c in dict.fromkeys(a + b) if any(c in others for others in later)]
    out = "".join(c for c in later[0] if c in kept) if len(later) == 1 else "".join(kept)
    return out, contract(f"{a},{b}->{out}", x, y)


def _summed(value: Labelled, others: Iterable[str]) -> Labelled:
    """Without the letters that nobody else has."""
    letters, x = value
    needed = "".join(others)
    alone = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    return "".join(c for c in letters if c in needed), reduce("sum", x, alone)
