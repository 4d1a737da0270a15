"""What elaboration produces: a checked net as graphs over named values, and its training rule."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.compiler.ir.graph import Node
    from netc.compiler.ir.types import Precision
    from netc.compiler.program import Settings
    from netc.grammar.folder import Imported
    from netc.grammar.source import Source, Span


@record
class Port:
    """An input or target: its per-sample shape and which numbers it accepts."""

    name: str
    shape: tuple[int, ...]
    kind: Literal["real", "class", "int"]
    classes: int | None
    missing: bool
    span: Span


@record
class Stored:
    """A parameter, a state of the net or a state of the optimizer.

    `initial` is an unbatched graph over constants and random draws, evaluated once at the start;
    `over_data` one over inputs, targets and constants, evaluated over all training data before the
    first step of the first training.
    """

    name: str
    shape: tuple[int, ...]
    initial: Node
    span: Span
    frozen: bool = False
    over_data: Node | None = None


@record
class Named:
    """A named value: an output, a metric, the next value of a state."""

    name: str
    node: Node
    span: Span


@record
class Index:
    """A computed index: one of 0 … size - 1 is meant, or -1 for none."""

    node: Node
    size: int
    span: Span


@record
class Values:
    """What the net computes in one mode. `loss` is a scalar for each sample, `penalty` unbatched.

    Both are None when the net has none. `next_states` are the values of `<-` (training only).
    `seen` are the batched values on the way: bindings of the net, and what its layers return.
    `indices` are those that no type keeps in range.
    """

    outputs: tuple[Named, ...]
    loss: Node | None
    penalty: Node | None
    metrics: tuple[Named, ...]
    next_states: tuple[Named, ...] = ()
    seen: tuple[Named, ...] = ()
    indices: tuple[Index, ...] = ()


@record
class Update:
    """The optimizer applied to one parameter.

    The optimizer's `g` is the source of space "gradient" with the parameter's name, `objective` one
    of space "scalar"; `new` is the next value of the parameter.
    """

    parameter: str
    optimizer: str
    new: Node
    states: tuple[Stored, ...]
    next_states: tuple[Named, ...]


@record
class RunScalar:
    """A number that a run may change without recompiling; `default` comes from the text.

    NaN as a default of `<group>.<argument>` means "not overridden: use the text's expression".
    """

    name: str
    default: float


@record
class LayerRow:
    """One line of the summary: a layer use, its output shape, own parameters and MACs a sample."""

    name: str
    layer: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


@record
class Model:
    """A checked net. `training` and `inference` are the same text in the two modes."""

    name: str
    source: Source
    precision: Precision
    inputs: tuple[Port, ...]
    targets: tuple[Port, ...]
    parameters: tuple[Stored, ...]
    states: tuple[Stored, ...]
    training: Values
    inference: Values
    updates: tuple[Update, ...]
    scalars: tuple[RunScalar, ...]
    settings: Settings
    layers: tuple[LayerRow, ...]
    origins: Mapping[Node, Span] = field(default_factory=dict)
    doc: str | None = None
    imports: tuple[Imported, ...] = ()
    place: str = ""  # of the text, below the folder that holds its imports
