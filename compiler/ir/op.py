"""What every operation says about itself: type rule, meaning in NumPy, derivative, samples.

An op is a frozen dataclass whose fields are its static attributes. Ops come in few forms (see
`netc.compiler.ops`); the form gives what its ops share, lowering included. No subclass of a
concrete op.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.compiler.ir.graph import Node, Space
    from netc.compiler.ir.types import TensorType

Array = NDArray[np.floating[Any]]


@record
class Environment:
    """What a graph reads while it is interpreted.

    `values[space, name]` are arrays; batched ones have a leading axis of `batch` samples.
    `seed` and `step` decide the random draws.
    """

    values: Mapping[tuple[Space, str], Array]
    batch: int = 1
    seed: int = 0
    step: int = 1


Times: TypeAlias = "Callable[[Node, Node], Node]"
"""How a derivative rule multiplies a cotangent by a derivative, in this order: `mul`, or `absorb`
in the shadow of a `where` (a zero cotangent stays zero whatever the derivative is)."""


@record
class Sample:
    """One op with per-sample operand shapes, and from where tests draw the operands' elements.

    `ranges` has one (low, high) for each operand, or one for all.
    """

    op: Op
    shapes: tuple[tuple[int, ...], ...]
    ranges: tuple[tuple[float, float], ...] = ((-2.0, 2.0),)


class Op:
    """One operation with its attributes.

    Not an ABC, whose `isinstance` takes five times as long: passes ask a million times for a deep
    net. That every op has every method is checked by mypy and by the tests over `OPS`.
    """

    __slots__ = ()

    word: ClassVar[str]
    """Its name in text forms: the class name in snake case."""

    def __init_subclass__(cls) -> None:
        cls.word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    @abstractmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Cases for the generated tests; empty for sources."""

    @abstractmethod
    def infer(self, *types: TensorType) -> TensorType:
        """The result type; raises TypeRuleError with both shapes when the operands do not fit."""

    @abstractmethod
    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        """The value in NumPy. Batched arguments carry a leading batch axis, others none."""

    @abstractmethod
    def vjp(self, node: Node, cotangent: Node, times: Times) -> tuple[Node | None, ...]:
        """Cotangents of the arguments as graph; None where the derivative is zero.

        `times(g, d)` is the product to use where a cotangent meets a derivative.

        `cotangent` has the type of `node`. A rule may return a batched cotangent for an unbatched
        argument: the reverse pass sums it over the batch.
        """
