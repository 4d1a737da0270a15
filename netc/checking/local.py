"""One operation at a time: its derivative rule against differences of its value where it stands.

Invariant: operands are the values that the net gives them; the cotangent is drawn. A `gradient`
clause is the rule of the operation `custom`, whose value is the function's body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netc.checking.differences import slope
from netc.compiler.ir.graph import make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.custom import Custom, substituted
from netc.compiler.ops.elementwise import add, mul
from netc.compiler.ops.source import Source, source
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from netc.compiler.ir.graph import Node, Space
    from netc.compiler.ir.op import Array

    Numbers = NDArray[np.float64]

TOLERANCE: Final = 1e-5

ELEMENTS: Final = 100
"""How many elements of an operand are tried to show where a rule is wrong."""

SMALL: Final = 1e-6
"""What counts as next to 0."""


@record
class Mismatch:
    """A rule that differs from differences: of which operand, by which of its elements.

    `at` starts with the sample if the operand is batched; `value` is the operand's number there.
    """

    node: Node
    operand: int
    at: tuple[int, ...]
    value: float
    rule: float
    difference: float


def evaluated(nodes: Sequence[Node], env: Environment) -> dict[Node, Array]:
    """The values of nodes in the double precision that they are of."""
    return dict(zip(nodes, evaluate(nodes, env), strict=True))


def function_of(node: Node) -> str | None:
    """The `fn` whose clause a node is the rule of; None for an operation."""
    if not isinstance(node.op, Custom) or not isinstance(node.args[1].op, Source):
        return None
    return node.args[1].op.name.split(" ")[0]


def mismatch(node: Node, values: Mapping[Node, Array], env: Environment) -> Mismatch | None:
    """Where the rule of a node is wrong first; None if it agrees everywhere."""
    case = _Case(node, values, env)
    for operand, pulled in enumerate(case.pulled):
        if pulled is None:
            continue
        found = case.wrong(operand, pulled)
        if found is not None:
            return found
    return None


class _Case:
    """A node with variables in the place of its operands."""

    def __init__(self, node: Node, values: Mapping[Node, Array], env: Environment) -> None:
        self.node, self.env = node, env
        self.random = np.random.default_rng(0)
        half = len(node.args) // 2 - 1
        self.operands = node.args[2 : 2 + half] if isinstance(node.op, Custom) else node.args
        self.given = [np.array(values[arg], np.float64) for arg in self.operands]
        variables = [_variable(f"operand {i}", arg) for i, arg in enumerate(self.operands)]
        cotangent = _variable("cotangent", node)
        lead = (env.batch,) if node.type.batched else ()
        self.cotangent = self.random.normal(size=lead + node.type.shape)
        rules: list[Node | None]
        if isinstance(node.op, Custom):
            known = {node.args[1]: cotangent, **dict(zip(self.operands, variables, strict=True))}
            self.body, rules = _remade(node, half, known)
        else:
            self.body = make(node.op, *variables)
            rules = list(self.body.op.vjp(self.body, cotangent, mul))
        self.pulled = [
            None if rule is None else self._pulled(rule, i) for i, rule in enumerate(rules)
        ]

    def _pulled(self, rule: Node, operand: int) -> Numbers:
        """A rule's number for each element of its operand."""
        (found,) = evaluate([rule], self._environment(self.given))
        shape = self.given[operand].shape
        if found.ndim > len(shape):
            found = found.sum(axis=0)
        return np.array(np.broadcast_to(found, shape), np.float64)

    def _environment(self, operands: Sequence[Numbers]) -> Environment:
        known: dict[tuple[Space, str], Array] = {
            ("input", f"operand {i}"): array for i, array in enumerate(operands)
        }
        known["input", "cotangent"] = self.cotangent
        return Environment(
            {**self.env.values, **known}, self.env.batch, self.env.seed, self.env.step
        )

    def wrong(self, operand: int, pulled: Numbers) -> Mismatch | None:
        """The worst of some elements if a random direction shows a difference."""
        direction = self.random.normal(size=pulled.shape) * _lengths(self.given[operand])
        if self._agrees(operand, direction, pulled * direction):
            return None
        found = [self._element(operand, pulled, at) for at in self._some(pulled)]
        return max(found, key=lambda one: abs(one.rule - one.difference))

    def _agrees(self, operand: int, direction: Numbers, parts: Numbers) -> bool:
        found = slope(lambda way: self._value(operand, direction, way))
        scale = max(abs(found.value), float(np.sqrt((parts**2).sum())), SMALL)
        return found.distance(float(parts.sum())) <= TOLERANCE * scale + 2 * found.doubt

    def _element(self, operand: int, pulled: Numbers, at: tuple[int, ...]) -> Mismatch:
        direction = np.zeros_like(pulled)
        length = direction[at] = _lengths(self.given[operand])[at]
        found = slope(lambda way: self._value(operand, direction, way))
        value = float(self.given[operand][at])
        difference = found.value / float(length)
        return Mismatch(self.node, operand, at, value, float(pulled[at]), difference)

    def _some(self, like: Numbers) -> list[tuple[int, ...]]:
        """Elements to try, all if they are few."""
        chosen = self.random.permutation(like.size)[:ELEMENTS]
        return [tuple(int(i) for i in np.unravel_index(n, like.shape)) for n in chosen]

    def _value(self, operand: int, direction: Numbers, way: float) -> float:
        moved = list(self.given)
        moved[operand] = moved[operand] + way * direction
        (found,) = evaluate([self.body], self._environment(moved))
        return float((found * self.cotangent).sum())


def _lengths(values: Numbers) -> Numbers:
    """How far each element may go: a share of itself, or of the others where it is next to 0."""
    size = np.abs(np.nan_to_num(values))
    return np.asarray(size + 1e-2 * size.mean() + SMALL)


def _variable(name: str, like: Node) -> Node:
    kind = like.type
    return source("input", name, kind.shape, kind.batched, "f64")


def _remade(node: Node, half: int, known: Mapping[Node, Node]) -> tuple[Node, list[Node | None]]:
    """The body of a clause and its rules; an operand given twice has one rule, the sum."""
    body, *rules = substituted((node.args[0], *node.args[2 + half :]), known)
    found: dict[Node, int] = {}
    total: list[Node | None] = [*rules]
    for i, (operand, rule) in enumerate(zip(node.args[2 : 2 + half], rules, strict=True)):
        before = found.get(operand)
        found[operand] = i  # the variable in the body is the last one
        if before is not None:
            earlier, total[before] = total[before], None
            total[i] = rule if earlier is None else add(earlier, rule)
    return body, total
