"""Contractions: every matrix product and every convolution, and every derivative of one.

A specification such as "k,kn->n" names per-sample axes by letters. Each letter of an operand stands
in the other operand or in the result. A window ties three letters, (element, place, tap), by
element = place · stride + tap · dilation − before; each of them stands in another part. A
derivative only permutes the parts, so the family is closed: a convolution has the element in one
operand and the tap in the other, the gradient of its input has the element in the result, that of
its weights the tap.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.reduce import reduce_sum
from netc.compiler.ops.window import Window
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times

SPEC: Final = re.compile(r"([a-z]*),([a-z]*)->([a-z]*)")


Tied = tuple[str, Window]
"""The letters of element, place and tap, and how they are tied."""


@record
class Contract(Op):
    """The sum of products over the letters that the result lacks.

    With `sum_batch` both operands are batched and the sum runs over the samples too.
    """

    spec: str
    sum_batch: bool = False
    windows: tuple[Tied, ...] = ()

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
            *_window_samples(cls),
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
        found = self._extents()
        for letter, size in zip(first + second, a.shape + b.shape, strict=True):
            if found.setdefault(letter, size) != size:
                raise TypeRuleError(
                    f"contraction {self.spec!r} of {a} and {b}:"
                    f" {letter} is both {found[letter]} and {size}"
                )
        return found

    def _extents(self) -> dict[str, int]:
        """The extents that the windows know."""
        found: dict[str, int] = {}
        for letters, window in self.windows:
            element, place, tap = tuple(letters)
            window.check()
            found |= {element: window.length, place: window.places, tap: window.size}
        return found

    def multiplications(self, a: TensorType, b: TensorType) -> int:
        """Products of one sample, those with padding included."""
        elements = {letters[0] for letters, _ in self.windows}
        return prod(n for letter, n in self.sizes(a, b).items() if letter not in elements)

    def infer(self, *types: TensorType) -> TensorType:
        a, b = types
        sizes = self.sizes(a, b)
        self._check_letters()
        if a.precision != b.precision or (self.sum_batch and not (a.batched and b.batched)):
            raise TypeRuleError(f"contraction {self.spec!r} over the batch of {a} and {b}")
        shape = tuple(sizes[letter] for letter in self.letters[2])
        return TensorType(shape, (a.batched or b.batched) and not self.sum_batch, a.precision)

    def _check_letters(self) -> None:
        tied = [letter for letters, _ in self.windows for letter in letters]
        first, second, out = (set(part) - set(tied) for part in self.letters)
        repeated = any(len(set(part)) != len(part) for part in self.letters)
        if repeated or first - second - out or second - first - out or out - first - second:
            raise TypeRuleError(
                f"contraction {self.spec!r}: a letter stands once in a part, and in two parts"
            )
        roles = {tuple(self._part(letter) for letter in letters) for letters, _ in self.windows}
        apart = all(sorted(parts) == [0, 1, 2] for parts in roles)
        if len(roles) > 1 or not apart or len(set(tied)) != len(tied):
            raise TypeRuleError(
                f"contraction {self.spec!r}: element, place and tap of all windows stand apart"
            )

    def _part(self, letter: str) -> int:
        """Where a letter of a window stands: 0, 1 the operands, 2 the result; -1 if not once."""
        found = [i for i, part in enumerate(self.letters) if letter in part]
        return found[0] if len(found) == 1 else -1

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        parts = list(self.letters)
        for i, of in enumerate((*node.args, node)):
            parts[i] = ("Z" if of.type.batched else "") + parts[i]
        lead = (env.batch,) if node.type.batched else ()
        total = np.zeros(lead + node.type.shape, args[0].dtype)
        spec = "{},{}->{}".format(*map(self._tapped, parts))
        for taps in product(*(range(window.size) for _, window in self.windows)):
            chosen = self._chosen(taps)
            if any(isinstance(c, slice) and c.start >= c.stop for c in chosen.values()):
                continue
            where = [tuple(chosen.get(c, slice(None)) for c in part) for part in parts]
            total[where[2]] += np.einsum(spec, args[0][where[0]], args[1][where[1]], optimize=True)
        return total

    def _tapped(self, part: str) -> str:
        """The letters of a part at one tap of each window: elements go with places."""
        for letters, _ in self.windows:
            element, place, tap = tuple(letters)
            part = part.replace(element, place).replace(tap, "")
        return part

    def _chosen(self, taps: Sequence[int]) -> dict[str, slice | int]:
        """The index of each window's letters where a tap lies on an element."""
        found: dict[str, slice | int] = {}
        for (letters, window), at in zip(self.windows, taps, strict=True):
            element, place, tap = tuple(letters)
            places = window.covered(at)
            start, stop = (window.element(p, at) for p in (places.start, places.stop))
            found[element] = slice(start, max(stop, start), window.stride)
            found[place] = slice(places.start, max(places.stop, places.start))
            found[tap] = at
        return found

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        a, b = node.args
        first, second, out = self.letters
        return (
            self._pull(f"{out},{second}->{first}", cotangent, b, a),
            self._pull(f"{out},{first}->{second}", cotangent, a, b),
        )

    def _pull(self, spec: str, cotangent: Node, other: Node, target: Node) -> Node:
        """The cotangent of `target`, summed over the batch at once where the target has none."""
        both = cotangent.type.batched and other.type.batched
        sum_batch = both and not target.type.batched
        return make(replace(self, spec=spec, sum_batch=sum_batch), cotangent, other)


def _window_samples(cls: type[Contract]) -> tuple[Sample, ...]:
    """Convolutions and their derivatives: padding, strides, dilation, groups, one and two axes."""
    line = (("ipt", Window(length=7, size=3, before=1, after=1)),)
    strided = (("ipt", Window(length=9, size=3, stride=2, dilation=2, before=2, after=1)),)
    plane = (
        ("ipt", Window(length=6, size=3, stride=2, before=1, after=1)),
        ("jqu", Window(length=5, size=2, dilation=2, after=3)),
    )
    return (
        Sample(cls("ci,fct->fp", windows=line), ((2, 7), (3, 2, 3))),
        Sample(cls("ci,fct->fp", windows=strided), ((2, 9), (3, 2, 3))),
        Sample(cls("fp,fct->ci", windows=strided), ((3, 4), (3, 2, 3))),
        Sample(cls("fp,ci->fct", windows=strided), ((3, 4), (2, 9))),
        Sample(cls("cij,fctu->fpq", windows=plane), ((2, 6, 5), (3, 2, 3, 2))),
        Sample(cls("fpq,fctu->cij", windows=plane), ((3, 3, 6), (3, 2, 3, 2))),
        Sample(cls("fpq,cij->fctu", windows=plane), ((3, 3, 6), (2, 6, 5))),
        Sample(cls("fpq,cij->fctu", sum_batch=True, windows=plane), ((3, 3, 6), (2, 6, 5))),
        Sample(cls("gcij,gfctu->gfpq", windows=plane), ((2, 1, 6, 5), (2, 2, 1, 3, 2))),
    )


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
