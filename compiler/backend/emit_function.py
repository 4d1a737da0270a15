"""One native function: its kernels, and the body that calls them in order with their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, Value, define, module
from netc.compiler.backend.emit_kernel import emit_kernel
from netc.compiler.backend.float_mode import flushed
from netc.compiler.backend.sample_loop import sample_loop
from netc.compiler.backend.train_loop import train_loop
from netc.compiler.program import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.loops.loops import Kernel
    from netc.compiler.loops.lower import Launch
    from netc.compiler.plan.plan import Buffer, Memory
    from netc.compiler.program import Manifest

CALL: Final = Value("%call", "ptr")

LOOPS: Final = {"train": "netc.train", "infer_one": "netc.samples"}
"""Functions that repeat `netc.call`, and by what."""

BLOCK_SLOTS: Final = {
    "parameter": Slot.PARAMETERS,
    "state": Slot.STATES,
    "optimizer": Slot.OPTIMIZER,
    "gradient": Slot.GRADIENTS,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of a function lie: arena offsets, and bytes inside the persistent blocks."""

    memory: Memory
    stored: Mapping[tuple[str, str], int]
    data: Mapping[tuple[str, str], int]
    """Slots of the caller's arrays, by ("input" or "output", name)."""


def layout(memory: Memory, manifest: Manifest) -> Layout:
    """The layout of a function of this program."""
    blocks = {
        "parameter": manifest.parameters,
        "state": manifest.states,
        "optimizer": manifest.optimizer,
        "gradient": manifest.gradients,
    }
    stored = {(r, v.name): v.offset for r, block in blocks.items() for v in block.values}
    data: dict[tuple[str, str], int] = {}
    for port in (*manifest.inputs, *manifest.targets):
        data["input", port.name] = Slot.DATA + len(data)
    for port in manifest.outputs:
        data["output", port.name] = Slot.DATA + len(data)
    return Layout(memory, stored, data)


def emit_module(
    name: str,
    launches: Sequence[Launch],
    kernels: Mapping[str, Launch],
    where: Layout,
    manifest: Manifest,
    target: Target,
) -> str:
    """The module of function `name`, with its distinct kernels; the symbol is `netc_<name>`."""
    declarations: dict[str, None] = {}
    scalars = [s for s, _ in manifest.scalars]
    names = {launch.kernel: symbol for symbol, launch in kernels.items()}
    texts = [
        emit_kernel(kernel, symbol, manifest.precision, target, scalars, declarations)
        for kernel, symbol in names.items()
    ]
    texts.append(_body(launches, names, where, manifest, target))
    if name == "train":
        texts += train_loop(manifest, target, declarations)
    if name == "infer_one":
        texts.append(sample_loop(manifest))
    entry = Builder(manifest.precision, declarations)
    inner = LOOPS.get(name, "netc.call")
    flushed(entry, target, lambda: entry.call(inner, "void", CALL))
    entry.do("ret void")
    texts.append(define(f"netc_{name}", [CALL], entry))
    return module(texts, declarations)


def _body(
    launches: Sequence[Launch],
    names: Mapping[Kernel, str],
    where: Layout,
    manifest: Manifest,
    target: Target,
) -> str:
    b = Builder(manifest.precision)
    lanes = target.lanes(manifest.precision)
    batch = _slot(b, Slot.BATCH)
    blocks = b.op(f"udiv i64 {b.add(batch, b.constant(lanes - 1, 'i64')).text}, {lanes}", "i64")
    zero, one = (b.constant(n, "i64") for n in (0, 1))
    known: dict[int, Value] = {}

    def pointer(slot: int) -> Value:
        if slot not in known:
            known[slot] = b.convert("inttoptr", _slot(b, slot), "ptr")
        return known[slot]

    addresses: dict[Buffer, Value] = {}
    for launch in launches:
        for buffer in launch.buffers:
            if buffer not in addresses:
                addresses[buffer] = _address(b, buffer, where, pointer, blocks)
        arguments = [addresses[buffer] for buffer in launch.buffers]
        b.call(names[launch.kernel], "void", *arguments, batch, zero, blocks, zero, one, CALL)
    b.do("ret void")
    return define("netc.call", [CALL], b, internal=True)


def _slot(b: Builder, slot: int) -> Value:
    return b.load("i64", b.offset(CALL, 8 * slot), 8)


def _address(
    b: Builder, buffer: Buffer, where: Layout, pointer: Callable[[int], Value], blocks: Value
) -> Value:
    match buffer.region:
        case "batch":
            arena = b.offset(pointer(Slot.ARENA), where.memory.fixed)
            size = b.constant(where.memory.offsets[buffer], "i64")
            return b.offset(arena, b.mul(blocks, size))
        case "fixed":
            return b.offset(pointer(Slot.ARENA), where.memory.offsets[buffer])
        case "input" | "output" as region:
            return pointer(where.data[region, buffer.name])
        case "result":
            return pointer(Slot.RESULTS)
        case region:
            return b.offset(pointer(BLOCK_SLOTS[region]), where.stored[region, buffer.name])
