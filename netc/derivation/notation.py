"""Formulas as text and as LaTeX.

Invariant: both say the same; a product that is no juxtaposition of numbers is written ⊙ between
vectors, and matrix products bind tighter than it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.derivation.algebra import Call, Group, Product, Symbol
from netc.records import record

if TYPE_CHECKING:
    from netc.derivation.algebra import Atom, Sum, Term


@record
class Notation:
    """How the parts of a formula are written."""

    latex: bool

    def sum(self, a: Sum) -> str:
        """A whole formula, positive terms first."""
        if not a.terms:
            return "0"
        ordered = sorted(a.terms, key=lambda term: term.number < 0)
        shown = ""
        for i, term in enumerate(ordered):
            sign = "-" if self.latex else "−"
            body = self._term(term)
            if i == 0:
                shown = (sign if term.number < 0 else "") + body
            else:
                shown += f" {sign if term.number < 0 else '+'} {body}"
        return shown

    def name(self, name: str) -> str:
        """`h.dense.W` as it is, or with what stands before the last dot as an index."""
        if not self.latex:
            return name
        *before, last = name.replace("_", r"\_").split(".")
        shown = last if len(last) == 1 else rf"\mathrm{{{last}}}"
        return shown if not before else rf"{shown}_{{\mathrm{{{'.'.join(before)}}}}}"

    def derivative(self, of: str, by: str) -> str:
        """∂of/∂by."""
        by = self.name(by)
        if self.latex:
            of = r"\ell" if of == "ℓ" else of
            return rf"\frac{{\partial {of}}}{{\partial {by}}}"
        return f"∂{of}/∂{by}"

    def mean(self, a: Sum) -> str:
        """The mean over the samples."""
        if self.latex:
            return rf"\frac{{1}}{{B}} \sum_{{b=1}}^{{B}} \left[ {self.sum(a)} \right]"
        return f"mean[{self.sum(a)}]"

    def _term(self, term: Term) -> str:
        above = [(f, n) for f, n in term.factors if n > 0]
        below = [(f, -n) for f, n in term.factors if n < 0]
        size = abs(term.number)
        factors = [self._power(f, n) for f, n in above]
        dot = r" \odot " if self.latex else " ⊙ "
        top = dot.join(factors)
        if size != 1 or not factors:
            top = f"{size:g} {top}".strip()
        if not below:
            return top
        under = dot.join(self._power(f, n) for f, n in below)
        if self.latex:
            return rf"\frac{{{top}}}{{{under}}}"
        return f"{top} / ({under})" if len(below) > 1 else f"{top} / {under}"

    def _power(self, one: Atom, power: int) -> str:
        shown = self._atom(one)
        if power == 1:
            return shown
        if self.latex:
            return rf"{shown}^{{{power}}}"
        return shown + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in str(power))

    def _atom(self, one: Atom) -> str:
        match one:
            case Symbol(name, True):
                return self.derivative("ℓ", name)
            case Symbol(name):
                return self.name(name)
            case Group(inner):
                return self._bracketed(self.sum(inner))
            case Product(left, right, lt, rt):
                return f"{self._factor(left, lt)} {self._factor(right, rt)}"
            case Call(name, args, _):
                return self._call(name, args)

    def _factor(self, a: Sum, transposed: bool) -> str:
        """A factor of a matrix product."""
        match a.terms:
            case (term,) if term.number == 1 and len(term.factors) == 1:
                ((one, power),) = term.factors
                bare = power == 1 and not isinstance(one, Group | Product)
                shown = self._atom(one) if bare else self._bracketed(self.sum(a))
                bracketed = isinstance(one, Symbol) and one.derivative and transposed and bare
                shown = self._bracketed(shown) if bracketed else shown
            case _:
                shown = self._bracketed(self.sum(a))
        if not transposed:
            return shown
        return shown + (r"^{\top}" if self.latex else "ᵀ")

    def _call(self, name: str, args: tuple[Sum, ...]) -> str:
        shown = [self.sum(arg) for arg in args]
        if name.startswith("indicator "):
            sign = name.removeprefix("indicator ")
            if self.latex:
                sign = LATEX_SIGNS.get(sign, sign)
                return rf"\mathbb{{1}}[{shown[0]} {sign} {shown[1]}]"
            return f"1[{shown[0]} {sign} {shown[1]}]"
        if name == "index":
            return rf"{shown[0]}_{{{shown[1]}}}" if self.latex else f"{shown[0]}[{shown[1]}]"
        if name == "∞":
            return r"\infty" if self.latex else name
        if self.latex:
            word = LATEX_NAMES.get(name) or rf"\operatorname{{{name}}}".replace("_", r"\_")
        else:
            word = NAMES.get(name, name)
        return f"{word}{self._bracketed(', '.join(shown))}"

    def _bracketed(self, text: str) -> str:
        return rf"\left({text}\right)" if self.latex else f"({text})"


TEXT: Final = Notation(latex=False)
LATEX: Final = Notation(latex=True)
NAMES: Final = {"sigmoid": "σ"}
LATEX_NAMES: Final = {
    "sigmoid": r"\sigma",
    "tanh": r"\tanh",
    "exp": r"\exp",
    "log": r"\log",
    "Σ": r"\sum",
    "max": r"\max",
    "min": r"\min",
}
LATEX_SIGNS: Final = {"≤": r"\le", "≥": r"\ge", "≠": r"\ne"}
