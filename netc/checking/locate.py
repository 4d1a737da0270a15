"""Where a gradient goes wrong: the value up to which it is right, and the rule that breaks it.

Invariant: everything is interpreted in double precision, on the graph as the text means it, so what
is found here is in the text or in a derivative, never in a pass or in machine code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.checking.differences import slope
from netc.checking.gradcheck import TOLERANCE
from netc.checking.local import evaluated, function_of, mismatch
from netc.checking.reference import environment, in_double
from netc.compiler.elaborate.walk import parts
from netc.compiler.held import goal, stopped
from netc.compiler.ir.graph import substitute, toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.custom import Custom, is_placeholder
from netc.compiler.ops.source import source
from netc.compiler.probed import GRADIENT, probed
from netc.grammar.parser import parse
from netc.grammar.tree import Definition
from netc.records import record
from netc.runtime.arguments import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netc.checking.local import Mismatch
    from netc.compiler.elaborate.model import Named
    from netc.compiler.ir.graph import Node, Space
    from netc.compiler.ir.op import Array
    from netc.grammar.source import Span
    from netc.model import Model

DIRECTIONS = 2


@record
class Rule:
    """The derivative of one operation, or the `gradient` clause of a function, where it stands.

    `span` is the clause, or the text that the operation comes from; `use` is the text that calls
    the function. `wrong` is None for a rule that agrees with differences.
    """

    name: str
    span: Span | None
    use: Span | None
    wrong: Mismatch | None


@record
class Passed:
    """The gradient of the objective by a value on the way: the worst of its relative errors."""

    name: str
    span: Span
    error: float
    passed: bool


class Inside:
    """The objective of a model on one batch, open to differences at every value on the way.

    `data` are inputs and targets as `fit` takes them.
    """

    def __init__(self, model: Model, /, *data: object, **named: object) -> None:
        names = Signature(model.manifest)
        batch = names.bind(names.names, names.names, data, named)
        self._double = in_double(model)
        self._model = self._double._program.model
        self._goal = goal(self._model)
        self._order = toposort([self._goal])
        env = environment(self._double, batch)
        self._env = Environment(
            {key: np.asarray(value, np.float64) for key, value in env.values.items()},
            env.batch,
            env.seed,
            env.step,
        )
        self._known: dict[Node, Array] | None = None

    @property
    def _values(self) -> dict[Node, Array]:
        """Every node's value, computed when the first one is asked for."""
        if self._known is None:
            self._known = evaluated(self._order, self._env)
        return self._known

    def clauses(self) -> list[Rule]:
        """Every use of a function with a `gradient` clause, in the order of computing."""
        return [self._rule(node) for node in self._order if isinstance(node.op, Custom)]

    def operations(self) -> list[Rule]:
        """The operations whose derivative differs from differences, those of a text included."""
        pulled: set[Node] = set()  # of clauses: they have no value until a derivative is formed
        found = []
        for node in self._order:
            custom = isinstance(node.op, Custom)
            if is_placeholder(node) or (pulled.intersection(node.args) and not custom):
                pulled.add(node)
            elif node.args and (rule := self._rule(node)).wrong is not None:
                found.append(rule)
        return found

    def values(self) -> list[Passed]:
        """The gradient of every value on the way to the objective, in the order of computing."""
        shown = {one.name: one for one in probed(self._model, training=True).training.outputs}
        pairs = [(one, shown[GRADIENT + n]) for n, one in shown.items() if GRADIENT + n in shown]
        held = stopped(self._goal)
        fixed = {node: _constant(i, node) for i, node in enumerate(held)}
        known: dict[str, Array] = {f"held {i}": self._values[n] for i, n in enumerate(held)}
        slopes = evaluate([slope_.node for _, slope_ in pairs], self._env)
        return [
            self._passed(one, np.array(exact, np.float64), fixed, known)
            for (one, _), exact in zip(pairs, slopes, strict=True)
        ]

    def _passed(
        self,
        one: Named,
        exact: NDArray[np.float64],
        fixed: Mapping[Node, Node],
        known: Mapping[str, Array],
    ) -> Passed:
        kind = one.node.type
        variable = source("input", "variable", kind.shape, kind.batched, kind.precision)
        (inside,) = substitute([self._goal], {**fixed, one.node: variable})
        start, random = self._values[one.node], np.random.default_rng(0)
        size = float(np.sqrt((exact**2).sum()))
        worst = 0.0
        for _ in range(DIRECTIONS):
            direction = random.normal(size=exact.shape)
            direction /= np.sqrt((direction**2).sum())

            def at(way: float, along: NDArray[np.float64] = direction) -> float:
                given = {**known, "variable": start + way * along}
                return self._evaluated(inside, given)

            found = slope(at)
            gradient = float((exact * direction).sum())
            error = max(found.distance(gradient) - found.doubt, 0.0)
            worst = max(worst, error / max(size, abs(found.value), 1e-12))
        return Passed(one.name, one.span, worst, worst <= TOLERANCE)

    def _evaluated(self, root: Node, given: Mapping[str, Array]) -> float:
        env = self._env
        more: dict[tuple[Space, str], Array] = {("input", n): array for n, array in given.items()}
        values = {**env.values, **more}
        (found,) = evaluate([root], Environment(values, env.batch, env.seed, env.step))
        return float(found)

    def _rule(self, node: Node) -> Rule:
        name, origin = function_of(node), self._model.origins.get(node)
        wrong = mismatch(node, self._values, self._env)
        if name is None:
            return Rule(node.op.word, origin, None, wrong)
        clause = self._definition(name)
        span = origin if clause is None or clause.gradient is None else clause.gradient.span
        return Rule(name, span, origin, wrong)

    def _definition(self, name: str) -> Definition | None:
        """The function of that name that has a clause."""
        trees = [self._double._program.tree]
        trees += [parse(found.source) for found in self._double._program.imports]
        found = (one for tree in trees for one in parts(tree) if isinstance(one, Definition))
        return next((one for one in found if one.name.name == name and one.gradient), None)


def _constant(number: int, like: Node) -> Node:
    kind = like.type
    return source("input", f"held {number}", kind.shape, kind.batched, kind.precision)
