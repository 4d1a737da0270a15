"""Every kernel of one function alone: `python -m benchmarks.kernels mlp_m [--function step]`.

A kernel is called many times over on the memory of the whole function, which has run once before.
So its data is warm, unlike in a whole step, and what it computes is no training any more.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from benchmarks.ceiling import ceiling
from benchmarks.measure import Timing, Way, interleaved
from benchmarks.nets import FOLDER, NETS, random_data
from benchmarks.report import Table, gigaflops, microseconds
from netc.compiler.backend import jit
from netc.compiler.backend.emit_function import emit_module, layout
from netc.compiler.elaborate.calls import products
from netc.compiler.loops.lower import distinct
from netc.compiler.manifest import function_spec
from netc.compiler.ops.contract import Contract
from netc.compiler.plan.tiles import axes_of, choose_tile
from netc.compiler.plan.work import work
from netc.compiling import program_of, read_source
from netc.runtime.arguments import Batch, Signature
from netc.runtime.evaluate import addresses, new_outputs
from netc.runtime.executable import Executable

if TYPE_CHECKING:
    from netc.compiler.driver import Program
    from netc.compiler.loops.lower import Launch
    from netc.compiler.program import FunctionName, FunctionSpec

CALLS_EACH: Final = 64
"""Calls of the kernel inside one native call: its 2 µs from Python vanish beside them."""


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel: what it does, useful operations of a call, and its time."""

    kind: str
    what: str
    flops: int
    time: Timing


class Bench:
    """A function of a program with its memory, and each of its kernels as a function of its own."""

    def __init__(self, program: Program, function: FunctionName, batch: int) -> None:
        self._program, self._function = program, function
        self.stages = program.stages(function)
        self._libraries: list[jit.Library] = []
        manifest = program.manifest
        self._executable = Executable(manifest, self._native, program.initial(0), 0)
        given = Signature(manifest).converted(random_data(manifest, batch))
        outputs = self._spec().outputs
        self._outputs = new_outputs(self._executable, outputs, batch)
        self._batch: Batch = given
        self._slots = addresses(self._executable, given, self._outputs)
        self._run(function, 1)

    def time(self, seconds: float) -> tuple[Timing, list[KernelTime]]:
        """The whole function, and all of its kernels in order."""
        whole = self._timed(self._function, seconds)
        kernels = []
        for number, launch in enumerate(self.stages.launches):
            timing = self._timed(number, seconds).times(1 / CALLS_EACH)
            flops = _flops(launch, self._batch.samples)
            what = _what(launch, self._program.manifest.lanes)
            kernels.append(KernelTime(launch.unit.kind, what, flops, timing))
        return whole, kernels

    def _timed(self, name: Any, seconds: float) -> Timing:
        return interleaved({"": Way(lambda times: self._run(name, times))}, seconds)[""]

    def _run(self, name: Any, times: int) -> None:
        for _ in range(times):
            self._executable.run(name, self._batch.samples, self._slots)

    def _spec(self) -> FunctionSpec:
        cost = work(self.stages.simplified, self._program.manifest.lanes)
        return function_spec(self._function, self.stages.graph, self.stages.memory, cost)

    def _native(self, name: Any) -> tuple[int, FunctionSpec]:
        """The whole function by its name, or a kernel by its number."""
        if name == self._function:
            return self._program.native(name)
        program, launches = self._program, [self.stages.launches[name]] * CALLS_EACH
        where = layout(self.stages.memory, program.manifest)
        text = emit_module(
            self._function, launches, distinct(launches), where, program.manifest, program.target
        )
        library = jit.load(jit.compile_object(text, program.target))
        self._libraries.append(library)
        spec = self._spec()
        return library.address(spec.symbol), spec


def _flops(launch: Launch, batch: int) -> int:
    node = launch.unit.contraction
    if node is None:
        return 0
    samples = batch if any(a.type.batched for a in node.args) else 1
    return 2 * samples * products(node)


def _what(launch: Launch, lanes: int) -> str:
    """The product, and what is written."""
    node, unit = launch.unit.contraction, launch.unit
    names = [s.buffer.name for s in unit.stores] or [o.name for o in unit.outputs]
    written = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    if node is None:
        return f"→ {written}"
    assert isinstance(node.op, Contract)
    axes = axes_of(node)
    elements = {letters[0] for letters, _ in node.op.windows}
    sizes = "x".join(str(n) for letter, n in axes.sizes.items() if letter not in elements)
    return f"{sizes} {choose_tile(node, lanes).form} → {written}"


def table(name: str, whole: Timing, kernels: list[KernelTime], peak: float) -> Table:
    total = sum(k.time.median for k in kernels)
    rows = [
        [
            k.kind,
            k.what,
            microseconds(k.time.median),
            f"{k.time.median / total:.0%}",
            *gigaflops(k.flops, k.time.median, peak),
        ]
        for k in kernels
    ]
    flops = sum(k.flops for k in kernels)
    for label, seconds in (("sum", total), ("together", whole.median)):
        share = f"{seconds / total:.0%}"
        speed = gigaflops(flops, seconds, peak)
        rows.append([label, "", microseconds(seconds), share, *speed])
    title = f"{name}: kernels alone; peak {peak / 1e9:.0f} GFLOP/s"
    return Table(
        "kernels", title, ("kind", "what", "µs", "share", "GFLOP/s", "of peak"), rows, left=2
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("net", help=f"one of {', '.join(NETS)}, or a .net file")
    parser.add_argument("--function", default="step", help="infer, evaluate, forward, step …")
    parser.add_argument("--batch", type=int, help="samples (default: the net's, else 32)")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each kernel")
    chosen = parser.parse_args()
    known = chosen.net in NETS
    path = str(FOLDER / f"{chosen.net}.net") if known else chosen.net
    program = program_of(read_source(path), {}, "f32")
    batch = chosen.batch or (NETS[chosen.net].batch if known else 32)
    whole, kernels = Bench(program, chosen.function, batch).time(chosen.seconds)
    peak = ceiling(chosen.seconds)
    console = Console(width=max(Console().width, 120))
    console.print(table(f"{chosen.net} {chosen.function}", whole, kernels, peak).rich())


if __name__ == "__main__":
    main()
