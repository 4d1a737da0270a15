"""The meaning of a graph: every node evaluated in NumPy, arguments before users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.ir.graph import toposort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Graph, Node, Space
    from netc.compiler.ir.op import Array, Environment


def interpret(graph: Graph, env: Environment) -> dict[tuple[Space, str], Array]:
    """The graph's results by space and name; batched ones have a leading axis of samples.

    Raises ValueError for a source that `env` lacks or whose array has another shape.
    """
    values = evaluate(graph.roots, env)
    return {(o.space, o.name): value for o, value in zip(graph.outputs, values, strict=True)}


def evaluate(roots: Sequence[Node], env: Environment) -> list[Array]:
    """The values of `roots`. Overflow and invalid operations give Inf and NaN, no warning."""
    values: dict[Node, Array] = {}
    with np.errstate(all="ignore"):
        for node in toposort(roots):
            values[node] = node.op.evaluate(env, node, *(values[a] for a in node.args))
    return [values[root] for root in roots]
