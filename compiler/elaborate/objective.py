"""`objective` in a net: which statements wait for it, and what it is.

Invariant: a statement that uses `objective`, or anything that waits for it, is elaborated after all
losses and penalties; none of these can be such a statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.elaborate.build import elementwise
from netc.compiler.elaborate.walk import parts
from netc.compiler.ops.reduce import batch_mean
from netc.grammar import tree

if TYPE_CHECKING:
    from collections.abc import Collection

    from netc.compiler.ir.graph import Node
    from netc.grammar.source import Span

WORD = "objective"


def first_use(statement: tree.Tree, names: Collection[str]) -> Span | None:
    """Where a text uses one of the names first, as a value or as a layer of the net."""
    for part in parts(statement):
        match part:
            case tree.Name(span=span, name=name) if name in names:
                return span
            case tree.Call(callee=tree.Ident(span=span, name=name)) if name in names:
                return span
            case tree.Output(name=tree.Ident(span=span, name=name), value=None) if name in names:
                return span
            case _:
                pass
    return None


def objective(loss: Node | None, penalty: Node | None) -> Node | None:
    """The mean loss plus the penalty; None for a net without both."""
    if loss is None:
        return penalty
    mean = batch_mean(loss)
    return mean if penalty is None else elementwise("add", mean, penalty)
