"""How nodes came to be: which rewrite made each, and of which node. Kept only when asked for.

Invariant: a step leads to a node that was known before, so every chain ends; the first rewrite that
makes a node is its step. Without `recording()` nothing is noted, and passes ask once for a graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netc.compiler.ir.graph import Node


@record
class Step:
    """One rewrite: `what` was done to `old` at a `stage`: a pass, `derivatives`, `update`.

    `whole` says that the node stands where `old` stood; others are parts of what does.
    """

    stage: str
    what: str
    old: Node
    whole: bool


@dataclass(slots=True)
class Trail:
    """The steps that made the nodes of a function; `stage` is the one that is running."""

    stage: str = ""
    steps: dict[Node, Step] = field(default_factory=dict)
    _known: set[Node] = field(default_factory=set)

    def know(self, nodes: Iterable[Node]) -> None:
        """Nodes that are there already: nothing made them."""
        self._known.update(nodes)

    def note(self, new: Node, what: str, old: Node, stage: str = "") -> None:
        """`what` made `new` of `old`, and with it all that is new in it."""
        stack = [] if new in self._known else [new]
        while stack:
            node = stack.pop()
            if node not in self._known:
                self._known.add(node)
                self.steps[node] = Step(stage or self.stage, what, old, node is new)
                stack.extend(node.args)

    def chain(self, node: Node) -> list[Step]:
        """The steps that led to a node, the last one first."""
        found: list[Step] = []
        while node in self.steps:
            found.append(self.steps[node])
            node = found[-1].old
        return found


_ACTIVE: Final[ContextVar[Trail | None]] = ContextVar("trail", default=None)


def current_trail() -> Trail | None:
    """The trail that is being recorded, if one is."""
    return _ACTIVE.get()


@contextmanager
def recording() -> Iterator[Trail]:
    """Rewrites and derivatives inside are noted on a trail."""
    token = _ACTIVE.set(Trail())
    try:
        trail = _ACTIVE.get()
        assert trail is not None
        yield trail
    finally:
        _ACTIVE.reset(token)
