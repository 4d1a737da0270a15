"""`netc derive`: a gradient by the chain rule, as text or LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.cli.inspect import program_for
from netc.derivation.notation import LATEX, TEXT
from netc.derivation.steps import LOSS, derivation, transposed

if TYPE_CHECKING:
    from argparse import Namespace

    from netc.derivation.algebra import Sum
    from netc.derivation.notation import Notation
    from netc.derivation.steps import Derivation

LATEX_LOSS: Final = r"\ell"
WIDEST: Final = 60
"""Columns of formulas before the lines that they come from."""


def derive(options: Namespace) -> int:
    """Prints the values on the way, each step of the chain rule, and the result."""
    model = program_for(options).model
    found = derivation(model, options.wrt)
    penalties = options.of == "objective"
    if options.latex:
        print("\n".join(latex(found, penalties=penalties)))
    else:
        print("\n".join(text(found, model.name, penalties=penalties)))
    return 0


def text(found: Derivation, net: str, *, penalties: bool) -> list[str]:
    """The lines of a derivation for reading on a terminal."""
    variable = found.variable
    of = "ℓ" if found.per_sample else "L"
    lines = [f"net {net}: ∂{of}/∂{variable}, shape {list(found.shape)}", ""]
    lines.append("values of one sample, as columns; ℓ is its loss")
    rows = [(f"{d.name} = {TEXT.sum(d.formula)}", d.span) for d in found.definitions]
    width = min(max(len(row) for row, _ in rows), WIDEST)
    for row, span in rows:
        place = "" if span is None else f"line {span.line}"
        lines.append(f"  {row:<{width}}  {place}".rstrip())
    lines += ["", "chain rule, from ℓ back"]
    for step in found.steps:
        name = TEXT.derivative(LOSS, _shown(found, step.name))
        chain, full = TEXT.sum(step.chain), TEXT.sum(step.simplified)
        lines.append(f"  {name} = {chain}")
        if full != chain:
            lines.append(f"  {' ' * len(name)} = {full}")
    lines += ["", "result"]
    lines += [f"  {line}" for line in _result(found, TEXT, penalties=penalties)]
    return lines


def latex(found: Derivation, *, penalties: bool) -> list[str]:
    """The same as one `align*` environment."""
    rows = [
        rf"{LATEX.name(d.name) if d.name != LOSS else LATEX_LOSS} &= {LATEX.sum(d.formula)}"
        for d in found.definitions
    ]
    for step in found.steps:
        name = LATEX.derivative(LOSS, _shown(found, step.name))
        chain, full = LATEX.sum(step.chain), LATEX.sum(step.simplified)
        rows.append(rf"{name} &= {chain}" + ("" if full == chain else rf" = {full}"))
    rows += [line.replace(" = ", " &= ", 1) for line in _result(found, LATEX, penalties=penalties)]
    body = [rf"  {row} \\" for row in rows[:-1]]
    return [r"\begin{align*}", *body, f"  {rows[-1]}", r"\end{align*}"]


def _result(found: Derivation, notation: Notation, *, penalties: bool) -> list[str]:
    """The derivative of the objective; its transpose too, where books write that."""
    if found.per_sample:
        name = notation.derivative(LOSS, found.variable)
        return [f"{name} = {notation.sum(found.sample)}"]
    name = notation.derivative("L", found.variable)
    added = notation.sum(found.penalty) if penalties and found.penalty.terms else ""
    lines = [f"{name} = {_mean(found.sample, notation, added)}"]
    turned = transposed(found.sample)
    if turned is not None:
        top = r"^{\top}" if notation.latex else "ᵀ"
        name = rf"\left({name}\right)" if notation.latex else f"({name})"
        added = f"{_bracketed(added, notation)}{top}" if added else ""
        lines.append(f"{name}{top} = {_mean(turned, notation, added)}")
    return lines


def _mean(sample: Sum, notation: Notation, added: str) -> str:
    shown = notation.mean(sample)
    if not added:
        return shown
    negative = added.startswith(("−", "-"))
    return f"{shown} {added[0]} {added[1:]}" if negative else f"{shown} + {added}"


def _bracketed(text: str, notation: Notation) -> str:
    if text.isalpha():
        return text
    return rf"\left({text}\right)" if notation.latex else f"({text})"


def _shown(found: Derivation, name: str) -> str:
    return found.variable if name == found.steps[-1].name else name
