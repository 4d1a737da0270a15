"""Removes what does no work, and moves what does some to where there is less of it.

mul (neg %0) (constant{value=-1.0})       →  %0
reduce{kind='sum', axes=(0,)} (broadcast %0)  →  mul %0 n
contract{spec='k,kn->n'} %0 (transpose %1)    →  contract{spec='k,nk->n'} %0 %1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netc.compiler.passes.algebra import ALGEBRA
from netc.compiler.passes.fold import FOLDING
from netc.compiler.passes.moves import MOVES
from netc.compiler.passes.rewrite import rewrite
from netc.compiler.passes.sums import SUMS

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Graph
    from netc.compiler.passes.rewrite import Rule

SIMPLIFYING: Final[tuple[Rule, ...]] = (*FOLDING, *ALGEBRA, *MOVES, *SUMS)


def simplify(graph: Graph) -> Graph:
    """The graph after all identities, constants folded on the way."""
    return rewrite(graph, SIMPLIFYING)
