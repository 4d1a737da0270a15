"""One unit of a plan → one kernel, and the buffers it is called with.

Units of the same structure (a deep net's layers) are lowered once and share their kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.compiler.loops.border import write_copy, write_pack, write_results, write_unpack
from netc.compiler.loops.channels import write_channels
from netc.compiler.loops.contract import write_contract, write_transposed
from netc.compiler.loops.nests import write_nests
from netc.compiler.loops.signature import Signature, signature
from netc.compiler.loops.writer import Writer
from netc.compiler.plan.plan import Buffer
from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.loops.loops import Kernel
    from netc.compiler.plan.plan import Plan, Unit


@record
class Launch:
    """One call of a kernel; `buffers` in the order of its numbers."""

    kernel: Kernel
    buffers: tuple[Buffer, ...]
    unit: Unit


def lower(plan: Plan, registers: int, results: Sequence[str]) -> list[Launch]:
    """All kernels of a function in order. `results` are the program's result names in order."""
    known: dict[object, tuple[Kernel, tuple[int, ...]]] = {}
    launches: list[Launch] = []
    for unit in plan.units:
        found = signature(plan, unit)
        if found is None:
            launches.append(_launch(plan, unit, registers, results))
            continue
        if found.key not in known:
            launch = _launch(plan, unit, registers, results)
            known[found.key] = launch.kernel, _numbers(launch, found)
        kernel, numbers = known[found.key]
        launches.append(Launch(kernel, tuple(found.buffers[n] for n in numbers), unit))
    return launches


def _numbers(launch: Launch, found: Signature) -> tuple[int, ...]:
    """Which of the unit's buffers each buffer of the kernel is."""
    place = {buffer: n for n, buffer in enumerate(found.buffers)}
    return tuple(place[buffer] for buffer in launch.buffers)


def distinct(launches: Sequence[Launch]) -> dict[str, Launch]:
    """The first call of each different kernel, by the name of its native function."""
    named: dict[Kernel, tuple[str, Launch]] = {}
    for launch in launches:
        if launch.kernel not in named:
            named[launch.kernel] = (f"{launch.unit.kind}_{len(named)}", launch)
    return dict(named.values())


def _launch(plan: Plan, unit: Unit, registers: int, results: Sequence[str]) -> Launch:
    return written(Writer(plan), unit, registers, results)


def written(writer: Writer, unit: Unit, registers: int, results: Sequence[str]) -> Launch:
    """The kernel of a unit as `writer` writes it."""
    match unit.kind:
        case "pack":
            (store,) = unit.stores
            write_pack(writer, store, Buffer(store.buffer.name, "input", 0))
        case "nests":
            write_nests(writer, unit.stores)
        case "channels":
            write_channels(writer, unit.stores)
        case "contract":
            assert unit.contraction is not None
            write_contract(writer, unit.contraction, unit.stores, registers, unit.panel)
        case "panel":
            assert unit.contraction is not None
            assert unit.panel is not None
            write_transposed(writer, unit.contraction, registers, unit.panel)
        case "copy":
            assert unit.copy_to is not None
            write_copy(writer, unit.stores[0].buffer, unit.copy_to)
        case "unpack":
            (output,) = unit.outputs
            write_unpack(writer, output, Buffer(output.name, "output", 0))
        case "results":
            numbers = [results.index(o.name) for o in unit.outputs]
            write_results(writer, unit.outputs, numbers, Buffer("results", "result", 0))
    return Launch(writer.kernel(), tuple(writer.buffers), unit)
