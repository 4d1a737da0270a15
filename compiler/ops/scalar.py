"""The elementwise form: operands of one shape, a result of that shape, one scalar function.

Batched and unbatched operands mix, and the result is batched if any is. An op has no attributes, so
its class is its identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from netc.compiler.ir.graph import make
from netc.compiler.ir.op import Op, Sample
from netc.compiler.ir.types import TensorType, TypeRuleError
from netc.compiler.ops.source import constant_like, dtype

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.op import Array, Environment, Times

Meaning: TypeAlias = Callable[..., Any]
UnaryRule: TypeAlias = "staticmethod[[Times, Node, Node, Node], Node | None]"
BinaryRule: TypeAlias = (
    "staticmethod[[Times, Node, Node, Node, Node], tuple[Node | None, Node | None]]"
)


class Elementwise(Op):
    """The form: operands of one shape, a result of that shape, one scalar function."""

    __slots__ = ()

    name: ClassVar[str]
    arity: ClassVar[int]
    numpy: ClassVar[Meaning]
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0),)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.word

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        shapes: tuple[tuple[int, ...], ...] = ((), (5,), (3, 4))
        return tuple(Sample(cls(), (shape,) * cls.arity, cls.ranges) for shape in shapes)

    def infer(self, *types: TensorType) -> TensorType:
        if len(types) != self.arity:
            raise TypeRuleError(f"{self.name} takes {self.arity} operands, found {len(types)}")
        first = types[0]
        for other in types[1:]:
            if other.shape != first.shape or other.precision != first.precision:
                raise TypeRuleError(f"{self.name} of unequal operands {first} and {other}")
        return TensorType(first.shape, any(t.batched for t in types), first.precision)

    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        return np.asarray(type(self).numpy(*args), dtype(node.type.precision))


class Unary(Elementwise):
    """y = f(x)."""

    __slots__ = ()
    arity = 1
    pull: ClassVar[UnaryRule] = staticmethod(lambda times, g, y, x: None)

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return (type(self).pull(times, cotangent, node, *node.args),)


class Binary(Elementwise):
    """y = f(a, b)."""

    __slots__ = ()
    arity = 2
    pull: ClassVar[BinaryRule] = staticmethod(lambda times, g, y, a, b: (None, None))

    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        return type(self).pull(times, cotangent, node, *node.args)


def apply(op: Elementwise, *operands: Node | float) -> Node:
    """`op` of nodes of equal shapes and numbers; at least one operand is a node."""
    like = next(x for x in operands if not isinstance(x, float | int))
    return make(
        op, *(constant_like(x, like) if isinstance(x, float | int) else x for x in operands)
    )
