"""The graph IR: immutable, interned nodes. Equal nodes are one object, so CSE and DCE are free.

Invariants: `make` is the only constructor of nodes; a node's type is what its op infers from its
arguments; equality is identity. Every traversal is iterative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakValueDictionary

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from netc.compiler.ir.op import Op
    from netc.compiler.ir.types import TensorType

Space = Literal[
    "input",
    "parameter",
    "state",
    "optimizer",
    "gradient",
    "scalar",
    "output",
    "result",
    "placeholder",
]
"""Where a program's values live outside a graph.

`input` covers inputs and targets (batched arrays of the caller), `scalar` the run-time numbers,
`output` the arrays returned, `result` the scalars returned (objective, loss, metrics).
`placeholder` has no value: it stands for one while a derivative is formed.
"""


class Node:
    """One operation applied to nodes. Made by `make` only."""

    __slots__ = ("__weakref__", "args", "op", "type")

    op: Op
    args: tuple[Node, ...]
    type: TensorType

    def __repr__(self) -> str:
        return f"<{self.op} : {self.type}>"


@record
class Output:
    """A named root of a graph: value `node` goes to `name` in `space`."""

    space: Space
    name: str
    node: Node


@record
class Graph:
    """A function: what it computes and where the results go. Unreachable nodes do not exist."""

    name: str
    outputs: tuple[Output, ...]

    @property
    def roots(self) -> tuple[Node, ...]:
        return tuple(o.node for o in self.outputs)

    def nodes(self) -> list[Node]:
        """Every node, arguments before users, in a stable order."""
        return toposort(self.roots)


_INTERNED: Final[WeakValueDictionary[tuple[Op, tuple[int, ...]], Node]] = WeakValueDictionary()


def make(op: Op, *args: Node) -> Node:
    """The node of `op` applied to `args`; raises TypeRuleError when the op refuses them."""
    key = (op, tuple(map(id, args)))
    found = _INTERNED.get(key)
    if found is not None:
        return found
    node = object.__new__(Node)
    node.op, node.args = op, args
    node.type = op.infer(*(a.type for a in args))
    _INTERNED[key] = node
    return node


def toposort(roots: Iterable[Node]) -> list[Node]:
    """Nodes reachable from `roots`, arguments first, by an iterative depth-first walk."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, Iterator[Node]]] = []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack.append((root, iter(root.args)))
        while stack:
            node, rest = stack[-1]
            for arg in rest:
                if arg not in seen:
                    seen.add(arg)
                    stack.append((arg, iter(arg.args)))
                    break
            else:
                stack.pop()
                order.append(node)
    return order


def rebuild(graph: Graph, rule: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
    """The graph with every node replaced, bottom up, by `rule(node, its new arguments)`."""
    new: dict[Node, Node] = {}
    for node in graph.nodes():
        new[node] = rule(node, tuple(new[a] for a in node.args))
    return Graph(graph.name, tuple(Output(o.space, o.name, new[o.node]) for o in graph.outputs))


def substitute(roots: Sequence[Node], replaced: Mapping[Node, Node]) -> list[Node]:
    """`roots` with nodes replaced; a replacement is taken as it is, not searched again."""
    new: dict[Node, Node] = {}
    for node in toposort(roots):
        new[node] = replaced.get(node) or make(node.op, *(new[a] for a in node.args))
    return [new[root] for root in roots]


def users(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """For each node the nodes that use it, once for each, in order."""
    found: dict[Node, list[Node]] = {}
    for node in nodes:
        found.setdefault(node, [])
        for arg in dict.fromkeys(node.args):
            found.setdefault(arg, []).append(node)
    return found
