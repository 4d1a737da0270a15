"""The passes in their order, and how they run; observers dump, time and verify between them."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from netc.compiler.ir.trail import current_trail
from netc.compiler.passes.affine import affine
from netc.compiler.passes.centred import centred
from netc.compiler.passes.expand import expand
from netc.compiler.passes.fold import fold
from netc.compiler.passes.reciprocals import reciprocals
from netc.compiler.passes.release import release
from netc.compiler.passes.simplify import simplify
from netc.compiler.passes.spread import spread
from netc.compiler.passes.stabilise import stabilise
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.compiler.ir.graph import Graph


@record
class Pass:
    """A pure function from graph to graph, equal in value."""

    name: str
    apply: Callable[[Graph], Graph]
    summary: str


Observer: TypeAlias = "Callable[[Pass, Graph, Graph, float], None]"
"""Called after each pass with the graphs before and after it, and its seconds."""

BEFORE_DERIVATIVES: Final = (
    Pass("fold", fold, "evaluates operations on constants"),
    Pass("simplify", simplify, "x * 1 → x, products with sums → contractions, …"),
    # after simplify, which brings formulas into the form that the patterns know
    Pass("stabilise", stabilise, "log(sum(exp x)) → logsumexp x, log(1 + x) → log1p x, …"),
)
"""Also run before differentiation: the derivative of a stable formula is stable, while that of
exp(x) / sum(exp(x)) overflows however its value is rewritten afterwards.
"""

PASSES: Final = (
    Pass("release", release, "stop_gradient x → x, a rule of one's own → the value"),
    *BEFORE_DERIVATIVES,
    Pass("expand", expand, "logsumexp → max, sum, exp and log"),
    Pass("centred", centred, "sum(a + k (x - mean x)) → sum a"),
    Pass("spread", spread, "sum (x - m)^2 → sum (x - s)^2 and what the sample's mean s is from m"),
    # after simplify, which takes the batch from what is the same for each sample
    Pass("affine", affine, "(a @ b + c - m) * g + s → (a @ b) * A + C"),
    Pass("reciprocals", reciprocals, "x / broadcast(d) → x * broadcast(1 / d) in f32"),
    Pass("tidy", simplify, "simplifies what the passes before made"),
)

NEEDED: Final = tuple(step for step in PASSES if step.name in ("release", "expand"))
"""What kernels cannot do without: they know no rules of derivatives and no logsumexp."""


def run(graph: Graph, observers: Sequence[Observer] = (), passes: Sequence[Pass] = PASSES) -> Graph:
    """The graph after the passes."""
    trail = current_trail()
    for step in passes:
        if trail is not None:
            trail.stage = step.name
        start = perf_counter()
        after = step.apply(graph)
        seconds = perf_counter() - start
        if trail is not None:
            trail.know(after.nodes())
        for observer in observers:
            observer(step, graph, after, seconds)
        graph = after
    return graph
