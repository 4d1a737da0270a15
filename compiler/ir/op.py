"""What every operation says about itself: type rule, meaning in NumPy, derivative, samples.

An op is a frozen dataclass whose fields are its static attributes. Ops come in few forms (see
`netc.compiler.ops`); the form gives what its ops share, lowering included. No subclass of a
concrete op.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from netc.compiler.ir.graph import Node, Space
    from netc.compiler.ir.types import TensorType

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Environment:
    """What a graph reads while it is interpreted.

    `values[space, name]` are arrays; batched ones have a leading axis of `batch` samples.
    `seed` and `step` decide the random draws.
    """

    values: Mapping[tuple[Space, str], Array]
    batch: int = 1
    seed: int = 0
    step: int = 1


class Op(ABC):
    """One operation with its attributes."""

    name: ClassVar[str]

    @abstractmethod
    def infer(self, *types: TensorType) -> TensorType:
        """The result type; raises TypeRuleError with both shapes when the operands do not fit."""

    @abstractmethod
    def evaluate(self, env: Environment, node: Node, *args: Array) -> Array:
        """The value in NumPy. Batched arguments carry a leading batch axis, others none."""

    @abstractmethod
    def vjp(self, node: Node, cotangent: Node) -> tuple[Node | None, ...]:
        """Cotangents of the arguments as graph; None where the derivative is zero.

        `cotangent` has the type of `node`. A rule may return a batched cotangent for an unbatched
        argument: the reverse pass sums it over the batch.
        """
