"""A `.net` text compiled to native code together with its first and second derivatives.

Invariant: derivatives are the compiler's own, nested as a text would nest them; everything runs
through the passes, the plan and machine code, in f64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Output
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import add, mul
from netc.compiler.ops.reduce import reduce_sum
from netc.compiler.ops.source import source
from netc.compiler.passes.pipeline import BEFORE_DERIVATIVES, run
from tests.native import Native
from tests.prelude.harness import model, stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netc.compiler.ir.graph import Node, Space

    Array = NDArray[np.float64]
    Values = dict[str, Array]

Clock = tuple[float, float, float, float]
"""step, epoch, steps, epochs"""
CLOCK: Clock = (17, 4, 40, 8)


@dataclass
class Compiled:
    """The net of a text in one of its modes.

    `wrt` names the inputs to differentiate by; all parameters are added. The objective is the
    loss, or the penalty of a net without one. Of the second derivative native code has its product
    with a direction, the derivative of the gradient's component along it.
    """

    text: str
    wrt: tuple[str, ...] = ()
    training: bool = False
    native: Native = field(init=False)
    parameters: dict[str, tuple[int, ...]] = field(init=False)
    states: Values = field(init=False)

    def __post_init__(self) -> None:
        net = model(self.text)
        values = net.training if self.training else net.inference
        objective = values.penalty if values.loss is None else values.loss
        assert objective is not None
        self.parameters = {p.name: p.shape for p in net.parameters}
        self.states = stored(net.states)
        inputs = {p.name: p.shape for p in (*net.inputs, *net.targets)}
        sources = [source("input", n, inputs[n], True, "f64") for n in self.wrt]
        sources += [source("parameter", n, s, False, "f64") for n, s in self.parameters.items()]
        plain = Graph("plain", (Output("output", "objective", objective),))
        (stable,) = run(plain, passes=BEFORE_DERIVATIVES).roots
        outputs = [Output("output", o.name, o.node) for o in values.outputs]
        outputs.append(Output(_place(objective), "objective", objective))
        outputs += _derivatives(stable, sources)
        self.native = Native(run(Graph("derivatives", tuple(outputs))))

    def __call__(
        self, values: Mapping[str, Array], towards: Mapping[str, Array], clock: Clock = CLOCK
    ) -> Values:
        """Outputs, `objective`, `d/NAME` and `dd/NAME`, the latter in the direction `towards`."""
        held: dict[tuple[Space, str], Array] = {}
        for name, value in values.items():
            held["parameter" if name in self.parameters else "input", name] = value
        for name, value in towards.items():
            held["parameter" if name in self.parameters else "input", f"v/{name}"] = value
        held |= {("state", n): v for n, v in self.states.items()}
        step, *times = clock
        for name, time in zip(("epoch", "steps", "epochs"), times, strict=True):
            held["scalar", name] = np.float64(time)
        batch = max((len(values[n]) for n in values if n not in self.parameters), default=1)
        found = self.native(Environment(held, batch=batch, seed=3, step=int(step)))
        return {name: np.asarray(value, np.float64) for (_, name), value in found.items()}


def _place(node: Node) -> Space:
    return "output" if node.type.batched else "result"


def _derivatives(objective: Node, sources: list[Node]) -> list[Output]:
    """The gradient by every source, and the derivative of its component along `v/NAME`."""
    if not sources:
        return []
    found = gradients(objective, sources)
    second: list[Node | None] = [None] * len(sources)
    for by, gradient in zip(sources, found, strict=True):
        named = source(by.op.space, f"v/{by.op.name}", by.type.shape, by.type.batched, "f64")
        along = reduce_sum(mul(gradient, named), tuple(range(by.type.rank)))
        for i, part in enumerate(gradients(along, sources)):
            before = second[i]
            second[i] = part if before is None else add(before, part)
    outputs: list[Output] = []
    for by, first, twice in zip(sources, found, second, strict=True):
        space: Space = "output" if by.type.batched else "gradient"
        assert twice is not None
        outputs.append(Output(space, f"d/{by.op.name}", first))
        outputs.append(Output(space, f"dd/{by.op.name}", twice))
    return outputs
