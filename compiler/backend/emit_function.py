"""One native function: its kernels, the body that calls them, what repeats the body, the entry."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from netc.compiler.backend.builder import Builder, define, module
from netc.compiler.backend.emit_body import CALL, Layout, emit_body
from netc.compiler.backend.emit_kernel import emit_kernel
from netc.compiler.backend.float_mode import flushed
from netc.compiler.backend.sample_loop import sample_loop
from netc.compiler.backend.train_loop import train_loop
from netc.compiler.program import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netc.compiler.backend.target import Target
    from netc.compiler.loops.lower import Launch
    from netc.compiler.plan.phases import Phase
    from netc.compiler.plan.plan import Memory
    from netc.compiler.program import Manifest

LOOPS: Final = {
    "train": "netc.train",
    "infer_one": "netc.samples",
    "infer_group": "netc.samples",
}
"""Functions that repeat `netc.call`, and by what."""


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
    phases: Sequence[Phase],
    kernels: Mapping[str, Launch],
    where: Layout,
    manifest: Manifest,
    target: Target,
    emit: Callable[..., str] = emit_kernel,
) -> str:
    """The module of function `name`, with its distinct kernels; the symbol is `netc_<name>`.

    The launches are those of the phases, one after the other. `emit` makes the text of a kernel.
    """
    declarations: dict[str, None] = {}
    scalars = [s for s, _ in manifest.scalars]
    names = {launch.kernel: symbol for symbol, launch in kernels.items()}
    texts = [
        emit(kernel, symbol, manifest.precision, target, scalars, declarations)
        for kernel, symbol in names.items()
    ]
    order = _by_phase(launches, phases)
    texts.append(emit_body(order, names, where, manifest.precision, target, declarations))
    if name == "train":
        texts += train_loop(manifest, target, declarations)
    if name in ("infer_one", "infer_group"):
        together = manifest.inference.group if name == "infer_group" else 1
        texts.append(sample_loop(manifest, together))
    entry = Builder(manifest.precision, declarations)
    inner = LOOPS.get(name, "netc.call")
    flushed(entry, target, lambda: entry.call(inner, "void", CALL))
    entry.do("ret void")
    texts.append(define(f"netc_{name}", [CALL], entry))
    return module(texts, declarations)


def _by_phase(
    launches: Sequence[Launch], phases: Sequence[Phase]
) -> list[tuple[Phase, list[Launch]]]:
    rest = iter(launches)
    return [(phase, list(islice(rest, len(phase.units)))) for phase in phases]
