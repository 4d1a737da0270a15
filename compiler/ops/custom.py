"""A value with a derivative of its own, and substitution that keeps what such a rule means.

Invariant: the rule is graph beside the value, written for a placeholder of the cotangent. It does
its work when a derivative is formed; the pass `release` leaves the value alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.ir.graph import make, toposort
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.elementwise import Div, Mul, div
from netc.compiler.ops.reduce import Lift, lift
from netc.compiler.ops.source import Source, source
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times


@record
class Custom(Op):
    """The first operand, with cotangents from a rule instead of its own derivative.

    Operands: the value; the placeholder of its cotangent; k arguments; k cotangents of these, as
    graph of the placeholder. The derivative puts the cotangent in the place of the placeholder, so
    it is graph that can be differentiated again.
    """

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """None: the rule need not agree with the value, so no slope can be compared."""
        return ()

    def infer(self, *types: TensorType) -> TensorType:
        if len(types) < 2 or len(types) % 2:
            raise TypeRuleError(f"custom of {len(types)} operands")
        value, cotangent, *rest = types
        half = len(rest) // 2
        pairs = [(value, cotangent), *zip(rest[:half], rest[half:], strict=True)]
        for of, pulled in pairs:
            if of.shape != pulled.shape:
                raise TypeRuleError(f"custom: {pulled} is no cotangent of {of}")
        return value

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return args[0]

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        placeholder = node.args[1]
        half = len(node.args) // 2 - 1
        pulled = _pulled(node.args[2 + half :], placeholder, cotangent, times)
        return None, None, *pulled, *(None for _ in pulled)


def placeholder(name: str, like: TensorType) -> Node:
    """A node that stands for a value of that type while a derivative is formed."""
    return source("placeholder", name, like.shape, like.batched, like.precision)


def is_placeholder(node: Node) -> bool:
    return isinstance(node.op, Source) and node.op.space == "placeholder"


def substituted(roots: Sequence[Node], replaced: Mapping[Node, Node]) -> list[Node]:
    """`roots` with nodes replaced by others of their shape, batched ones where they are not too.

    A replacement is taken as it is, not searched again.
    """
    new: dict[Node, Node] = {}
    for node in toposort(roots):
        new[node] = replaced.get(node) or remade(node.op, [new[a] for a in node.args])
    return [new[root] for root in roots]


def remade(op: Op, args: Sequence[Node]) -> Node:
    """`op` of other operands; what has become batched needs no lift any more."""
    return lift(args[0]) if isinstance(op, Lift) else make(op, *args)


def _pulled(rules: Sequence[Node], placeholder: Node, cotangent: Node, times: Times) -> list[Node]:
    """The rules for a cotangent; products with it are `times`, which keeps exact zeros."""
    new: dict[Node, Node] = {placeholder: cotangent}
    linear = {placeholder}
    for node in toposort(rules):
        own = [a in linear for a in node.args]
        if not any(own):
            new.setdefault(node, node)
            continue
        linear.add(node)
        args = [new[a] for a in node.args]
        match node.op:
            case Mul() if own == [True, False]:
                new[node] = times(args[0], args[1])
            case Mul() if own == [False, True]:
                new[node] = times(args[1], args[0])
            case Div() if own == [True, False]:
                new[node] = times(args[0], div(1, args[1]))
            case _:
                new[node] = remade(node.op, args)
    return [new[rule] for rule in rules]
