"""What makes a value of a function wrong: the first pass that changes it, or the kernel it is from.

Invariant: passes are judged by the interpreter in double precision, on the data of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.checking.compare import differences, tolerance
from netc.checking.reference import meaning, rounded
from netc.compiler.functions import function_graph
from netc.compiler.passes import pipeline
from netc.records import record

if TYPE_CHECKING:
    from netc.checking.compare import Compared, Run
    from netc.compiler.ir.graph import Graph, Node
    from netc.compiler.ir.op import Array
    from netc.compiler.passes.pipeline import Pass


@record
class Culprit:
    """A pass, with the value before and after it; without one, what follows the passes."""

    step: str | None
    before: float
    after: float


def culprit(one: Compared, run: Run) -> Culprit:
    """Why a value differs: the passes are repeated one by one."""
    found: list[Culprit] = []
    graph = function_graph(run.meaning, run.function)
    exact, coarse = (np.asarray(f(_root(graph, one), run.env)[0]) for f in (meaning, rounded))
    limit = tolerance(exact, coarse, graph.roots[0].type.precision == "f64")

    def observe(step: Pass, before: Graph, after: Graph, seconds: float) -> None:
        if found:
            return
        changed: Array = np.asarray(meaning(_root(after, one), run.env)[0])
        distance = differences(changed, exact, coarse)
        if distance.max(initial=0.0) > limit:
            at = np.unravel_index(int(distance.argmax()), distance.shape)
            found.append(Culprit(step.name, float(exact[at]), float(changed[at])))

    pipeline.run(graph, (observe,))
    return found[0] if found else Culprit(None, one.reference, one.native)


def _root(graph: Graph, one: Compared) -> list[Node]:
    return [o.node for o in graph.outputs if (o.space, o.name) == one.key]
