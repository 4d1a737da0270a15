"""Contractions: every matrix product, and every derivative of one, is a `Contract`.

A specification such as "k,kn->n" names per-sample axes by letters. Each letter of an operand stands
in the other operand or in the result, so the family is closed under derivatives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.reduce import reduce_sum

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times

SPEC: Final = re.compile(r"([a-z]*),([a-z]*)->([a-z]*)")


@dataclass(frozen=True, slots=True)
class Contract(Op):
    """The sum of products over the letters that the result lacks.

    With `sum_batch` both operands are batched and the sum runs over the samples too.
    """

    spec: str
    sum_batch: bool = False

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls("k,kn->n"), ((5,), (5, 3))),
            Sample(cls("ik,kj->ij"), ((3, 4), (4, 2))),
            Sample(cls("hqk,hdk->qhd"), ((2, 3, 4), (2, 5, 4))),
            Sample(cls("i,j->ji"), ((3,), (4,))),
            Sample(cls("i,i->"), ((7,), (7,))),
            Sample(cls("i,n->in", sum_batch=True), ((3,), (4,))),
            Sample(cls("i,i->", sum_batch=True), ((3,), (3,))),
        )

    @property
    def letters(self) -> tuple[str, str, str]:
        """The letters of the two operands and of the result."""
        found = SPEC.fullmatch(self.spec)
        if found is None:
            raise TypeRuleError(f"contraction {self.spec!r}: expected the form 'ik,kj->ij'")
        a, b, out = found.groups()
        return a, b, out

    def sizes(self, a: TensorType, b: TensorType) -> dict[str, int]:
        """The extent of each letter; raises TypeRuleError when the operands disagree."""
        first, second, _ = self.letters
        if (len(first), len(second)) != (a.rank, b.rank):
            raise TypeRuleError(f"contraction {self.spec!r} of {a} and {b}: the ranks differ")
        found: dict[str, int] = {}
        for letter, size in zip(first + second, a.shape + b.shape, strict=True):
            if found.setdefault(letter, size) != size:
                raise TypeRuleError(
                    f"contraction {self.spec!r} of {a} and {b}:"
                    f" {letter} is both {found[letter]} and {size}"
                )
        return found

    def infer(self, *types: TensorType) -> TensorType:
        a, b = types
        sizes = self.sizes(a, b)
        first, second, out = (set(part) for part in self.letters)
        repeated = any(len(set(part)) != len(part) for part in self.letters)
        if repeated or first - second - out or second - first - out or out - first - second:
            raise TypeRuleError(
                f"contraction {self.spec!r}: a letter stands once in a part, and in two parts"
            )
        if a.precision != b.precision or (self.sum_batch and not (a.batched and b.batched)):
            raise TypeRuleError(f"contraction {self.spec!r} over the batch of {a} and {b}")
        shape = tuple(sizes[letter] for letter in self.letters[2])
        return TensorType(shape, (a.batched or b.batched) and not self.sum_batch, a.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        parts = list(self.letters)
        for i, of in enumerate((*node.args, node)):
            parts[i] = ("Z" if of.type.batched else "") + parts[i]
        a, b, out = parts
        return np.asarray(np.einsum(f"{a},{b}->{out}", *args, optimize=True))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        a, b = node.args
        first, second, out = self.letters
        return (
            _pull(f"{out},{second}->{first}", cotangent, b, a),
            _pull(f"{out},{first}->{second}", cotangent, a, b),
        )


def _pull(spec: str, cotangent: Node, other: Node, target: Node) -> Node:
    """The cotangent of `target`, summed over the batch at once where the target has none."""
    both = cotangent.type.batched and other.type.batched
    return make(Contract(spec, sum_batch=both and not target.type.batched), cotangent, other)


def contract(spec: str, a: Node, b: Node) -> Node:
    """Any two-operand einsum without repeated letters: lone letters are summed first."""
    first, second, out = Contract(spec).letters
    Contract(spec).sizes(a.type, b.type)
    a, first = _without_lone(a, first, second + out)
    b, second = _without_lone(b, second, first + out)
    return make(Contract(f"{first},{second}->{out}"), a, b)


def _without_lone(x: Node, letters: str, others: str) -> tuple[Node, str]:
    lone = tuple(i for i, letter in enumerate(letters) if letter not in others)
    return reduce_sum(x, lone), "".join(c for c in letters if c in others)
