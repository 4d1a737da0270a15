"""What a function costs before it runs: each kernel at its line of the text, and memory over time.

Invariant: everything follows from the plan and the number of samples. A kernel is counted once, at
the line of its product or convolution, else of what it stores. Work and traffic are those of
`describe`.
"""

from __future__ import annotations

from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING

from netc.compiler.describe import Description, describe, repetitions
from netc.compiler.plan.memory import touched
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.records import record

if TYPE_CHECKING:
    from netc.compiler.driver import Program
    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Plan, Unit
    from netc.compiler.program import FunctionName


@record
class KernelCost:
    """One kernel of a function in the order of the plan.

    `line` is its place as in `Description.lines`; empty where no line of the text made it. `live`
    are bytes of the arena that hold values while it runs.
    """

    description: Description
    line: str
    live: int


def kernel_costs(program: Program, function: FunctionName, samples: int) -> list[KernelCost]:
    """Every kernel in the order of the plan, for a run over so many samples."""
    manifest = program.manifest
    stages = program.stages(function)
    found = describe(stages, function, program.model, manifest, samples)
    _, batch = repetitions(function, samples, manifest.inference.group)
    live = live_bytes(stages.plan, batch, ELEMENT_BYTES[manifest.precision])
    lines = _lines(program, function)
    return [
        KernelCost(description, _line(launch.unit, description, lines), held)
        for launch, description, held in zip(stages.launches, found, live, strict=True)
    ]


def live_bytes(plan: Plan, samples: int, width: int) -> list[int]:
    """Bytes of the arena that each kernel finds or makes there, elements having `width` bytes.

    A value lives from the first kernel that touches it to the last. The arena keeps it a little
    longer: what runs between two barriers counts as running at once.
    """
    spans: dict[Buffer, tuple[int, int]] = {}
    for number, unit in enumerate(plan.units):
        for buffer in touched(plan, unit):
            if buffer.region in ("batch", "fixed"):
                spans[buffer] = (spans.get(buffer, (number, number))[0], number)
    steps = [0] * (len(plan.units) + 1)
    blocks = ceil(samples / plan.lanes)
    for buffer, (first, last) in spans.items():
        size = width * buffer.elements * (blocks if buffer.region == "batch" else 1)
        steps[first] += size
        steps[last + 1] -= size
    return list(accumulate(steps[:-1]))


def _lines(program: Program, function: FunctionName) -> dict[Node, str]:
    """The place of each node that has one, as in `Description.lines`."""
    main = program.model.source.name
    return {
        node: str(span.line) if span.source.name == main else f"{span.source.name}:{span.line}"
        for node, origin in program.provenance(function).origins.items()
        if (span := origin.span) is not None
    }


def _line(unit: Unit, description: Description, lines: dict[Node, str]) -> str:
    nodes = [n for n in (unit.contraction,) if n is not None]
    nodes += [s.node for s in unit.stores] + [o.node for o in unit.outputs]
    own = (lines[node] for node in nodes if node in lines)
    return next(own, next(iter(description.lines), ""))
