"""The kernels of a function in their order: what each computes, reads and writes, and the memory.

Invariant: everything is plain data. Kernels, operations and buffers are numbered by their places in
their lists; sets of lines are places in a pool.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil
from typing import TYPE_CHECKING, Final

from netc.compiler.describe import describe, inside
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.reduce import BatchReduce, Broadcast, Reduce
from netc.compiler.ops.source import Constant, Iota, Source
from netc.compiler.plan.memory import lifetimes, moments, touched
from netc.compiler.plan.phases import uses
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.work import unit_work
from netc.explore.lines import node_lines
from netc.explore.texts import Kernels, Pool
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.describe import Description
    from netc.compiler.driver import Program
    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Plan, Unit
    from netc.compiler.program import FunctionName
    from netc.compiler.provenance import Origin, Provenance
    from netc.compiler.stages import Stages
    from netc.explore.lines import Lines

MOST_OPERATIONS: Final = 60
"""Operations of one kernel that are drawn; of a larger kernel only the first."""


@record
class Schedule:
    """The plan of one function beside the lines that its kernels come from."""

    program: Program
    function: FunctionName
    samples: int
    known: Provenance
    lines: Mapping[Node, tuple[int, ...]]
    order: Mapping[Node, int]
    """Places in the simplified graph."""
    kernels: Kernels
    described: tuple[Description, ...]

    @property
    def stages(self) -> Stages:
        return self.program.stages(self.function)

    @property
    def units(self) -> Sequence[Unit]:
        return self.stages.plan.units

    @property
    def blocks(self) -> int:
        """Blocks of samples in one call."""
        return ceil(self.samples / self.stages.plan.lanes)


def schedule(program: Program, function: FunctionName, samples: int, lines: Lines) -> Schedule:
    """What the kernels of a function are, for runs over so many samples."""
    stages = program.stages(function)
    described = describe(stages, function, program.model, program.manifest, samples)
    known = program.provenance(function)
    found = node_lines(known, lines)
    of_kernel: list[tuple[int, ...]] = []
    of_node: dict[Node, tuple[int, ...]] = {}
    for number, unit in enumerate(stages.plan.units):
        of_kernel.append(_lines_of_kernel(unit, stages.plan, found, lines))
        for node in _computed(unit, stages.plan):
            of_node[node] = (*of_node.get(node, ()), number)
    kernels = Kernels(tuple(d.symbol for d in described), tuple(of_kernel), found, of_node)
    order = {node: place for place, node in enumerate(stages.simplified.nodes())}
    return Schedule(program, function, samples, known, found, order, kernels, tuple(described))


def _lines_of_kernel(
    unit: Unit, plan: Plan, found: Mapping[Node, tuple[int, ...]], lines: Lines
) -> tuple[int, ...]:
    """The lines of what a kernel computes and of the results that it hands out.

    The first is that of its product, its result or the last value that it stores.
    """
    computed, read = inside(unit, plan)
    own = [line for node in (unit.contraction,) if node for line in found.get(node, ())]
    own += [line for output in unit.outputs for line in lines.of_result(output)]
    own += [line for store in reversed(unit.stores) for line in found.get(store.node, ())]
    own += [line for node in computed for line in found.get(node, ())]
    return tuple(dict.fromkeys(own or [line for node in read for line in found.get(node, ())]))


# -- kernels ---------------------------------------------------------------------------------------


def kernel_data(found: Schedule, pool: Pool, numbers: Mapping[Buffer, int]) -> list[object]:
    """Every kernel with its operations, its edges to earlier kernels and its estimated work."""
    plan = found.stages.plan
    writers: dict[Buffer, int] = {}
    one_by_one = found.function == "infer_one"
    runs, blocks = (found.samples, 1) if one_by_one else (1, found.blocks)
    rows: list[object] = []
    for number, (unit, what) in enumerate(zip(plan.units, found.described, strict=True)):
        used = uses(unit, plan.where)
        reads = sorted(used.reads, key=lambda b: (writers.get(b, -1), b.region, b.name))
        work = unit_work(unit, plan.where, plan.lanes)
        rows.append(
            {
                "symbol": what.symbol,
                "kind": unit.kind,
                "what": what.what,
                "tile": what.form,
                "lines": pool.place(found.kernels.lines[number]),
                "line": next(iter(found.kernels.lines[number]), -1),
                "names": _named(found, unit),
                "operations": what.operations,
                "bytes": what.bytes,
                "work": runs * work.of(blocks),
                "from": sorted({writers[b] for b in reads if b in writers}),
                "reads": [_buffer_name(b) for b in reads],
                "writes": [_written(s.node, s.buffer) for s in unit.stores],
                "buffers": sorted(numbers[b] for b in touched(plan, unit) if b in numbers),
                **_operations(found, unit, pool),
            }
        )
        writers |= dict.fromkeys(used.writes, number)
    return rows


def _named(found: Schedule, unit: Unit) -> list[str]:
    """The names of what a kernel makes, values before derivatives."""
    nodes = [unit.contraction, *(s.node for s in unit.stores), *(o.node for o in unit.outputs)]
    origins = [found.known.origins.get(node) for node in nodes if node is not None]
    named = sorted((o for o in origins if o and o.name), key=lambda origin: origin.derivative)
    return list(dict.fromkeys(map(_name, named)))


def _name(origin: Origin) -> str:
    return f"derivative of {origin.name}" if origin.derivative else origin.name


def _buffer_name(buffer: Buffer) -> str:
    return buffer.name if buffer.region in ("batch", "fixed") else f"{buffer.region} {buffer.name}"


def _written(node: Node, buffer: Buffer) -> str:
    return f"{_buffer_name(buffer)} : {node.type}"


def _operations(found: Schedule, unit: Unit, pool: Pool) -> dict[str, object]:
    """The operations inside a kernel in the order of the graph, and how many are left out."""
    hidden = Constant | Iota | Source | Broadcast
    computed = [n for n in _computed(unit, found.stages.plan) if not isinstance(n.op, hidden)]
    computed.sort(key=found.order.__getitem__)
    kept = computed[:MOST_OPERATIONS]
    places = {node: place for place, node in enumerate(kept)}
    stored = {s.node for s in unit.stores}
    operations = [
        {
            "word": _word(node),
            "name": _name(origin) if (origin := found.known.origins.get(node)) else "",
            "type": str(node.type),
            "lines": pool.place(found.lines.get(node, ())),
            "from": sorted({places[a] for a in map(_spread, node.args) if a in places}),
            "stored": node in stored,
        }
        for node in kept
    ]
    return {"nodes": operations, "left_out": len(computed) - len(kept)}


def _computed(unit: Unit, plan: Plan) -> list[Node]:
    """What a unit computes; a panel only lays out an operand, a border or a copy computes nothing.

    A border's node is its value all the same: it belongs to a line.
    """
    return [] if unit.kind == "panel" else inside(unit, plan)[0]


def _spread(node: Node) -> Node:
    """The value that a broadcast repeats."""
    while isinstance(node.op, Broadcast):
        (node,) = node.args
    return node


def _word(node: Node) -> str:
    match node.op:
        case Contract() as op:
            return f"contract {op.spec}"
        case Reduce() | BatchReduce() as op:
            return op.kind if isinstance(op, Reduce) else f"{op.kind} over the batch"
    return node.op.word


# -- memory ----------------------------------------------------------------------------------------


def memory_data(found: Schedule, pool: Pool) -> tuple[dict[str, object], dict[Buffer, int]]:
    """The arena: sizes, and each buffer with its place and the kernels between which it lives.

    `first` and `last` are the kernels between which its memory is kept, `from` and `to` those that
    touch it: what runs between two barriers counts as running at once.
    """
    stages = found.stages
    plan, memory = stages.plan, stages.memory
    place = {unit: number for number, unit in enumerate(plan.units)}
    spans = [[place[unit] for unit in units] for units in moments(plan)]
    used: dict[Buffer, list[int]] = defaultdict(list)
    for number, unit in enumerate(plan.units):
        for buffer in touched(plan, unit):
            used[buffer].append(number)
    values: dict[Buffer, list[Node]] = defaultdict(list)  # a value may take another's memory
    for store in (s for unit in plan.units for s in unit.stores):
        values[store.buffer].append(store.node)
    width = ELEMENT_BYTES[found.program.manifest.precision]
    rows: list[object] = []
    numbers: dict[Buffer, int] = {}
    for buffer, (first, last) in lifetimes(plan).items():
        held = values[buffer]
        numbers[buffer] = len(rows)
        rows.append(
            {
                "name": buffer.name,
                "space": buffer.region,
                "size": buffer.elements * width,
                "offset": memory.offsets[buffer],
                "first": min(spans[first]),
                "last": max(spans[last]),
                "from": used[buffer][0],
                "to": used[buffer][-1],
                "values": [str(node.type) for node in held],
                "lines": pool.place(line for node in held for line in found.lines[node]),
            }
        )
    whole = {"fixed": memory.fixed, "per_block": memory.per_block, "blocks": found.blocks}
    return {**whole, "buffers": rows}, numbers
