"""What each kernel of a function does: its work, its traffic, its tile, its lines of the text.

Work are the multiply-adds of a contraction, counted as two operations each; what is fused to it is
not counted. Traffic is each buffer once, however often a kernel reads it.
"""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

from netc.compiler.elaborate.calls import products
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.source import Source
from netc.compiler.plan.storage import ELEMENT_BYTES
from netc.compiler.plan.tiles import axes_of, choose_tile
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.compiler.elaborate.model import Model
    from netc.compiler.ir.graph import Node
    from netc.compiler.plan.plan import Buffer, Plan, Unit
    from netc.compiler.program import FunctionName, Manifest
    from netc.compiler.stages import Stages


@record
class Description:
    """One kernel. `operations` and `bytes` are those of one run of the function.

    `lines` are places of the text it comes from: numbers for lines of the compiled file.
    """

    symbol: str
    what: str
    form: str
    lines: tuple[str, ...]
    operations: int
    bytes: int


def describe(
    stages: Stages, function: FunctionName, model: Model, manifest: Manifest, samples: int
) -> list[Description]:
    """Every kernel in the order of the plan, for a run over so many samples."""
    runs, batch = repetitions(function, samples, manifest.inference.group)
    symbols = {launch.kernel: symbol for symbol, launch in stages.kernels.items()}
    places = _places(stages.plan, model)
    return [
        Description(
            symbols[launch.kernel],
            _what(launch.unit),
            _form(_contraction(launch.unit), stages.plan.lanes),
            places[launch.unit],
            runs * _operations(_contraction(launch.unit), batch),
            runs * sum(_size(b, manifest, batch) for b in set(launch.buffers)),
        )
        for launch in stages.launches
    ]


def repetitions(function: FunctionName, samples: int, group: int) -> tuple[int, int]:
    """How often the kernels run, and for how many samples each time."""
    match function:
        case "infer_one":
            return samples, 1
        case "infer_group":
            return ceil(samples / group), group
    return 1, samples


def _contraction(unit: Unit) -> Node | None:
    """What a unit multiplies; a panel is only laid out for it."""
    return unit.contraction if unit.kind == "contract" else None


def _operations(node: Node | None, samples: int) -> int:
    if node is None:
        return 0
    return 2 * products(node) * (samples if any(a.type.batched for a in node.args) else 1)


def _size(buffer: Buffer, manifest: Manifest, samples: int) -> int:
    """Bytes of a buffer; a caller's array has as many rows as there are samples."""
    width = ELEMENT_BYTES[manifest.precision]
    match buffer.region:
        case "input":
            ports = (*manifest.inputs, *manifest.targets)
            return samples * width * prod(next(p.shape for p in ports if p.name == buffer.name))
        case "output":
            shape = next(p.shape for p in manifest.outputs if p.name == buffer.name)
            return samples * width * prod(shape)
        case "batch":
            return width * buffer.elements * ceil(samples / manifest.lanes)
    return width * buffer.elements


def _what(unit: Unit) -> str:
    """The kind of work and its extents, and what leaves the function."""
    written = dict.fromkeys(
        s.buffer.name for s in unit.stores if s.buffer.region not in ("batch", "fixed")
    )
    written |= dict.fromkeys(o.name for o in unit.outputs)
    names = list(written)
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    last = f" → {names[-1]}{more}" if names else ""
    if unit.kind == "pack":
        last = f" {unit.stores[0].buffer.name}"
    return f"{_kind(unit)}{last}"


def _kind(unit: Unit) -> str:
    node = _contraction(unit)
    if node is None:
        shapes = [s.node.type.shape for s in unit.stores]
        largest = max(shapes, key=prod, default=())
        return f"{unit.kind} {_extents(largest)}" if unit.kind == "nests" and largest else unit.kind
    assert isinstance(node.op, Contract)
    axes = axes_of(node)
    elements = {letters[0] for letters, _ in node.op.windows}
    sizes = [size for letter, size in axes.sizes.items() if letter not in elements]
    kind = "convolution" if node.op.windows else "product"
    return f"{kind}{', summed' if node.op.sum_batch else ''} {_extents(sizes)}"


def _extents(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _form(node: Node | None, lanes: int) -> str:
    return "" if node is None else choose_tile(node, lanes).form


# -- lines of the text -----------------------------------------------------------------------------


def _places(plan: Plan, model: Model) -> dict[Unit, tuple[str, ...]]:
    """The lines of each unit: of what it computes, else of what made the values that it reads.

    Passes and derivatives make new nodes, which come from nowhere; parameters stay what they are.
    """
    main = model.source.name
    lines = {
        node: str(span.line) if span.source.name == main else f"{span.source.name}:{span.line}"
        for node, span in model.origins.items()
    }
    parameters = {
        node.op.name: line
        for node, line in lines.items()
        if isinstance(node.op, Source) and node.op.space == "parameter"
    }
    found: dict[Unit, tuple[str, ...]] = {}
    made: dict[Buffer, Unit] = {}
    for unit in plan.units:
        own, read = inside(unit, plan)
        names = [lines[n] for n in own if n in lines and not isinstance(n.op, Source)]
        touched = (*(s.buffer for s in unit.stores), *(plan.where[n] for n in read))
        names += [parameters[o] for b in touched if (o := _owner(b, parameters))]
        if not names:
            makers = (made.get(plan.where[n]) for n in read)
            names = [name for maker in makers if maker for name in found[maker]]
        found[unit] = tuple(sorted(set(names), key=_order))
        made |= dict.fromkeys((s.buffer for s in unit.stores), unit)
    return found


def _owner(buffer: Buffer, parameters: Mapping[str, str]) -> str:
    """The parameter that a buffer holds, or whose state it holds; empty for others."""
    if buffer.region == "optimizer":
        return buffer.name.rpartition(".")[0]
    return buffer.name if buffer.name in parameters and buffer.region != "input" else ""


def inside(unit: Unit, plan: Plan) -> tuple[list[Node], list[Node]]:
    """The nodes that a unit computes, and the stored ones that it reads."""
    roots = [s.node for s in unit.stores] + [o.node for o in unit.outputs]
    roots += [unit.contraction] if unit.contraction else []
    own = {s.node for s in unit.stores}
    found: dict[Node, None] = {}
    read: dict[Node, None] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in plan.where and node not in own:
            read[node] = None
        elif node not in found:
            found[node] = None
            stack += node.args
    return list(found), list(read)


def _order(place: str) -> tuple[str, int]:
    file, _, line = place.rpartition(":")
    return file, int(line)
