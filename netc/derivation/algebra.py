"""Sums of products over atoms: the form in which formulas are simplified.

Elementwise products commute; everything else (functions, matrix products) is an atom. Invariant: a
`Sum` has no two terms of equal factors and no term that is zero, so equal sums print alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@record
class Symbol:
    """A name: a value, a parameter, or the derivative by one."""

    name: str
    derivative: bool = False


@record
class Call:
    """A function of sums; `onehot`, `index` and `indicator` have notations of their own.

    `detail` is what is not written of it, such as axes or the name of a draw: calls that differ in
    it are different atoms.
    """

    name: str
    args: tuple[Sum, ...]
    detail: str = ""


@record
class Product:
    """A product of matrices and column vectors, each perhaps transposed."""

    left: Sum
    right: Sum
    left_transposed: bool = False
    right_transposed: bool = False


@record
class Group:
    """A sum of several terms as a factor."""

    inner: Sum


Atom: TypeAlias = Symbol | Call | Product | Group
Factors: TypeAlias = tuple[tuple[Atom, int], ...]


@record
class Term:
    """A number times powers of atoms."""

    number: float
    factors: Factors = ()


@record
class Sum:
    """Terms in the order in which they were written."""

    terms: tuple[Term, ...]

    @property
    def number(self) -> float | None:
        """The number that this is, if it is one."""
        if not self.terms:
            return 0.0
        (first, *rest) = self.terms
        return first.number if not rest and not first.factors else None


def number(value: float) -> Sum:
    return _collected([Term(value)])


def atom(one: Atom) -> Sum:
    return Sum((Term(1.0, ((one, 1),)),))


def symbol(name: str) -> Sum:
    return atom(Symbol(name))


def add(*parts: Sum) -> Sum:
    return _collected([term for part in parts for term in part.terms])


def scale(factor: float, a: Sum) -> Sum:
    return _collected([Term(factor * t.number, t.factors) for t in a.terms])


def times(a: Sum, b: Sum) -> Sum:
    """The elementwise product; a sum of several terms stays together as a factor."""
    if not a.terms or not b.terms:
        return Sum(())
    return Sum((_times(_single(a), _single(b)),))


def inverse(a: Sum) -> Sum:
    """1 / a; a division by nothing but 0 is left as written."""
    if not a.terms:
        return atom(Call("inverse", (a,)))
    one = _single(a)
    return Sum((Term(1 / one.number, tuple((f, -n) for f, n in one.factors)),))


def linear(x: Sum, wrap: Callable[[Sum], Atom]) -> Sum:
    """A linear function of x: its number stands in front."""
    if not x.terms:
        return x
    if len(x.terms) > 1:
        return atom(wrap(x))
    (term,) = x.terms
    return scale(term.number, atom(wrap(Sum((Term(1.0, term.factors),)))))


def expanded(a: Sum) -> Sum:
    """All products of sums multiplied out, those first whose terms may cancel."""
    done: list[Term] = []
    waiting = list(a.terms)
    while waiting:
        term = waiting.pop(0)
        groups = [f for f, n in term.factors if isinstance(f, Group) and n > 0]
        if not groups:
            done.append(term)
            continue
        group = max(groups, key=_divides)
        rest = Term(term.number, _powers([*term.factors, (group, -1)]))
        waiting = [_times(inner, rest) for inner in group.inner.terms] + waiting
    return _collected(done)


def replaced(a: Sum, rule: Callable[[Atom], Sum | None]) -> Sum:
    """A sum with atoms replaced, innermost first."""
    parts = []
    for term in a.terms:
        whole = number(term.number)
        for factor, power in term.factors:
            new = _replaced(factor, rule)
            for _ in range(abs(power)):
                whole = times(whole, new if power > 0 else inverse(new))
        parts.append(whole)
    return add(*(_flat(part) for part in parts))


def _replaced(one: Atom, rule: Callable[[Atom], Sum | None]) -> Sum:
    match one:
        case Call(name, args, detail):
            one = Call(name, tuple(replaced(arg, rule) for arg in args), detail)
        case Product(left, right, lt, rt):
            left, right = replaced(left, rule), replaced(right, rule)
            return linear(left, lambda a: Product(a, right, lt, rt))
        case Group(inner):
            return replaced(inner, rule)
        case _:
            pass
    found = rule(one)
    return atom(one) if found is None else found


def _flat(a: Sum) -> Sum:
    """A single group with power 1 is the sum in it."""
    match a.terms:
        case (Term(value, ((Group(inner), 1),)),):
            return scale(value, inner)
        case _:
            return a


def _single(a: Sum) -> Term:
    return a.terms[0] if len(a.terms) == 1 else Term(1.0, ((Group(a), 1),))


def _times(a: Term, b: Term) -> Term:
    return Term(a.number * b.number, _powers([*a.factors, *b.factors]))


def _powers(factors: Iterable[tuple[Atom, int]]) -> Factors:
    found: dict[Atom, int] = {}
    for factor, power in factors:
        found[factor] = found.get(factor, 0) + power
    return tuple((factor, power) for factor, power in found.items() if power)


def _divides(group: Group) -> int:
    return sum(power < 0 for term in group.inner.terms for _, power in term.factors)


def _collected(terms: Iterable[Term]) -> Sum:
    found: dict[frozenset[tuple[Atom, int]], Term] = {}
    for term in terms:
        key = frozenset(term.factors)
        before = found.get(key)
        total = term.number if before is None else before.number + term.number
        found[key] = Term(total, term.factors if before is None else before.factors)
    return Sum(tuple(term for term in found.values() if term.number))
